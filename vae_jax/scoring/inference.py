"""A trained model applied to many images: encode, decode, reconstruct and sample, in batches.

Every batch has the same shape, so each function compiles once per model and batch size, however often
it is called and whatever the parameters are.

N images, H W image, C channels, Z latent.
"""

import dataclasses
import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32, UInt8

from vae_jax.data.batches import map_rows, to_unit
from vae_jax.data.image_store import Images
from vae_jax.errors import UserError
from vae_jax.model import noise
from vae_jax.model.vae import VAE, BoundModel, Posterior
from vae_jax.scoring.class_marginal import bind_most_likely_class

ClassIndices = Int32[np.ndarray, "N"] | None


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

    A conditional model needs a class for every image. Where `class_indices` are given, they are used.
    Where they are None, `encode` and `reconstruct` take the most likely class of each image, and `decode`
    takes the classes in turn.

    Attributes:
        model: the module.
        params: its parameters.
        batch_size: images on the device at once.
    """

    model: VAE
    params: dict
    batch_size: int

    def encode(
        self, images: UInt8[Images, "N H W C"], class_indices: ClassIndices = None
    ) -> Posterior:
        """Returns the posterior of each image.

        Raises:
            UserError: if there is no image.
        """
        return self._in_batches(_encode, images, class_indices)

    def reconstruct(
        self, images: UInt8[Images, "N H W C"], class_indices: ClassIndices = None
    ) -> Reconstructions:
        """Returns each image decoded from its posterior mean, all of them in host memory at once.

        Raises:
            UserError: if there is no image.
        """
        return self._in_batches(_reconstruct, images, class_indices)

    def decode(
        self, z: Float[np.ndarray, "N Z"], class_indices: ClassIndices = None
    ) -> Float32[np.ndarray, "N H W C"]:
        """Returns the expected image of each code, in [0, 1].

        Raises:
            UserError: if there is no code.
        """
        if self.model.num_classes and class_indices is None:
            class_indices = (np.arange(len(z)) % self.model.num_classes).astype(np.int32)
        return self._in_batches(_decode, z.astype(np.float32), class_indices)

    def sample_prior(self, count: int, seed: int) -> Float32[np.ndarray, "count H W C"]:
        """Returns the expected images of codes from the prior; none for an autoencoder, which has none."""
        if not self.model.sampled:
            size, channels = self.model.image_size, self.model.channels
            return np.zeros((0, size, size, channels), np.float32)
        return self.decode(draw_prior(self.model, count, seed))

    def _in_batches(self, function, values, class_indices):
        if not len(values):
            raise UserError("the model was given no image; choose a role that has images")
        apply = functools.partial(function, self.model, self.params)
        return map_rows(apply, self.batch_size, values, class_indices)


def draw_prior(model: VAE, count: int, seed: int) -> Float32[np.ndarray, "count Z"]:
    """Returns z ~ N(0, 1) from the `sample` stream; the first codes do not depend on `count`.

    Raises:
        UserError: for an autoencoder, which has no prior.
    """
    if not model.sampled:
        raise UserError(
            "an autoencoder has no prior to sample from; sample from the mixture over its codes, or train "
            "with --config.model.kind=vae"
        )
    keys = noise.example_keys(noise.stream_key(seed, "sample"), 0, jnp.arange(count))
    return np.asarray(noise.draw_normal(keys, model.latent_dim))


@functools.partial(jax.jit, static_argnames="model")
def _encode(model: VAE, params: dict, images: UInt8[Array, "B H W C"], class_indices) -> Posterior:
    x = to_unit(images)
    return _bind(model, params, x, class_indices).encode(x)


@functools.partial(jax.jit, static_argnames="model")
def _reconstruct(
    model: VAE, params: dict, images: UInt8[Array, "B H W C"], class_indices
) -> Reconstructions:
    x = to_unit(images)
    bound = _bind(model, params, x, class_indices)
    posterior = bound.encode(x)
    return Reconstructions(model.mean(bound.decode(posterior.mu)), posterior)


@functools.partial(jax.jit, static_argnames="model")
def _decode(model: VAE, params: dict, z: Float[Array, "B Z"], class_indices):
    return model.mean(BoundModel(model, params, class_indices).decode(z))


def _bind(model: VAE, params: dict, x: Float[Array, "B H W C"], class_indices) -> BoundModel:
    if class_indices is None:
        return bind_most_likely_class(model, params, x)
    return BoundModel(model, params, class_indices)
