"""A trained model that encodes, decodes, reconstructs and samples many images in batches.

All batches of a call have the same shape, so each function compiles once per model and batch size. It does
not compile again when it is called again or when the parameters change.

N images, B batch, H W image, C channels, Z latent.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32, Shaped

from vae_jax import noise
from vae_jax.data.batches import Batch, map_batches, map_rows, to_float
from vae_jax.data.image_store import Images
from vae_jax.errors import UserError
from vae_jax.model.branched import Model
from vae_jax.model.vae import VAE, BoundModel, Posterior
from vae_jax.observation.observed import ObservedImages
from vae_jax.scoring.class_marginal import bind_most_likely_class

ClassIndices = Int32[np.ndarray, "N"] | None
Tree = TypeVar("Tree")


@flax.struct.dataclass
class Reconstructions:
    """Images decoded from their posterior means, and the posteriors.

    Attributes:
        x_hat: reconstructions, in [0, 1].
        posterior: q(z | x) of each image.
    """

    x_hat: Any  # float32 [N, H, W, C]
    posterior: Posterior


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A model with its parameters, as functions between NumPy arrays.

    A model of several observations encodes, decodes and reconstructs branch by branch, see `select_branch`.
    A conditional model needs a class for every image. If `class_indices` are passed, they are used.
    If not, `encode` and `reconstruct` take the most likely class of each image, and `decode` takes the
    classes in turn.

    Attributes:
        model: the module.
        params: its parameters.
        batch_size: number of images that are on the device at the same time.
    """

    model: Model
    params: dict
    batch_size: int

    def select_branch(self, name: str) -> "TrainedModel":
        """Returns one branch of a model as a model of its own."""
        return TrainedModel(
            self.model.branches[name], self.model.split(self.params)[name], self.batch_size
        )

    def with_max_batch_size(self, max_batch_size: int) -> "TrainedModel":
        """Returns the same model with a batch size of at most `max_batch_size` images."""
        return dataclasses.replace(self, batch_size=min(self.batch_size, max_batch_size))

    def encode(
        self, images: Shaped[Images, "N H W C"], class_indices: ClassIndices = None
    ) -> Posterior:
        """Returns the posterior of each image.

        Raises:
            UserError: if there are no images.
        """
        return self._in_batches(_encode, images, class_indices)

    def reconstruct(
        self, images: Shaped[Images, "N H W C"], class_indices: ClassIndices = None
    ) -> Reconstructions:
        """Returns every image decoded from its posterior mean; all results are in host memory together.

        Raises:
            UserError: if there are no images.
        """
        return self._in_batches(_reconstruct, images, class_indices)

    def decode(
        self, z: Float[np.ndarray, "N Z"], class_indices: ClassIndices = None
    ) -> Float32[np.ndarray, "N H W C"]:
        """Returns the expected image of each code z, in [0, 1].

        Raises:
            UserError: if there are no codes.
        """
        if self.model.num_classes and class_indices is None:
            class_indices = (np.arange(len(z)) % self.model.num_classes).astype(np.int32)
        return self._in_batches(_decode, z.astype(np.float32), class_indices)

    def sample_prior(self, count: int, seed: int) -> Float32[np.ndarray, "M H W C"]:
        """Returns the expected images of `count` codes from the prior.

        An autoencoder has no prior, so the result holds no image.
        """
        if not self.model.sampled:
            size, channels = self.model.image_size, self.model.channels
            return np.zeros((0, size, size, channels), np.float32)
        return self.decode(draw_prior(self.model, count, seed))

    def map_batches(
        self, function: Callable[[dict, Batch], Tree], images: Images | ObservedImages
    ) -> Tree:
        """Applies a function of the parameters and a batch to all images.

        Args:
            function: compiled function that returns arrays with one row per image of the batch.
            images: at least one image.

        Returns:
            The rows of all images, as NumPy arrays.
        """
        return map_batches(lambda batch: function(self.params, batch), images, self.batch_size)

    def _in_batches(self, function, values, class_indices):
        if not len(values):
            raise UserError("the model received no images; choose a role that has images")
        apply = functools.partial(function, self.model, self.params)
        return map_rows(apply, self.batch_size, values, class_indices)


def draw_prior(model: VAE, count: int, seed: int) -> Float32[np.ndarray, "count Z"]:
    """Draws z ~ N(0, 1) from the `sample` stream; the first codes do not depend on `count`.

    Raises:
        UserError: if the model is an autoencoder, which has no prior.
    """
    if not model.sampled:
        raise UserError(
            "an autoencoder has no prior to sample from; sample from the mixture over its codes, or train "
            "with --config.model.kind=vae"
        )
    keys = noise.example_keys(noise.stream_key(seed, "sample"), 0, jnp.arange(count))
    return np.asarray(noise.draw_normal(keys, model.latent_size))


@functools.partial(jax.jit, static_argnames="model")
def _encode(model: VAE, params: dict, images: Shaped[Array, "B H W C"], class_indices) -> Posterior:
    x = to_float(images)
    return _bind_classes(model, params, x, class_indices).encode(x)


@functools.partial(jax.jit, static_argnames="model")
def _reconstruct(
    model: VAE, params: dict, images: Shaped[Array, "B H W C"], class_indices
) -> Reconstructions:
    x = to_float(images)
    bound = _bind_classes(model, params, x, class_indices)
    posterior = bound.encode(x)
    return Reconstructions(model.mean(bound.decode(posterior.mu)), posterior)


@functools.partial(jax.jit, static_argnames="model")
def _decode(model: VAE, params: dict, z: Float[Array, "B Z"], class_indices):
    return model.mean(BoundModel(model, params, class_indices).decode(z))


def _bind_classes(
    model: VAE, params: dict, x: Float[Array, "B H W C"], class_indices
) -> BoundModel:
    if class_indices is None:
        return bind_most_likely_class(model, params, x)
    return BoundModel(model, params, class_indices)
