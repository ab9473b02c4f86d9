"""Datasets whose images have been observed: what a model reads instead of the pixels.

N images, M selected images, H W image, C channels.
"""

import dataclasses
import functools
import logging
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int, Int32, UInt8

from vae_jax import noise
from vae_jax.data.augment import make_augmentation
from vae_jax.data.batches import compute_content_index, map_batches, to_unit
from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.image_store import Images, join_images, take_images
from vae_jax.errors import UserError
from vae_jax.observation.observers import make_observers
from vae_jax.observation.standardise import Standardiser, fit_standardiser, standardise
from vae_jax.observation.store import ObservationStore
from vae_jax.workdir import mark_output

_log = logging.getLogger(__name__)

ROLES = ("train", "val", "calibration", "test")
_AUGMENTATION_BATCH = 64  # images that are augmented at the same time


@dataclasses.dataclass(frozen=True)
class ObservedImages:
    """What a model of several observations reads of N images.

    Indexing by integers or a slice returns name -> array of those images.

    Attributes:
        arrays: `features` [N, h, w, K] and `pooled` [N, 2, F] and `bands` [N, h, w, K], standardised,
            float16; `pixels` [N, H, W, C], uint8. Only those that the model reads.
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


def observe_dataset(dataset: Dataset, config: ml_collections.ConfigDict) -> Dataset:
    """Returns the dataset with `observed` in every role; a model of pixels alone needs none.

    Each image is observed once and kept on disk, in `data.dir`. Mean and standard deviation come from the
    training normals. With `model.augmented_copies`, the training images are followed by their copies.

    Args:
        dataset: images of all roles.
        config: resolved config of the run.

    Raises:
        UserError: if the weights of the feature network are missing, or the disk cannot be written.
    """
    if tuple(config.model.observations) == ("pixels",):
        return dataset
    role_images = {role: getattr(dataset, role).images for role in ROLES}
    num_train = len(role_images["train"])
    if config.model.augmented_copies:
        role_images["train"] = join_images([role_images["train"], *_make_copies(dataset, config)])
    arrays: dict[str, dict[str, Images]] = {role: {} for role in ROLES}
    if "pixels" in config.model.observations:
        for role, images in role_images.items():
            arrays[role]["pixels"] = images
    for name, raw, standardiser in _observe(role_images, num_train, config):
        for role in ROLES:
            arrays[role][name] = standardise(raw[role], standardiser)
    roles = {
        role: dataclasses.replace(
            getattr(dataset, role), observed=_join_arrays(arrays[role], role_images[role])
        )
        for role in ROLES
    }
    return dataclasses.replace(dataset, **roles)


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


def _observe(
    role_images: dict[str, UInt8[Images, "N H W C"]],
    num_train: int,
    config: ml_collections.ConfigDict,
) -> Iterator[tuple[str, dict[str, Images], Standardiser]]:
    """Yields each array: its name, its values by role as stored, and how they are standardised."""
    folder = _locate_stores(config.data)
    for observer in make_observers(config.model):
        store = ObservationStore(folder, observer)
        try:
            mark_output(folder)
            by_role = {role: store.observe(images) for role, images in role_images.items()}
        except OSError as error:
            raise UserError(
                f"observations cannot be written to {folder} ({error.strerror or error}); make space, or "
                "name another folder with --config.data.dir"
            ) from error
        for name in by_role["train"]:
            raw = {role: arrays[name] for role, arrays in by_role.items()}
            normals = take_images(raw["train"], np.arange(num_train))
            yield name, raw, _fit_standardiser(name, normals, config.model)


def _fit_standardiser(
    name: str, normals: Images, model_config: ml_collections.ConfigDict
) -> Standardiser:
    if name == "features":
        return fit_standardiser(
            normals, per_place=False, num_channels=model_config.feature_channels
        )
    return fit_standardiser(normals, per_place=True)


def _locate_stores(data_config: ml_collections.ConfigDict) -> pathlib.Path:
    root = data_config.dir or tfds.core.constants.get_default_data_dir()
    return pathlib.Path(root).expanduser() / "vae_jax_observations"


def _join_arrays(arrays: dict[str, Images], images: UInt8[Images, "N H W C"]) -> ObservedImages:
    indices = [
        compute_content_index(images[start : start + _AUGMENTATION_BATCH])
        for start in range(0, len(images), _AUGMENTATION_BATCH)
    ]
    return ObservedImages(arrays, np.concatenate(indices))


def _make_copies(
    dataset: Dataset, config: ml_collections.ConfigDict
) -> Iterator[UInt8[np.ndarray, "N H W C"]]:
    """Yields the training images once for each augmented copy, every image with its own noise."""
    augment = _compile_augmentation(config.augment, config.seed)
    for copy in range(config.model.augmented_copies):
        yield map_batches(
            functools.partial(augment, np.int32(copy)),
            dataset.train.images,
            min(_AUGMENTATION_BATCH, len(dataset.train)),
        )


def _compile_augmentation(augment_config: ml_collections.ConfigDict, seed: int) -> Callable:
    augmentation = make_augmentation(augment_config)

    @jax.jit
    def augment(copy, batch):
        keys = noise.example_keys(noise.stream_key(seed, "augment"), copy, batch.index)
        x = augmentation(to_unit(batch.image), keys)
        return jnp.round(255 * jnp.clip(x, 0, 1)).astype(jnp.uint8)

    return augment
