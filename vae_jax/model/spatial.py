"""Encoder and decoder with a latent vector at every place of a coarse grid, for a grid of features.

The grid of latent vectors has half the height and width of the grid of features. It is flattened, so that
the rest of the code sees one latent vector per image.

Names and shapes: x features [B, g, g, K]; s = ceil(g / 2) the side of the latent grid, c the latent
dimensions per place, Z = s s c; mu, logvar, z [B, Z]; raw [B, g, g, 2 K] means, then logarithms of sigma;
label [B, L] the one-hot class of a conditional model.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vae_jax.model.convolution import Conv
from vae_jax.model.depthwise import DepthwiseConv
from vae_jax.model.pointwise import Pointwise, repeat_row


def count_latent_dimensions(grid: int, latent_dim: int) -> int:
    """Returns Z, the number of latent dimensions of a grid of features in total.

    Args:
        grid: height and width g of the grid of features.
        latent_dim: number of latent dimensions c per place.
    """
    return _halve(grid) ** 2 * latent_dim


def _halve(grid: int) -> int:
    return (grid + 1) // 2


def _append_label(h, label):
    """Returns the grid with the label, if there is one, as further channels of every place."""
    if label is None:
        return h
    label = jnp.broadcast_to(label[:, None, None], (*h.shape[:3], label.shape[1]))
    return jnp.concatenate([h, label.astype(h.dtype)], axis=3)


class SpatialEncoder(nn.Module):
    """A 1x1, a stride-2 and a 3x3 convolution, followed by one linear head for mu and one for logvar.

    Attributes:
        latent_dim: number of latent dimensions c per place.
        width: channels of the hidden layers.
        sampled: whether there is a head for logvar; an autoencoder has none.
        dtype: dtype of the products; mu and logvar are float32.
    """

    latent_dim: int
    width: int = 128
    sampled: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "B g g K"], label: Float[Array, "B L"] | None = None
    ) -> tuple[Float[Array, "B Z"], Float[Array, "B Z"] | None]:
        """Returns mu and logvar; logvar is None if `sampled` is False."""
        h = nn.gelu(Pointwise(self.width, dtype=self.dtype, name="project")(x))
        h = nn.gelu(Conv(self.width, 3, stride=2, dtype=self.dtype, name="halve")(h))
        h = nn.gelu(nn.Conv(self.width, (3, 3), dtype=self.dtype, name="mix")(h))
        h = _append_label(h, label)  # [B, s, s, width + L]

        def compute_head(name):
            head = Pointwise(self.latent_dim, dtype=self.dtype, name=name)(h)
            return head.reshape(x.shape[0], -1).astype(jnp.float32)

        return compute_head("mu"), compute_head("logvar") if self.sampled else None


class SpatialDecoder(nn.Module):
    """From each latent vector to two by two places of the grid of features.

    A learned map of places lets the output depend on the position, which convolutions alone do not know.
    The logarithm of sigma is one learned number per channel, as the likelihood `normal` expects it.

    Attributes:
        grid: height and width g of the grid of features.
        channels: number of features K per place.
        latent_dim: number of latent dimensions c per place.
        width: channels of the hidden layers.
        dtype: dtype of the products; the output is float32.
    """

    grid: int
    channels: int
    latent_dim: int
    width: int = 128
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], label: Float[Array, "B L"] | None = None
    ) -> Float[Array, "B g g P"]:
        """Returns [mean, log sigma] on the last axis, P = 2 K."""
        side, width = _halve(self.grid), self.width
        h = _append_label(z.reshape(z.shape[0], side, side, self.latent_dim), label)
        h = nn.gelu(nn.Conv(width, (3, 3), dtype=self.dtype, name="mix")(h))
        h = Pointwise(4 * width, dtype=self.dtype, name="double")(h)  # [B, s, s, 4 width]
        h = h.reshape(-1, side, side, 2, 2, width).transpose(0, 1, 3, 2, 4, 5)
        h = h.reshape(-1, 2 * side, 2 * side, width)[:, : self.grid, : self.grid]
        h = nn.gelu(DepthwiseConv(self.dtype, name="smooth")(h))  # [B, g, g, width]
        h = Pointwise(width, dtype=self.dtype, name="combine")(h)
        places = (self.grid, self.grid, width)
        places = self.param("places", nn.initializers.zeros, places, jnp.float32)
        h = nn.gelu(h + places[None].astype(self.dtype))
        mean = Pointwise(self.channels, dtype=self.dtype, name="mean")(h).astype(jnp.float32)
        log_sigma = self.param("log_sigma", nn.initializers.zeros, (self.channels,), jnp.float32)
        log_sigma = repeat_row(log_sigma.reshape(1, -1), mean.size // self.channels)
        return jnp.concatenate([mean, log_sigma.reshape(mean.shape)], axis=3)
