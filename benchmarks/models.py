"""The models that the benchmarks measure: those of the shipped configs, and the same layers in PyTorch."""

import pathlib
import runpy

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
# Name -> config file of the model, and the variant of that file.
MODELS = {"kvasir": ("kvasir", ""), "mnist": ("mnist", ""), "chest_xray": ("chest_xray", "512")}
MODELS["features"] = ("kvasir", "features")


def set_up_process(precision: str) -> None:
    """Sets memory and compiler as every run does before JAX starts."""
    from vae_jax.runtime.allocator import keep_memory
    from vae_jax.runtime.compiler import choose_xla_options

    keep_memory()
    choose_xla_options(precision)


def load_config(file: str, variant: str = ""):
    """Returns the config of `configs/FILE.py:VARIANT`."""
    return runpy.run_path(str(ROOT / "configs" / f"{file}.py"))["get_config"](variant)


def make_comparable_config(model: str, precision: str):
    """Returns the config of a model that PyTorch can match: no augmentation, and for pixels cross-entropy.

    The model of features has no other branch.
    """
    config = load_config(*MODELS[model])
    config.model.likelihood = "bernoulli"
    if model == "features":
        config.model.observations = ("features",)
    config.augment.strength = 0.0
    config.train.precision = precision
    return config


def make_scrolled_images(count: int, size: int, channels: int) -> np.ndarray:
    """Returns uint8 [count, size, size, channels]; each image is the previous one, scrolled by one row.

    All images differ, and together they need only the memory of about `count` rows of pixels.
    """
    rows = np.random.default_rng(0).integers(0, 256, (count + size - 1, size, channels), np.uint8)
    return np.moveaxis(np.lib.stride_tricks.sliding_window_view(rows, size, axis=0), -1, 1)


def make_inputs(config, count: int):
    """Returns what the model reads of `count` images: scrolled pixels, or features drawn at random."""
    if tuple(config.model.observations) == ("pixels",):
        return make_scrolled_images(count, config.data.image_size, config.data.channels)
    from vae_jax.observation.observed import ObservedImages

    return ObservedImages(
        {"features": draw_features(config, count)}, np.arange(count, dtype=np.int32)
    )


def draw_features(config, count: int) -> np.ndarray:
    """Returns standard normal features [count, g, g, K], float16, as they are stored."""
    shape = (count, config.model.grid, config.model.grid, config.model.feature_channels)
    return np.random.default_rng(0).standard_normal(shape, np.float32).astype(np.float16)


def make_our_training(config, steps_per_epoch: int):
    """Returns the recipe, the state before the first step, and the traced hyperparameters."""
    from vae_jax.model.branched import build_branches
    from vae_jax.training.recipe import make_recipe
    from vae_jax.training.state import create_state
    from vae_jax.training.step import TracedHyperparameters

    recipe = make_recipe(config, build_branches(config), steps_per_epoch)
    hyperparameters = TracedHyperparameters(
        np.uint32(config.seed), np.float32(config.objective.beta)
    )
    return recipe, create_state(recipe, config.seed), hyperparameters


def make_our_batch(config, count: int):
    """Returns a batch of `make_inputs` on the device without padding."""
    import jax
    import jax.numpy as jnp

    from vae_jax.data.batches import Batch

    inputs = jax.tree.map(jnp.asarray, make_inputs(config, count)[:])
    return Batch(inputs, jnp.arange(count), jnp.ones(count), jnp.zeros(count, jnp.int32))


def choose_torch_device():
    """Returns the device of PyTorch, and lets products of float32 on a GPU use TF32, as XLA does."""
    import torch

    torch.set_float32_matmul_precision("high")
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def make_torch_network(config):
    """Returns the network with the same layers in PyTorch, in the format channels_last, and its device."""
    import torch
    from torch import nn

    channels, widths = config.data.channels, config.model.widths
    hidden, latent = config.model.hidden_dim, config.model.latent_dim
    flat = (config.data.image_size // 2 ** len(widths)) ** 2 * widths[-1]
    device = choose_torch_device()
    encoder, decoder, channels_in = [], [], channels
    for width in widths:
        encoder += [nn.Conv2d(channels_in, width, 4, 2, 1), nn.ReLU()]
        channels_in = width
    for width in (*reversed(widths[:-1]), channels):
        decoder += [nn.ConvTranspose2d(channels_in, width, 4, 2, 1), nn.ReLU()]
        channels_in = width
    dense = [nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU()] if hidden else [nn.Flatten()]
    undense = [nn.Linear(latent, hidden), nn.ReLU()] if hidden else []
    network = nn.ModuleDict(
        {
            "encoder": nn.Sequential(*encoder, *dense),
            "mu": nn.Linear(hidden or flat, latent),
            "logvar": nn.Linear(hidden or flat, latent),
            "unflatten": nn.Sequential(*undense, nn.Linear(hidden or latent, flat), nn.ReLU()),
            "decoder": nn.Sequential(*decoder[:-1]),
        }
    )
    return network.to(device, memory_format=torch.channels_last), device


def torch_decode(network, z, config):
    """Returns the logits [B, C, H, W] that the PyTorch decoder computes from z [B, Z]."""
    import torch

    widths = config.model.widths
    side = config.data.image_size // 2 ** len(widths)
    h = network["unflatten"](z).view(-1, widths[-1], side, side)
    return network["decoder"](h.contiguous(memory_format=torch.channels_last))


def make_torch_pixels(config, batch: int, device):
    """Returns random uint8 images [B, C, H, W] in the format channels_last."""
    import torch

    size = config.data.image_size
    pixels = torch.randint(0, 256, (batch, config.data.channels, size, size), dtype=torch.uint8)
    return pixels.to(device).contiguous(memory_format=torch.channels_last)


def make_torch_features(config, batch: int, device):
    """Returns the features [B, K, g, g] of `draw_features` in the format channels_last."""
    import torch

    features = torch.from_numpy(draw_features(config, batch)).to(device)
    return features.permute(0, 3, 1, 2)
