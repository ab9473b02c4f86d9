"""The encoder: x -> mu, logvar of q(z | x)."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vae_jax.model.convolution import Conv


class Encoder(nn.Module):
    """Stride-2 convolutions, followed by one linear head for mu and one for logvar.

    Attributes:
        widths: channels after each convolution; each convolution halves height and width.
        kernel_size: kernel size of the convolutions, pixels.
        hidden_dim: width of a dense layer before the heads; 0 for no such layer.
        latent_dim: number of latent dimensions Z.
        activation: activation function after every layer except the heads.
        sampled: whether there is a head for logvar; an autoencoder has none.
        dtype: dtype of the products; mu and logvar are float32.
    """

    widths: Sequence[int]
    kernel_size: int
    hidden_dim: int
    latent_dim: int
    activation: Callable[[Array], Array]
    sampled: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], label: Float[Array, "B K"] | None = None
    ) -> tuple[Float[Array, "B Z"], Float[Array, "B Z"] | None]:
        """Returns mu and logvar; logvar is None if `sampled` is False.

        A label is concatenated to the features after the convolutions.
        """
        h = x.astype(self.dtype)
        for i, width in enumerate(self.widths):
            h = Conv(width, self.kernel_size, stride=2, dtype=self.dtype, name=f"conv_{i}")(h)
            h = self.activation(h)  # [B, H / 2^(i+1), W / 2^(i+1), width]
        h = h.reshape(h.shape[0], -1)
        if label is not None:
            h = jnp.concatenate([h, label.astype(self.dtype)], axis=1)
        if self.hidden_dim:
            h = self.activation(nn.Dense(self.hidden_dim, dtype=self.dtype, name="hidden")(h))
        mu = nn.Dense(self.latent_dim, dtype=self.dtype, name="mu")(h).astype(jnp.float32)
        if not self.sampled:
            return mu, None
        logvar = nn.Dense(self.latent_dim, dtype=self.dtype, name="logvar")(h)
        return mu, logvar.astype(jnp.float32)
