"""The decoder: z -> raw output, from which a likelihood computes p(x | z)."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vae_jax.model.convolution import ConvTranspose


class Decoder(nn.Module):
    """Mirror image of the encoder: dense layers, then transposed stride-2 convolutions.

    Attributes:
        image_size: height H and width W of the image, pixels.
        channels: number of output channels P: image channels times parameters per channel of the
            likelihood.
        widths: channels after each convolution of the encoder; the decoder uses them in reverse order.
        kernel_size: kernel size of the transposed convolutions, pixels.
        hidden_dim: width of a dense layer after z; 0 for no such layer.
        activation: activation function after every layer except the last.
        dtype: dtype of the products; the output is float32.
    """

    image_size: int
    channels: int
    widths: Sequence[int]
    kernel_size: int
    hidden_dim: int
    activation: Callable[[Array], Array]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], label: Float[Array, "B K"] | None = None
    ) -> Float[Array, "B H W P"]:
        """Returns the raw, unbounded output; a label is concatenated to z."""
        h = (z if label is None else jnp.concatenate([z, label], axis=1)).astype(self.dtype)
        if self.hidden_dim:
            h = self.activation(nn.Dense(self.hidden_dim, dtype=self.dtype, name="hidden")(h))
        side = self.image_size // 2 ** len(self.widths)
        h = nn.Dense(side * side * self.widths[-1], dtype=self.dtype, name="unflatten")(h)
        h = self.activation(h).reshape(-1, side, side, self.widths[-1])
        outputs = [*reversed(self.widths[:-1]), self.channels]
        for i, width in enumerate(outputs):
            name = f"conv_{i}"
            h = ConvTranspose(width, self.kernel_size, stride=2, dtype=self.dtype, name=name)(h)
            if i < len(outputs) - 1:
                h = self.activation(h)
        return h.astype(jnp.float32)
