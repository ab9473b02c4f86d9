"""Images a second of forward scoring, ours and PyTorch's eager one, in turns on the same machine.

    python benchmarks/scoring.py --model=kvasir --batch=64 --precision=float32

Needs the extra `bench`. Both sides take uint8 images in host memory and give the mean squared error of
each image's reconstruction from the posterior mean, in host memory again: encoder, both heads, decoder.
Ours is the scorer that evaluation calls, with all that it does beside the network. The ratio is the
median over the pairs of turns, ours over PyTorch's. The last line is one JSON object.

Measure on an idle machine only, as with train_step.py.
"""

import models
import turns
import versus


def make_ours(model: str, batch: int, precision: str):
    """Returns the work of scoring one batch, ours."""
    import jax

    from vae_jax.model.vae import build_model
    from vae_jax.scoring.scorer import make_scorer

    models.set_up(precision)
    config = models.comparable(model, precision)
    config.scoring.batch_size = batch
    _, state, _ = models.our_training(config, steps_per_epoch=100)
    score = make_scorer(
        build_model(config), ("quality_mse",), config.scoring, config.seed, jax.devices()
    )
    images = models.scrolled(batch, config.data.image_size, config.data.channels)
    images = images.copy()  # as stored images lie, one after the other
    return turns.Work(lambda: score(state.params, images), jax.devices()[0].device_kind)


def make_torch(model: str, batch: int, precision: str):
    """Returns the same for PyTorch: eager, channels_last, autocast where precision is bfloat16."""
    import torch

    config = models.comparable(model, precision)
    network, device = models.torch_network(config)
    pixels = models.torch_pixels(config, batch, "cpu")

    @torch.inference_mode()
    def step():
        x = pixels.to(device).float() / 255
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            h = network["encoder"](x)
            mu, _ = network["mu"](h), network["logvar"](h)
            x_hat = torch.sigmoid(models.torch_decode(network, mu, config))
        return (x_hat.float() - x).square().mean((1, 2, 3)).cpu().numpy()

    return turns.Work(step, str(device))


if __name__ == "__main__":
    given = versus.flags(__doc__, steps=4, what="batches in one turn").parse_args()
    versus.conclude(given, versus.compare(given, {"ours": make_ours, "PyTorch": make_torch}))
