"""How much memory the steps of a run need at least, computed from its config without JAX.

An estimate counts only what certainly exists at the same time, so it is below what a run takes, often by a
factor of two or more. A run that is refused because of it would not have worked; a run that is not refused
may still need more memory than there is. What depends on the number of images is checked later, when that
number is known.
"""

import dataclasses

import ml_collections

from vae_jax.model_sizes import ModelSize, measure_model

_FLOAT = 4  # bytes of a float32
_PLAN = 12  # bytes that the plan of a training step holds for each image: row, mask and class
_TRAINING_MODES = ("train", "ablate")
_SCORING_MODES = (*_TRAINING_MODES, "evaluate", "verify", "select")


@dataclasses.dataclass(frozen=True)
class Need:
    """The memory that one step of a run needs at least.

    Attributes:
        purpose: what needs the memory, as the subject of a sentence in the singular.
        num_bytes: how much it needs at least.
        on_device: whether this is memory of the device that computes; otherwise it is that of the machine.
    """

    purpose: str
    num_bytes: int
    on_device: bool = False


def list_needs(config: ml_collections.ConfigDict, mode: str, num_devices: int = 1) -> list[Need]:
    """Returns what the steps of a mode need; they follow each other, so their needs do not add up.

    Args:
        config: resolved and valid config.
        mode: mode of the command.
        num_devices: number of devices that share a batch and have memory of their own.
    """
    if mode == "audit":  # it reads images at sizes of its own
        return []
    sizes = measure_model(config)
    needs = [_measure_image(config), *_measure_observations(config)]
    if mode in _TRAINING_MODES:
        needs.append(_measure_training(config, sizes, num_devices))
        needs += _measure_copies(config)
    else:
        num_parameters = sum(size.parameters for size in sizes.values())
        needs.append(Need("the model", _FLOAT * num_parameters, on_device=True))
    samples = {}
    if mode in _SCORING_MODES:
        needs.append(_measure_samples_of_scores(config, sizes))
        samples = {"the gallery of report.samples images": config.report.samples}
    if mode == "explore":
        samples = {
            "a gallery of explore.samples images": config.explore.samples,
            "a path of explore.steps images": config.explore.steps,
        }
    if "pixels" in sizes and config.model.kind != "ae":
        num_values = sizes["pixels"].latent + config.data.image_size**2 * config.data.channels
        needs += [Need(name, _FLOAT * count * num_values) for name, count in samples.items()]
    return needs


def _measure_image(config: ml_collections.ConfigDict) -> Need:
    """One image, which exists twice while it is decoded: in Pillow and as an array."""
    return Need("one image", 2 * config.data.image_size**2 * config.data.channels)


def _measure_observations(config: ml_collections.ConfigDict) -> list[Need]:
    """One image as the network of features, or the filters of bands, reads it in float32."""
    model = config.model
    channels = {"features": 3 * model.feature_size**2, "bands": model.band_size**2}
    return [
        Need(f"one image for the {name}", _FLOAT * channels[name], on_device=True)
        for name in model.observations
        if name in channels
    ]


def _measure_training(
    config: ml_collections.ConfigDict, sizes: dict[str, ModelSize], num_devices: int
) -> Need:
    """Parameters, Adam's two moments, and then the gradients or the largest layer of the batch.

    All gradients exist at the same time, because they are clipped by their common norm.
    """
    state = _FLOAT * sum(size.parameters for size in sizes.values())
    if config.model.kind == "linear":
        return Need("the state of training", 3 * state, on_device=True)
    if config.train.parallel == "jit":
        num_devices = 1  # this uses one device, however many there are
    value = 2 if config.train.precision == "bfloat16" else _FLOAT
    largest = max(size.largest_layer for size in sizes.values())
    num_images = config.train.batch_size // num_devices
    batch = _PLAN * num_images + value * largest * (num_images // config.train.accumulate)
    return Need("a training step", 3 * state + max(state, batch), on_device=True)


def _measure_copies(config: ml_collections.ConfigDict) -> list[Need]:
    """The augmented copies of one training image; there is at least one."""
    if tuple(config.model.observations) == ("pixels",):
        return []
    num_values = config.data.image_size**2 * config.data.channels
    return [Need("one training image with its copies", config.model.augmented_copies * num_values)]


def _measure_samples_of_scores(
    config: ml_collections.ConfigDict, sizes: dict[str, ModelSize]
) -> Need:
    """What the decoder puts out for all samples of one image; a score reads them together."""
    outputs = sum(size.outputs for size in sizes.values()) if config.model.kind != "ae" else 0
    num_bytes = _FLOAT * max(config.scoring.samples, 0) * outputs
    return Need("one image with its samples", num_bytes, on_device=True)
