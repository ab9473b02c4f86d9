"""Datasets whose images have been observed: what a model reads instead of the pixels.

N images, M selected images, H W image, C channels.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Int, Int32, UInt8

from vae_jax import noise
from vae_jax.data.augment import make_augmentation
from vae_jax.data.batches import compute_content_index, map_batches, to_unit
from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.image_store import Images, take_images
from vae_jax.data.region import Region
from vae_jax.observation.fitted_observers import FittedObserver, fit_observers
from vae_jax.observation.standardised_observer import StandardisedObserver
from vae_jax.runtime.available_memory import check_fits, measure_available_bytes

ROLES = ("train", "val", "calibration", "test")
_AUGMENTATION_BATCH = 64  # images that are augmented at the same time


@dataclasses.dataclass(frozen=True)
class ObservedImages:
    """What a model of several observations reads of N images.

    Indexing by integers or a slice returns name -> array of those images.

    Attributes:
        arrays: `features` [N, h, w, K] and `pooled` [N, 2, F] and `bands` [N, h, w, K], standardised,
            float16. Only those that the model reads.
        content_index: number of each image that depends on its pixels alone.
    """

    arrays: dict[str, Images]
    content_index: Int32[np.ndarray, "N"]

    def __len__(self) -> int:
        return len(self.content_index)

    def __getitem__(self, rows: Any) -> dict[str, np.ndarray]:
        return {name: array[rows] for name, array in self.arrays.items()}

    @property
    def nbytes(self) -> int:
        """Bytes that all observations take in memory."""
        return sum(array.nbytes for array in self.arrays.values())

    def take(self, rows: Int[np.ndarray, "M"]) -> "ObservedImages":
        """Returns the observations of the images at these integers, or where these booleans are true."""
        return ObservedImages(
            {name: take_images(array, rows) for name, array in self.arrays.items()},
            self.content_index[rows],
        )


def observe_dataset(
    dataset: Dataset,
    config: ml_collections.ConfigDict,
    roles: Sequence[str] = ROLES,
    observers: Sequence[FittedObserver] | None = None,
) -> Dataset:
    """Returns the dataset with `observed` in its roles; a model of pixels alone needs none.

    Each image is observed once and kept on disk, in `data.dir`. Mean and standard deviation come from the
    training normals. With `model.augmented_copies`, the training images are followed by their copies.

    Args:
        dataset: images of all roles.
        config: resolved config of the run.
        roles: roles to observe; no image of another role except `train` is read.
        observers: the result of `fit_observers` for this dataset; None fits them here.

    Raises:
        UserError: if the weights of the feature network are missing, the disk cannot be written, or the
            augmented copies do not fit into memory.
    """
    if observers is None:
        observers = fit_observers(dataset.train.images, config)
    if not observers:
        return dataset
    observed = {}
    for role in roles:
        examples = getattr(dataset, role)
        copies = None
        if role == "train" and config.model.augmented_copies:
            check_fits(
                "the array of augmented copies",
                config.model.augmented_copies * examples.images.nbytes,
                measure_available_bytes(),
                f"lower model.augmented_copies (it is {config.model.augmented_copies})",
            )
            copies = np.concatenate([*_make_copies(dataset, config)])
        arrays = {}
        for observer in observers:
            arrays |= (
                observer.read_training(copies)
                if role == "train"
                else observer.read(examples.images)
            )
        images = [examples.images] if copies is None else [examples.images, copies]
        observed[role] = dataclasses.replace(examples, observed=_join_arrays(arrays, *images))
    return dataclasses.replace(dataset, observers=tuple(observers), **observed)


def observe_images(
    images: UInt8[Images, "N H W C"],
    observers: Sequence[StandardisedObserver],
    description: str | None = None,
) -> ObservedImages | None:
    """Observes images in memory, as a trained model reads them; nothing is written to disk.

    Args:
        images: images of the size of the dataset, at least one.
        observers: observers of the run, for example the result of `fit_observers` for its training normals.
        description: text of a progress bar; None shows no bar.

    Returns:
        The value of `Examples.observed`: None for a model of pixels alone.
    """
    if not observers:
        return None
    arrays = {}
    for observer in observers:
        arrays |= observer.compute(images, description)
    return _join_arrays(arrays, images)


def select_inputs(inputs: Images | ObservedImages, branch: str) -> Images:
    """Returns what one branch of a model reads of all images.

    Args:
        inputs: what the model reads.
        branch: name of an observation.
    """
    return inputs.arrays[branch] if isinstance(inputs, ObservedImages) else inputs


def get_inputs(examples: Examples) -> Images | ObservedImages:
    """Returns what the model reads: the observations of the images, or for pixels alone the images."""
    return examples.images if examples.observed is None else examples.observed


def _join_arrays(arrays: dict[str, Images], *parts: UInt8[Images, "_ H W C"]) -> ObservedImages:
    indices = [
        compute_content_index(images[start : start + _AUGMENTATION_BATCH])
        for images in parts
        for start in range(0, len(images), _AUGMENTATION_BATCH)
    ]
    return ObservedImages(arrays, np.concatenate(indices))


def _make_copies(
    dataset: Dataset, config: ml_collections.ConfigDict
) -> Iterator[UInt8[np.ndarray, "N H W C"]]:
    """Yields the training images once for each augmented copy, every image with its own noise."""
    augment = _compile_augmentation(config.augment, config.seed, dataset.region)
    for copy in range(config.model.augmented_copies):
        yield map_batches(
            functools.partial(augment, np.int32(copy)),
            dataset.train.images,
            min(_AUGMENTATION_BATCH, len(dataset.train)),
        )


def _compile_augmentation(
    augment_config: ml_collections.ConfigDict, seed: int, region: Region | None
) -> Callable:
    augmentation = make_augmentation(augment_config)

    @jax.jit
    def augment(copy, batch):
        keys = noise.example_keys(noise.stream_key(seed, "augment"), copy, batch.index)
        x = augmentation(to_unit(batch.image), keys)
        if region is not None:
            x = region.zero_outside(x)
        return jnp.round(255 * jnp.clip(x, 0, 1)).astype(jnp.uint8)

    return augment
