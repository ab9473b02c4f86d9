"""Images per second of scoring, with this package and with eager PyTorch, in turns on the same machine.

    python benchmarks/scoring.py --model=kvasir --batch=64 --precision=float32

This needs the extra `bench`. Both sides read uint8 images from host memory, run encoder, both heads and
decoder, and write to host memory the mean squared error of each image's reconstruction from the posterior
mean. With `--model=features` they read float16 features and write the mean cosine distance. Our side is
the scorer that evaluation calls, including its work outside the network. The ratio is the median over
pairs of turns of our speed over that of PyTorch. The last line is one JSON object.

Measure only on an idle machine, for the reason that train_step.py gives.
"""

import models
import turns
import versus


def make_ours(model: str, batch: int, precision: str):
    """Returns the work of scoring one batch with this package."""
    import jax

    from vae_jax.model.branched import build_branches
    from vae_jax.scoring.scorer import make_scorer

    models.set_up_process(precision)
    config = models.make_comparable_config(model, precision)
    config.scoring.batch_size = batch
    name = "features_cosine_mean" if model == "features" else "quality_mse"
    _, state, _ = models.make_our_training(config, steps_per_epoch=100)
    score = make_scorer(build_branches(config), (name,), config.scoring, config.seed, jax.devices())
    images = models.make_inputs(config, batch)
    if model != "features":
        images = images.copy()  # stored images are contiguous in memory
    return turns.Work(lambda: score(state.params, images), jax.devices()[0].device_kind)


def make_torch(model: str, batch: int, precision: str):
    """Returns the work of scoring one batch in eager PyTorch; bfloat16 means autocast."""
    import torch

    config = models.make_comparable_config(model, precision)
    if model == "features":
        return _make_torch_of_features(config, batch, precision)
    network, device = models.make_torch_network(config)
    pixels = models.make_torch_pixels(config, batch, "cpu")

    @torch.inference_mode()
    def step():
        x = pixels.to(device).float() / 255
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            h = network["encoder"](x)
            mu, _ = network["mu"](h), network["logvar"](h)
            x_hat = torch.sigmoid(models.torch_decode(network, mu, config))
        return (x_hat.float() - x).square().mean((1, 2, 3)).cpu().numpy()

    return turns.Work(step, str(device))


def _make_torch_of_features(config, batch: int, precision: str):
    import torch
    import torch_features

    device = models.choose_torch_device()
    network = torch_features.make_network(config, device)
    features = models.make_torch_features(config, batch, "cpu")

    @torch.inference_mode()
    def step():
        x = features.to(device).float()
        return torch_features.compute_cosine_distance(network, x, precision).cpu().numpy()

    return turns.Work(step, str(device))


if __name__ == "__main__":
    options = versus.make_parser(__doc__, steps=4, steps_help="batches per turn").parse_args()
    sides = versus.compare_sides(options, {"ours": make_ours, "PyTorch": make_torch})
    versus.print_json(options, sides)
