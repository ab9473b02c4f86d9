"""Training on MNIST with this package and with pythae, from process start to the end of training, in turns.

    python benchmarks/peers.py --data=DIR [--epochs=3] [--turns=7]

This needs the extra `bench` and `pip install pythae`. DIR holds the four idx files of MNIST. Both sides
train on the same images with the same architecture, batch size, number of epochs and loss, and both read
decoded images from disk. Our side also validates after each epoch and writes checkpoints, as every run
does. The ratio is the median over pairs of turns of pythae's seconds over ours. The last line is one JSON
object.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import models
import turns

_BATCH = 128


def train_ours(data: str, epochs: int, folder: pathlib.Path) -> None:
    """Trains our model in a new workdir."""
    from vae_jax.data import pipeline
    from vae_jax.train import train

    models.set_up_process("float32")
    config = _make_config(data, epochs)
    with tempfile.TemporaryDirectory(dir=folder) as workdir:
        train(config, pathlib.Path(workdir), pipeline.load_dataset(config.data, config.seed))


def train_pythae(images: pathlib.Path, epochs: int, folder: pathlib.Path) -> None:
    """Trains the VAE of pythae with the same layers."""
    import numpy as np
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    config = models.make_comparable_config("mnist", "float32")
    network, _ = models.make_torch_network(config)

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.layers, self.mu, self.logvar = (
                network[name] for name in ("encoder", "mu", "logvar")
            )

        def forward(self, x):
            h = self.layers(x)
            return ModelOutput(embedding=self.mu(h), log_covariance=self.logvar(h))

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleDict(
                {name: network[name] for name in ("unflatten", "decoder")}
            )

        def forward(self, z):
            logits = models.torch_decode(self.layers, z, config)
            return ModelOutput(reconstruction=torch.sigmoid(logits))

    x = torch.from_numpy(np.load(images)).permute(0, 3, 1, 2).float() / 255
    vae_config = VAEConfig(
        input_dim=(1, 28, 28), latent_dim=config.model.latent_dim, reconstruction_loss="bce"
    )
    trainer = BaseTrainer(
        VAE(vae_config, encoder=Encoder(), decoder=Decoder()),
        train_dataset=BaseDataset(x, torch.zeros(len(x))),
        training_config=BaseTrainerConfig(
            output_dir=str(folder / "pythae"),
            num_epochs=epochs,
            per_device_train_batch_size=_BATCH,
            learning_rate=config.train.learning_rate,
            optimizer_cls="AdamW",
        ),
    )
    trainer.train()


def _make_config(data: str, epochs: int):
    config = models.make_comparable_config("mnist", "float32")
    config.data.manual_dir, config.train.epochs = data, epochs
    config.train.batch_size = _BATCH
    return config


def main() -> None:
    """Measures both sides in turns, each turn in a new process."""
    parser = turns.make_parser(__doc__, turns.MIN_TURNS)
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    turns.warn_if_unreliable(options.turns)
    sides: dict[str, list[float]] = {"ours": [], "pythae": []}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        images = folder / "images.npy"
        sources = {"ours": options.data, "pythae": str(images)}
        num_images = _save_images(images, options.data)
        for _ in range(options.turns):
            for side, seconds in sides.items():
                command = [sys.executable, __file__, side, sources[side], str(options.epochs), name]
                started = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                seconds.append(time.perf_counter() - started)
                print(f"{side:8} {seconds[-1]:6.1f} s", flush=True)
    ratios = [
        pythae_seconds / our_seconds
        for our_seconds, pythae_seconds in zip(*sides.values(), strict=True)
    ]
    medians = {side: round(statistics.median(seconds), 1) for side, seconds in sides.items()}
    print(
        json.dumps(
            {
                "images": num_images,
                "epochs": options.epochs,
                "batch": _BATCH,
                "ours_seconds": medians["ours"],
                "pythae_seconds": medians["pythae"],
                "ratio": round(statistics.median(ratios), 3),
            }
        )
    )


def _save_images(path: pathlib.Path, data: str) -> int:
    """Writes the training images of both sides and returns their number; then no turn decodes images."""
    import numpy as np

    from vae_jax.data import pipeline

    config = _make_config(data, 1)
    images = pipeline.load_dataset(config.data, config.seed).train.images
    np.save(path, images)
    return len(images)


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["pythae"]):
        train_side = {"ours": train_ours, "pythae": train_pythae}[sys.argv[1]]
        train_side(sys.argv[2], int(sys.argv[3]), pathlib.Path(sys.argv[4]))
    else:
        main()
