"""The decoder: z -> the raw output that a likelihood turns into p(x | z)."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.model.convolution import ConvTranspose


class Decoder(nn.Module):
    """The encoder mirrored: dense, then transposed stride-2 convolutions back to the image.

    Attributes:
        image_size: H and W.
        channels: of the output, P: those of the image times the parameters that the likelihood takes.
        widths: the encoder's; they are walked backwards.
        kernel_size: of the transposed convolutions, pixels.
        hidden_dim: width of a dense layer after z; 0 for none.
        activation: after every layer but the last.
        dtype: of the products; the output is float32.
    """

    image_size: int
    channels: int
    widths: Sequence[int]
    kernel_size: int
    hidden_dim: int
    activation: Callable[[Array], Array]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], label: Float[Array, "B K"] | None = None
    ) -> Float[Array, "B H W P"]:
        """Returns the raw output, before any squashing; a label joins z."""
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
