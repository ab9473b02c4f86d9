"""A trained model beside its data, as plain functions between images and codes.

N images, H W image, C channels, Z latent.
"""

import dataclasses
import functools
import pathlib

import jax
import ml_collections
import numpy as np
from jaxtyping import Float, Float32, Int32, UInt8

from vae_jax.data.conditions import conditions
from vae_jax.data.pipeline import Dataset, Examples
from vae_jax.data.stored import Images
from vae_jax.errors import UserError
from vae_jax.model.vae import VAE, Bound, Posterior, build_model
from vae_jax.scoring.batches import in_batches
from vae_jax.scoring.condition import bind
from vae_jax.training.checkpoint import best_params
from vae_jax.training.step import to_unit

_BATCH = 64  # images on the device at once

Conditions = Int32[np.ndarray, "N"] | None


@dataclasses.dataclass(frozen=True)
class Trained:
    """What every part of an exploration looks at.

    Attributes:
        config: of the run.
        model: the module.
        params: of its best checkpoint.
        dataset: in the roles of the run.
    """

    config: ml_collections.ConfigDict
    model: VAE
    params: dict
    dataset: Dataset

    def conditions(self, examples: Examples) -> Conditions:
        """Returns the number of each image's class, -1 for strangers; None for other models."""
        return conditions(self.config, self.dataset, examples)

    def encode(self, images: UInt8[Images, "N H W C"], given: Conditions = None) -> Posterior:
        """Returns the posteriors, NumPy, of images as stored.

        Args:
            images: one at least.
            given: for a conditional model, the class of each; None takes the most likely ones.

        Raises:
            UserError: if there is none.
        """
        return self._in_batches(self._encode, images, given)

    def decode(
        self, z: Float[np.ndarray, "N Z"], given: Conditions = None
    ) -> Float32[np.ndarray, "N H W C"]:
        """Returns the expected images of codes, in [0, 1].

        Args:
            z: codes, one at least.
            given: for a conditional model, the class of each; None takes the classes in turn.

        Raises:
            UserError: if there is none.
        """
        if self.model.num_classes and given is None:
            given = (np.arange(len(z)) % self.model.num_classes).astype(np.int32)
        return self._in_batches(self._decode, z.astype(np.float32), given)

    def reconstruct(
        self, images: UInt8[Images, "N H W C"], given: Conditions = None
    ) -> Float32[np.ndarray, "N H W C"]:
        """Returns the images decoded from their posterior means, in [0, 1]."""
        return self._in_batches(self._reconstruct, images, given)

    @functools.cached_property
    def _encode(self):
        return jax.jit(lambda params, image, given: self._bound(params, image, given)[1])

    @functools.cached_property
    def _decode(self):
        model = self.model
        return jax.jit(lambda params, z, given: model.mean(Bound(model, params, given).decode(z)))

    @functools.cached_property
    def _reconstruct(self):
        def reconstruct(params, image, given):
            bound, posterior = self._bound(params, image, given)
            return self.model.mean(bound.decode(posterior.mu))

        return jax.jit(reconstruct)

    def _in_batches(self, function, values, given):
        if not len(values):
            raise UserError("there is no image to look at; take a role that has some")
        return in_batches(functools.partial(function, self.params), _BATCH, values, given)

    def _bound(self, params, image, given) -> tuple[Bound, Posterior]:
        x = to_unit(image)
        known = given is not None or not self.model.num_classes
        bound = Bound(self.model, params, given) if known else bind(self.model, params, x)
        return bound, bound.encode(x)


def load(config: ml_collections.ConfigDict, workdir: pathlib.Path, dataset: Dataset) -> Trained:
    """Reads the best checkpoint of a run.

    Raises:
        UserError: if the workdir holds none.
    """
    return Trained(config, build_model(config), best_params(workdir, dataset.fingerprint), dataset)
