"""The variational autoencoder, and the plain autoencoder as its special case.

Pure linen modules: noise comes in as an argument, nothing is drawn inside.

x image [B, H, W, C] in [0, 1]; mu, logvar, eps, z [B, Z]; raw [B, H, W, P] the decoder's output before
the likelihood squashes it, P = C times the parameters of a channel; label [B, K] the class, one-hot, where
the model is conditional on it, else None.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Float

from vae_jax.data.region import Region
from vae_jax.model.decoder import Decoder
from vae_jax.model.distributions import LIKELIHOODS, Likelihood
from vae_jax.model.encoder import Encoder

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "leaky_relu": nn.leaky_relu,
    "elu": nn.elu,
    "gelu": nn.gelu,
    "silu": nn.silu,
    "tanh": nn.tanh,
}


@flax.struct.dataclass
class Posterior:
    """q(z | x) = N(mu, diag exp(logvar)); logvar is None for an autoencoder, whose q is a point."""

    mu: Any  # float32 [B, Z]
    logvar: Any  # float32 [B, Z], or None

    def sample(self, eps: Float[Array, "B Z"]) -> Float[Array, "B Z"]:
        """z = mu + sigma * eps (the reparameterisation of Kingma and Welling 2014)."""
        if self.logvar is None:
            return self.mu
        return self.mu + jnp.exp(0.5 * self.logvar) * eps


class VAE(nn.Module):
    """Encoder, decoder and the likelihood that ties the decoder's output to pixels.

    Attributes:
        image_size: H and W, divisible by 2 ** len(widths).
        channels: C.
        widths: channels after each stride-2 convolution.
        kernel_size: of the convolutions, pixels.
        hidden_dim: width of a dense layer on either side of the latent; 0 for none.
        latent_dim: Z.
        activation: a name in ACTIVATIONS.
        likelihood_name: a name in LIKELIHOODS.
        sigma: standard deviation of the gaussian and laplace likelihoods, in units of [0, 1] images.
        sampled: False makes it an autoencoder: no logvar, no sampling, no KL.
        num_classes: K, number of classes that a conditional model knows; 0 for none.
        region: of interest; None is the whole image.
        dtype: of the products.
    """

    image_size: int
    channels: int
    widths: Sequence[int]
    kernel_size: int
    hidden_dim: int
    latent_dim: int
    activation: str
    likelihood_name: str
    sigma: float
    sampled: bool = True
    num_classes: int = 0
    region: Region | None = None
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """Makes both halves; linen calls it."""
        activation = ACTIVATIONS[self.activation]
        self.encoder = Encoder(
            self.widths, self.kernel_size, self.hidden_dim, self.latent_dim, activation,
            self.sampled, self.dtype,
        )  # fmt: skip
        self.decoder = Decoder(
            self.image_size, self.channels * self.likelihood.parameters_per_channel, self.widths,
            self.kernel_size, self.hidden_dim, activation, self.dtype,
        )  # fmt: skip

    @property
    def likelihood(self) -> Likelihood:
        """p(x | z) as functions of the decoder's output."""
        return LIKELIHOODS[self.likelihood_name]

    def encode(
        self, x: Float[Array, "B H W C"], label: Float[Array, "B K"] | None = None
    ) -> Posterior:
        """Returns q(z | x)."""
        mu, logvar = self.encoder(x, label)
        return Posterior(mu, logvar)

    def decode(
        self, z: Float[Array, "B Z"], label: Float[Array, "B K"] | None = None
    ) -> Float[Array, "B H W P"]:
        """Returns the raw output for z; `mean` makes an image of it."""
        return self.decoder(z, label)

    def mean(self, raw: Float[Array, "B H W P"]) -> Float[Array, "B H W C"]:
        """Returns the expected image in [0, 1], black outside the region of interest."""
        return self.zero_outside_region(self.likelihood.mean(raw))

    def zero_outside_region(self, images: Float[Array, "B H W Q"]) -> Float[Array, "B H W Q"]:
        """Returns the images, 0 outside the region of interest."""
        return images if self.region is None else self.region.zero_outside(images)

    def select_region(self, values: Float[Array, "B h w Q"]) -> Float[Array, "B i j Q"]:
        """Returns the values that count: a line of those in the region, or all of them as they are."""
        return values if self.region is None else self.region.select(values)

    def log_prob(
        self, x: Float[Array, "B H W C"], raw: Float[Array, "B H W P"]
    ) -> Float[Array, "B i j C"]:
        """log p(x | z) of every pixel that counts, nats."""
        return self.likelihood.log_prob(self.select_region(x), self.select_region(raw), self.sigma)

    def __call__(
        self,
        x: Float[Array, "B H W C"],
        eps: Float[Array, "B Z"],
        label: Float[Array, "B K"] | None = None,
    ) -> tuple[Posterior, Float[Array, "B H W P"]]:
        """Returns q(z | x) and the raw output for the sample that eps picks."""
        posterior = self.encode(x, label)
        return posterior, self.decode(posterior.sample(eps), label)


@dataclasses.dataclass(frozen=True)
class BoundModel:
    """A model with its parameters, as plain functions for jit, grad, vmap and scan (not jvp, on the CPU).

    Attributes:
        model: the module.
        params: its parameters.
        class_index: the classes of a conditional model: one for all images, int32 [], or one each, [B].
    """

    model: VAE
    params: dict
    class_index: Any = None

    def encode(self, x: Float[Array, "B H W C"]) -> Posterior:
        """Returns q(z | x)."""
        return self.model.apply({"params": self.params}, x, self._label(len(x)), method=VAE.encode)

    def decode(self, z: Float[Array, "B Z"]) -> Float[Array, "B H W P"]:
        """Returns the raw output for z."""
        return self.model.apply({"params": self.params}, z, self._label(len(z)), method=VAE.decode)

    def reconstruct(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Returns x_hat from the posterior mean, in [0, 1]."""
        return self.model.mean(self.decode(self.encode(x).mu))

    def _label(self, count: int) -> Float[Array, "B K"] | None:
        if self.class_index is None:
            return None
        label = jax.nn.one_hot(self.class_index, self.model.num_classes, dtype=jnp.float32)
        return jnp.broadcast_to(label, (count, self.model.num_classes))


def build_model(config: ml_collections.ConfigDict, region: Region | None = None) -> VAE:
    """Builds the model that a resolved config describes.

    Args:
        config: resolved.
        region: of interest, as `Dataset.region` holds it; None where all pixels count.
    """
    model = config.model
    return VAE(
        image_size=config.data.image_size,
        channels=config.data.channels,
        widths=tuple(model.widths),
        kernel_size=model.kernel_size,
        hidden_dim=model.hidden_dim,
        latent_dim=model.latent_dim,
        activation=model.activation,
        likelihood_name=model.likelihood,
        sigma=model.sigma,
        sampled=model.kind == "vae",
        num_classes=model.num_classes,
        region=region,
        dtype=jnp.dtype(config.train.precision),
    )


def init_params(model: VAE, key: jax.Array) -> dict:
    """Draws the initial parameters, float32."""
    x = jnp.zeros((1, model.image_size, model.image_size, model.channels))
    label = jnp.zeros((1, model.num_classes)) if model.num_classes else None
    return model.init(key, x, jnp.zeros((1, model.latent_dim)), label)["params"]


def count_params(params: dict) -> int:
    """Counts the parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
