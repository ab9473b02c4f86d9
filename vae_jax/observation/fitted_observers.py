"""Observers with the standardisers of a run: they observe the images of a dataset, or any other image.

n training normals, N images, M training normals and copies, H W image, C channels.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

import ml_collections
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Float, UInt8

from vae_jax.data.image_store import Images, join_images
from vae_jax.errors import UserError
from vae_jax.observation.observers import make_observers
from vae_jax.observation.standardise import Standardiser, fit_standardiser, standardise
from vae_jax.observation.standardised_observer import StandardisedObserver
from vae_jax.observation.store import ObservationStore
from vae_jax.workdir import mark_output


@dataclasses.dataclass(frozen=True)
class FittedObserver(StandardisedObserver):
    """A standardised observer that keeps observations on disk.

    Attributes:
        store: its observations on disk.
        training: name of an array -> observations of the training normals as they are on disk.
    """

    store: ObservationStore
    training: dict[str, Images]

    def read(self, images: UInt8[Images, "N H W C"]) -> dict[str, Float[np.ndarray, "N ..."]]:
        """Returns name of an array -> standardised observations; those of new images are kept on disk.

        Raises:
            UserError: if they cannot be written.
        """
        with _report_disk(self.store.root):
            stored = self.store.observe(images)
        return self._standardise(stored)

    def read_training(
        self, copies: UInt8[Images, "N H W C"] | None
    ) -> dict[str, Float[np.ndarray, "M ..."]]:
        """Returns the same for the training normals, followed by their augmented copies if there are any.

        Raises:
            UserError: if they cannot be written.
        """
        stored = self.training
        if copies is not None:
            with _report_disk(self.store.root):
                stored_copies = self.store.observe(copies)
            stored = {
                name: join_images([array, stored_copies[name]]) for name, array in stored.items()
            }
        return self._standardise(stored)

    def _standardise(self, stored: dict[str, Images]) -> dict[str, Float[np.ndarray, "N ..."]]:
        return {
            name: standardise(array, self.standardisers[name]) for name, array in stored.items()
        }


def fit_observers(
    train_images: UInt8[Images, "n H W C"], config: ml_collections.ConfigDict
) -> list[FittedObserver]:
    """Fits the standardisers of each observer of the model on the training normals.

    The observations of the training normals are kept on disk, in `data.dir`, so that a second fit computes
    none of them. The same images and config give the same standardisers.

    Args:
        train_images: images of the training normals, without augmented copies.
        config: resolved config of the run.

    Returns:
        One for each observation of the model except pixels.

    Raises:
        UserError: if the weights of the feature network are missing, or the disk cannot be written.
    """
    root = _locate_stores(config.data)
    fitted = []
    for observer in make_observers(config.model):
        store = ObservationStore(root, observer)
        with _report_disk(root):
            mark_output(root)
            stored = store.observe(train_images)
        standardisers = {
            name: _fit_standardiser(name, normals, config.model) for name, normals in stored.items()
        }
        fitted.append(FittedObserver(observer, standardisers, store, stored))
    return fitted


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


@contextlib.contextmanager
def _report_disk(root: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"observations cannot be written to {root} ({error.strerror or error}); make space, or "
            "name another folder with --config.data.dir"
        ) from error
