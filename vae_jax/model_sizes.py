"""How large a model is, computed from its config without JAX: parameters, and the values of its layers.

The formulas follow the networks in `model/`; a test compares the counts with those of JAX for every shipped
config.

Names: k kernel size, w channels of a hidden layer, Z latent dimensions, K classes of a conditional model,
S height and width of what is explained (pixels or cells), C its channels.
"""

import dataclasses
from collections.abc import Sequence

import ml_collections

from vae_jax.validate_model import BAND_CELL, NUM_BAND_CHANNELS

# Likelihoods for which the decoder puts out two numbers for each value of an image.
_TWO_PARAMETERS = ("gaussian_learned", "discretised_logistic")


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer, for one image.

    Attributes:
        parameters: number of its parameters.
        inputs: number of values that it reads.
        outputs: number of values that it writes.
    """

    parameters: int
    inputs: int = 0
    outputs: int = 0


@dataclasses.dataclass(frozen=True)
class ModelSize:
    """The size of a model of one observation, for one image.

    Attributes:
        parameters: number of parameters.
        latent: number of all latent dimensions.
        outputs: number of values that the decoder puts out.
        largest_layer: number of the values that the largest layer reads and writes. Both exist at the same
            time, because the gradient of the parameters is computed from its input and from the gradient
            of its output.
    """

    parameters: int
    latent: int
    outputs: int
    largest_layer: int


def measure_model(config: ml_collections.ConfigDict) -> dict[str, ModelSize]:
    """Returns name of an observation -> size of the model that explains it.

    Args:
        config: resolved config; its groups `data` and `model` are used.
    """
    return {name: _measure_branch(config, name) for name in config.model.observations}


def _measure_branch(config: ml_collections.ConfigDict, name: str) -> ModelSize:
    model = config.model
    sampled = model.kind != "ae"
    if name == "pixels":
        size, channels, latent_dim = config.data.image_size, config.data.channels, model.latent_dim
        outputs = channels * (2 if model.likelihood in _TWO_PARAMETERS else 1)
        layers = _list_convolutional(
            size, channels, outputs, model.widths, model.kernel_size, model.hidden_dim, latent_dim,
            model.num_classes, sampled,
        )  # fmt: skip
    elif name == "features":
        size, channels, latent_dim = model.grid, model.feature_channels, model.feature_latent_dim
        layers = _list_branch(config, name, size, channels, latent_dim, sampled)
        outputs = 2 * channels
    else:
        size, channels = -(-model.band_size // BAND_CELL), NUM_BAND_CHANNELS
        latent_dim = model.band_latent_dim
        layers = _list_branch(config, name, size, channels, latent_dim, sampled)
        outputs = 2 * channels
    latent = latent_dim
    if model.kind == "linear":
        layers, outputs = _list_linear(size**2 * channels, latent_dim), 2 * channels
    elif _is_spatial(model, name):
        latent = (-(-size // 2)) ** 2 * latent_dim
    return ModelSize(
        parameters=sum(layer.parameters for layer in layers),
        latent=latent,
        outputs=size**2 * outputs,
        largest_layer=max(layer.inputs + layer.outputs for layer in layers),
    )


def _is_spatial(model: ml_collections.ConfigDict, name: str) -> bool:
    if name == "pixels":
        return False
    return model.latent == "spatial" or (model.latent == "auto" and name == "features")


def _list_branch(
    config: ml_collections.ConfigDict,
    name: str,
    size: int,
    channels: int,
    latent_dim: int,
    sampled: bool,
) -> list[Layer]:
    """Returns the layers of a model of features or bands."""
    widths = config.model[f"{name.removesuffix('s')}_widths"]
    if _is_spatial(config.model, name):
        return _list_spatial(size, channels, latent_dim, widths[0], sampled)
    layers = _list_convolutional(
        size, channels, channels, widths, config.model.kernel_size, 0, latent_dim, 0, sampled
    )
    return [*layers, Layer(channels)]  # log_sigma


def _list_convolutional(
    size: int,
    channels: int,
    outputs: int,
    widths: Sequence[int],
    kernel_size: int,
    hidden_dim: int,
    latent_dim: int,
    num_classes: int,
    sampled: bool,
) -> list[Layer]:
    """Returns the layers of `model/encoder.py` and `model/decoder.py`."""
    layers = []
    side, width = size, channels
    for next_width in widths:
        layers.append(_convolution(side, side // 2, width, next_width, kernel_size))
        side, width = side // 2, next_width
    flat = side**2 * width
    last = flat + num_classes
    if hidden_dim:
        layers.append(_dense(last, hidden_dim))
        last = hidden_dim
    layers += [_dense(last, latent_dim)] * (2 if sampled else 1)
    last = latent_dim + num_classes
    if hidden_dim:
        layers.append(_dense(last, hidden_dim))
        last = hidden_dim
    layers.append(_dense(last, flat))
    for next_width in [*reversed(widths[:-1]), outputs]:
        layers.append(_convolution(side, 2 * side, width, next_width, kernel_size))
        side, width = 2 * side, next_width
    return layers


def _list_spatial(
    size: int, channels: int, latent_dim: int, width: int, sampled: bool
) -> list[Layer]:
    """Returns the layers of `model/spatial.py`."""
    half = -(-size // 2)
    encoder = [
        _convolution(size, size, channels, width, 1),
        _convolution(size, half, width, width, 3),
        _convolution(half, half, width, width, 3),
        *[_convolution(half, half, width, latent_dim, 1)] * (2 if sampled else 1),
    ]
    decoder = [
        _convolution(half, half, latent_dim, width, 3),
        _convolution(half, half, width, 4 * width, 1),
        Layer(10 * width, size**2 * width, size**2 * width),  # each channel for itself
        _convolution(size, size, width, width, 1),
        Layer(size**2 * width),  # places
        _convolution(size, size, width, channels, 1),
        Layer(channels),  # log_sigma
    ]
    return encoder + decoder


def _list_linear(num_values: int, latent_dim: int) -> list[Layer]:
    """Returns the two layers of `model/linear.py`."""
    weights = num_values * latent_dim
    return [
        Layer(num_values + weights + latent_dim, num_values, latent_dim),
        Layer(num_values + weights + 1, latent_dim, num_values),
    ]


def _convolution(side: int, next_side: int, width: int, next_width: int, kernel_size: int) -> Layer:
    weights = kernel_size**2 * width * next_width
    return Layer(weights + next_width, side**2 * width, next_side**2 * next_width)


def _dense(inputs: int, outputs: int) -> Layer:
    return Layer((inputs + 1) * outputs, inputs, outputs)
