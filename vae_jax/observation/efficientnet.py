"""EfficientNet-Lite0, a small network for photographs; here it describes images and is never trained.

The network is a stem and sixteen blocks. A block widens its input by a 1x1 convolution, convolves every
channel with its own kernel (depthwise), and narrows the result by a 1x1 convolution. It adds its input
where that has the same shape. There is no squeeze-and-excitation, and the nonlinearity is ReLU6. Batch
normalisation is folded into the kernels and biases when the weights are read.

Names: B batch, H W image, C channels; `state` holds arrays under PyTorch's names.
Sources: Tan and Le 2019 for the network; Liu 2020, a post on the TensorFlow blog, for the Lite variants.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vae_jax.observation.depthwise import convolve_depthwise

_EPSILON = 1e-3  # added to the variance in batch normalisation
_STEM_CHANNELS = 32


@dataclasses.dataclass(frozen=True)
class Block:
    """The shape of one block.

    Attributes:
        kernel_size: height and width of the depthwise kernels, pixels.
        stride: stride of the depthwise convolution, pixels.
        expansion: factor by which the first 1x1 convolution widens the input; 1 means no such convolution.
        inputs: number of input channels.
        outputs: number of output channels.
    """

    kernel_size: int
    stride: int
    expansion: int
    inputs: int
    outputs: int

    @property
    def width(self) -> int:
        """Number of channels of the depthwise convolution."""
        return self.inputs * self.expansion


def _list_blocks() -> tuple[Block, ...]:
    stages = [  # repeats, kernel size, stride, expansion, output channels
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    ]
    blocks, inputs = [], _STEM_CHANNELS
    for repeats, kernel_size, stride, expansion, outputs in stages:
        for repeat in range(repeats):
            blocks.append(Block(kernel_size, 1 if repeat else stride, expansion, inputs, outputs))
            inputs = outputs
    return tuple(blocks)


BLOCKS = _list_blocks()


def _relu6(x):
    return jnp.clip(x, 0, 6)


class _Layer(nn.Module):
    """A convolution with kernel and bias that are only read from weights."""

    shape: Sequence[int]  # of the kernel; its last axis is the output channels
    dtype: DTypeLike

    def setup(self):
        """Declares kernel and bias."""
        self.kernel = self.param("kernel", nn.initializers.lecun_normal(), self.shape, jnp.float32)
        self.bias = self.param("bias", nn.initializers.zeros, self.shape[-1:], jnp.float32)

    def _add_bias(self, y):
        return y + jnp.asarray(self.bias, self.dtype).reshape(1, 1, 1, -1)


class _Pointwise(_Layer):
    """1x1 convolution, which is a product of matrices."""

    def __call__(self, x):
        return self._add_bias(jnp.dot(x, jnp.asarray(self.kernel, self.dtype)))


class _Depthwise(_Layer):
    stride: int

    def __call__(self, x):
        return self._add_bias(
            convolve_depthwise(x, jnp.asarray(self.kernel, self.dtype), self.stride)
        )


class _Stem(_Layer):
    def __call__(self, x):
        y = jax.lax.conv_general_dilated(
            x,
            jnp.asarray(self.kernel, self.dtype),
            (2, 2),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return self._add_bias(y)


class _Block(nn.Module):
    block: Block
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x):
        block, y = self.block, x
        if block.expansion > 1:
            y = _relu6(_Pointwise((block.inputs, block.width), self.dtype, name="expand")(y))
        kernels = (block.kernel_size, block.kernel_size, block.width)
        y = _relu6(_Depthwise(kernels, self.dtype, block.stride, name="depthwise")(y))
        y = _Pointwise((block.width, block.outputs), self.dtype, name="project")(y)
        return y + x if block.stride == 1 and block.inputs == block.outputs else y


class EfficientNetLite0(nn.Module):
    """The network up to the last block that is asked for.

    Attributes:
        blocks: indices of the blocks whose outputs are returned; the first block is 0.
        dtype: dtype of the layers; the parameters are float32.
    """

    blocks: Sequence[int]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W 3"]) -> tuple[Float[Array, "B _ _ _"], ...]:
        """Returns the outputs of the named blocks in their order in the network.

        Args:
            x: images, (255 x - 127) / 128 of values in [0, 1].
        """
        shape = (3, 3, 3, _STEM_CHANNELS)
        y = _relu6(_Stem(shape, self.dtype, name="stem")(x.astype(self.dtype)))
        outputs = []
        for index, block in enumerate(BLOCKS[: max(self.blocks) + 1]):
            y = _Block(block, self.dtype, name=f"block_{index}")(y)
            if index in self.blocks:
                outputs.append(y)
        return tuple(outputs)


def list_layers() -> dict[tuple[str, ...], tuple[str, str, tuple[int, ...]]]:
    """Returns the layers of the network.

    Returns:
        Path of the layer in the parameters -> name of the convolution and of its batch normalisation in the
        state, and shape of the convolution's weight there.
    """
    layers = {("stem",): ("_conv_stem", "_bn0", (_STEM_CHANNELS, 3, 3, 3))}
    for index, block in enumerate(BLOCKS):
        name, size = f"_blocks.{index}.", block.kernel_size
        rows = [
            ("expand", "_expand_conv", "_bn0", (block.width, block.inputs, 1, 1)),
            ("depthwise", "_depthwise_conv", "_bn1", (block.width, 1, size, size)),
            ("project", "_project_conv", "_bn2", (block.outputs, block.width, 1, 1)),
        ]
        for layer, convolution, norm, shape in rows[block.expansion == 1 :]:
            layers[f"block_{index}", layer] = (name + convolution, name + norm, shape)
    return layers


_NORM_ARRAYS = ("weight", "bias", "running_mean", "running_var")


def list_shapes() -> dict[str, tuple[int, ...]]:
    """Returns name -> shape of the arrays of a state that the network needs."""
    shapes = {}
    for convolution, norm, shape in list_layers().values():
        shapes[f"{convolution}.weight"] = shape
        shapes.update({f"{norm}.{name}": shape[:1] for name in _NORM_ARRAYS})
    return shapes


def fold_state(state: Mapping[str, np.ndarray]) -> dict:
    """Returns the parameters of the network, in which batch normalisation is folded.

    Args:
        state: arrays with the names and shapes of `list_shapes`; other arrays are ignored.
    """
    params = {}
    for path, (convolution, norm, _) in list_layers().items():
        kernel = np.asarray(state[f"{convolution}.weight"], np.float64)
        weight, bias, mean, variance = (
            np.asarray(state[f"{norm}.{name}"], np.float64) for name in _NORM_ARRAYS
        )
        scale = weight / np.sqrt(variance + _EPSILON)
        kernel = (kernel * scale[:, None, None, None]).transpose(2, 3, 1, 0)  # [k k inputs outputs]
        if path[-1] == "depthwise":
            kernel = kernel[:, :, 0]
        elif path[-1] != "stem":
            kernel = kernel[0, 0]
        group = params
        for name in path[:-1]:
            group = group.setdefault(name, {})
        group[path[-1]] = {
            "kernel": np.ascontiguousarray(kernel, np.float32),
            "bias": (bias - mean * scale).astype(np.float32),
        }
    return params
