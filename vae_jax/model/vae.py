"""The variational autoencoder, and the plain autoencoder as a special case.

The modules are pure: noise is an argument, and nothing is drawn inside them.

Names and shapes: x [B, H, W, C] is an image in [0, 1], or another observation of the image: a grid of
standardised features or bands; mu, logvar, eps, z [B, Z]; raw [B, H, W, P] the unbounded output of the
decoder, P = C times the number of parameters per channel; label [B, K] the one-hot class of a conditional
model, None for other models.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import ml_collections
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from vae_jax.data.region import Region
from vae_jax.model.decoder import Decoder
from vae_jax.model.distributions import LIKELIHOODS, Likelihood
from vae_jax.model.encoder import Encoder
from vae_jax.model.linear import LinearDecoder, LinearEncoder
from vae_jax.model.spatial import SpatialDecoder, SpatialEncoder, count_latent_dimensions

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
    """q(z | x) = N(mu, diag exp(logvar)); for an autoencoder logvar is None and z = mu."""

    mu: Any  # float32 [B, Z]
    logvar: Any  # float32 [B, Z], or None

    def sample(self, eps: Float[Array, "B Z"]) -> Float[Array, "B Z"]:
        """Returns z = mu + sigma * eps, the reparameterisation of Kingma and Welling 2014."""
        if self.logvar is None:
            return self.mu
        return self.mu + jnp.exp(0.5 * self.logvar) * eps


class VAE(nn.Module):
    """Encoder, decoder, and the likelihood that is computed from the decoder's output.

    Attributes:
        image_size: height H and width W of what is explained, pixels or cells; divisible by
            2 ** len(widths) if the network is `convolutional`.
        channels: number of channels C of what is explained.
        widths: channels after each stride-2 convolution of the encoder; the decoder uses the reverse order.
        kernel_size: kernel size of the convolutions, pixels.
        hidden_dim: width of the dense layer before and of that after the latent; 0 for no such layers.
        latent_dim: number of latent dimensions; of each cell if the network is `spatial`.
        activation: name of the activation function, a key of ACTIVATIONS.
        likelihood_name: name of the likelihood, a key of LIKELIHOODS.
        sigma: standard deviation of the gaussian and laplace likelihoods, in units of images in [0, 1].
        sampled: True for a VAE; False for an autoencoder, which has no logvar, no sampling and no KL.
        num_classes: number of classes K of a conditional model; 0 for a model that is not conditional.
        region: region of interest; None if all pixels count.
        dtype: dtype of the products in the layers.
        network: "convolutional", with a vector as latent; "spatial", with a grid of vectors as latent; or
            "linear". The last two need the likelihood `normal`.
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
    dtype: DTypeLike = jnp.float32
    network: str = "convolutional"

    def setup(self):
        """Builds encoder and decoder; linen calls this method."""
        activation = ACTIVATIONS[self.activation]
        if self.network == "linear":
            self.encoder = LinearEncoder(self.latent_dim)
            self.decoder = LinearDecoder((self.image_size, self.image_size, self.channels))
            return
        if self.network == "spatial":
            self.encoder = SpatialEncoder(self.latent_dim, self.widths[0], self.sampled, self.dtype)
            self.decoder = SpatialDecoder(
                self.image_size, self.channels, self.latent_dim, self.widths[0], self.dtype
            )
            return
        self.encoder = Encoder(
            self.widths, self.kernel_size, self.hidden_dim, self.latent_dim, activation,
            self.sampled, self.dtype,
        )  # fmt: skip
        outputs = self.channels * self.likelihood.parameters_per_channel
        if self.likelihood_name == "normal":
            # One sigma for each channel: a sigma that the network computes would be large where the image
            # is abnormal, and hide the error.
            outputs = self.channels
            self.log_sigma = self.param(
                "log_sigma", nn.initializers.zeros, (self.channels,), jnp.float32
            )
        self.decoder = Decoder(
            self.image_size, outputs, self.widths, self.kernel_size, self.hidden_dim, activation,
            self.dtype,
        )  # fmt: skip

    @property
    def likelihood(self) -> Likelihood:
        """Returns p(x | z) as functions of the decoder's output."""
        return LIKELIHOODS[self.likelihood_name]

    @property
    def latent_size(self) -> int:
        """Number Z of all latent dimensions."""
        if self.network == "spatial":
            return count_latent_dimensions(self.image_size, self.latent_dim)
        return self.latent_dim

    @property
    def branches(self) -> "dict[str, VAE]":
        """Name of an observation -> the model that explains it; this model explains pixels alone."""
        return {"pixels": self}

    def split(self, tree: Any) -> dict[str, Any]:
        """Returns name of a branch -> its part of the parameters, inputs or fits of the whole model."""
        return {"pixels": tree}

    def join(self, parts: dict[str, Any]) -> Any:
        """Returns the inverse of `split`."""
        return parts["pixels"]

    def make_label(self, class_index: Int[Array, "..."]) -> Float[Array, "... K"] | None:
        """Returns the one-hot class of each image; None for a model that is not conditional."""
        if not self.num_classes:
            return None
        return jax.nn.one_hot(class_index, self.num_classes, dtype=jnp.float32)

    def encode(
        self, x: Float[Array, "B H W C"], label: Float[Array, "B K"] | None = None
    ) -> Posterior:
        """Returns q(z | x)."""
        mu, logvar = self.encoder(x, label)
        return Posterior(mu, logvar)

    def decode(
        self, z: Float[Array, "B Z"], label: Float[Array, "B K"] | None = None
    ) -> Float[Array, "B H W P"]:
        """Returns the raw output for z; `mean` computes an image from it."""
        raw = self.decoder(z, label)
        if self.network == "convolutional" and self.likelihood_name == "normal":
            raw = jnp.concatenate([raw, jnp.broadcast_to(self.log_sigma, raw.shape)], axis=3)
        return raw

    def mean(self, raw: Float[Array, "B H W P"]) -> Float[Array, "B H W C"]:
        """Returns the expected image, zero outside the region of interest."""
        return self.zero_outside_region(self.likelihood.mean(raw))

    def zero_outside_region(self, images: Float[Array, "B H W Q"]) -> Float[Array, "B H W Q"]:
        """Returns the images with zeros outside the region of interest."""
        return images if self.region is None else self.region.zero_outside(images)

    def select_region(self, values: Float[Array, "B h w Q"]) -> Float[Array, "B i j Q"]:
        """Returns the values inside the region of interest as one row [B, 1, j, Q].

        Without a region all values are returned in their places, [B, h, w, Q].
        """
        return values if self.region is None else self.region.select(values)

    def log_prob(
        self, x: Float[Array, "B H W C"], raw: Float[Array, "B H W P"]
    ) -> Float[Array, "B i j C"]:
        """Returns log p(x | z) of every pixel inside the region of interest, nats."""
        return self.likelihood.log_prob(self.select_region(x), self.select_region(raw), self.sigma)

    def __call__(
        self,
        x: Float[Array, "B H W C"],
        eps: Float[Array, "B Z"],
        label: Float[Array, "B K"] | None = None,
    ) -> tuple[Posterior, Float[Array, "B H W P"]]:
        """Returns q(z | x) and the raw output for the sample z = mu + sigma * eps."""
        posterior = self.encode(x, label)
        return posterior, self.decode(posterior.sample(eps), label)


@dataclasses.dataclass(frozen=True)
class BoundModel:
    """A model with its parameters, so that its methods are plain functions for jit, grad, vmap and scan.

    On the CPU jvp is not supported, because the layers have no forward-mode derivative there.

    Attributes:
        model: the module.
        params: parameters of the module.
        class_index: class of each image for a conditional model, int32 [B], or one class for all images,
            int32 []; None for a model that is not conditional.
    """

    model: VAE
    params: dict
    class_index: Any = None

    def encode(self, x: Float[Array, "B H W C"]) -> Posterior:
        """Returns q(z | x)."""
        return self.model.apply({"params": self.params}, x, self._make_label(x), method=VAE.encode)

    def decode(self, z: Float[Array, "B Z"]) -> Float[Array, "B H W P"]:
        """Returns the raw output for z."""
        return self.model.apply({"params": self.params}, z, self._make_label(z), method=VAE.decode)

    def reconstruct(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Returns the reconstruction x_hat from the posterior mean, in [0, 1]."""
        return self.model.mean(self.decode(self.encode(x).mu))

    def _make_label(self, rows: Float[Array, "B ..."]) -> Float[Array, "B K"] | None:
        if self.class_index is None:
            return None
        label = self.model.make_label(self.class_index)
        return jnp.broadcast_to(label, (rows.shape[0], self.model.num_classes))


def build_model(config: ml_collections.ConfigDict, region: Region | None = None) -> VAE:
    """Builds the model that a resolved config describes.

    Args:
        config: resolved config; its groups `data`, `model` and `train` are used.
        region: region of interest, `Dataset.region`; None if all pixels count.
    """
    model_config = config.model
    return VAE(
        image_size=config.data.image_size,
        channels=config.data.channels,
        widths=tuple(model_config.widths),
        kernel_size=model_config.kernel_size,
        hidden_dim=model_config.hidden_dim,
        latent_dim=model_config.latent_dim,
        activation=model_config.activation,
        likelihood_name="normal" if model_config.kind == "linear" else model_config.likelihood,
        sigma=model_config.sigma,
        sampled=model_config.kind != "ae",
        num_classes=model_config.num_classes,
        region=region,
        dtype=jnp.dtype(config.train.precision),
        network="linear" if model_config.kind == "linear" else "convolutional",
    )


# This program runs once, so it is not optimised. Without jit, drawing the numbers of each shape would be a
# compilation of its own.
@functools.partial(
    jax.jit, static_argnums=0, compiler_options={"xla_backend_optimization_level": 0}
)
def init_params(model: VAE, key: jax.Array) -> dict:
    """Draws the initial parameters, float32."""
    x = jnp.zeros((1, model.image_size, model.image_size, model.channels))
    label = jnp.zeros((1, model.num_classes)) if model.num_classes else None
    return model.init(key, x, jnp.zeros((1, model.latent_size)), label)["params"]


def count_params(params: dict) -> int:
    """Returns the number of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
