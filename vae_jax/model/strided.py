"""The linear maps of a strided convolution, written for XLA's CPU backend.

That backend dilates an operand for the gradients of a strided convolution, which takes a slow path, and
it has bfloat16 convolutions computed in float32. Here nothing is dilated. Blocks of s x s pixels are
written into channels, where a convolution with stride s is one with stride 1 and t x t taps: in float32
XLA's own, undilated. In bfloat16 a product of matrices, which does use the processor's units for it,
gives what every block contributes to every tap, and the contributions are shifted and summed. Both kinds
of layer are the same pair of maps, walked in opposite directions, and share the gradient of the kernel:

    gather      y[p]  = sum_j x[s p + j - low] K[j]            a strided convolution
    scatter     x[i]  = sum_{p, j: s p + j - low = i} y[p] K[j]^T      its transpose
    correlate   K[j]  = sum_p x[s p + j - low] y[p]^T

Each is linear in both of its arguments, and the gradients of each are the other two, so there are
gradients of any order in reverse mode; there is no forward mode (`jax.jvp`, `jax.jacfwd`).

B batch, H W image, C channels in, O channels out, k kernel, s stride, t = ceil(k / s) taps of s pixels,
h w places of the kernel, P = s s C numbers of a block.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

_LAYOUT = ("NHWC", "HWIO", "NHWC")
# Numbers in one step of `correlate`, so that what is multiplied is still in the cache: the best of three
# and of five sizes on two cores.
_CONVOLVED = 900_000
_MULTIPLIED = 1_200_000
# Channels that a stride-s convolution runs well with: a vector of float32.
_VECTOR = 16


def strided_convolution(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C O"], stride: int
) -> Float[Array, "B h w O"]:
    """Equals `lax.conv_general_dilated` with SAME padding."""
    size = kernel.shape[0]
    sides = tuple(math.ceil(n / stride) for n in x.shape[1:3])
    excess = [(p - 1) * stride + size - n for p, n in zip(sides, x.shape[1:3], strict=True)]
    return _gather(x, kernel, stride, tuple(max(e, 0) // 2 for e in excess), sides)


def transposed_convolution(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C O"], stride: int
) -> Float[Array, "B h w O"]:
    """Equals `lax.conv_transpose` with SAME padding, which reads the kernel backwards."""
    size = kernel.shape[0]
    low = size - 1 - min(size - 1, math.ceil((size + stride - 2) / 2))
    sides = tuple(n * stride for n in x.shape[1:3])
    return _scatter(x, kernel[::-1, ::-1].swapaxes(2, 3), stride, (low, low), sides)


@jax.custom_vjp
def add_bias(y: Float[Array, "B h w O"], bias: Float[Array, "1 1 1 O"]) -> Float[Array, "B h w O"]:
    """Adds in float32; the gradient of the bias is a product with ones, a tenth of the time of a sum."""
    return (y.astype(jnp.float32) + bias).astype(y.dtype)


def _add_bias_backward(_, y):
    ones = jnp.ones((len(y), 1, y.shape[1] * y.shape[2]), y.dtype)
    y_flat = y.reshape(len(y), -1, y.shape[3])
    each = lax.dot_general(
        ones, y_flat, (((2,), (1,)), ((0,), (0,))), preferred_element_type=jnp.float32
    )
    return y, jnp.sum(each, axis=(0, 1)).reshape(1, 1, 1, -1)


add_bias.defvjp(lambda y, bias: (add_bias(y, bias), None), _add_bias_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _gather(x, kernel, stride: int, low: tuple[int, int], sides: tuple[int, int]):
    """x [B H W C] -> y [B *sides O]."""
    few = x.shape[3] < _VECTOR
    if x.dtype != jnp.bfloat16 and not few:
        ends = [(n - 1) * stride + kernel.shape[0] for n in sides]
        return _convolve(_pad(x, low, ends), kernel, stride)
    kernel = _taps(kernel, stride)
    blocks = _blocks(x, stride, low, [n + len(kernel) - 1 for n in sides])
    if few:
        return _convolve(blocks, kernel, 1)
    each = _product(blocks, kernel, ((3,), (2,)))  # [B . . t t O]
    starts = range(len(kernel))
    return sum(_window(each[:, :, :, i, j], (i, j), sides) for i in starts for j in starts).astype(
        x.dtype
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _scatter(y, kernel, stride: int, low: tuple[int, int], sides: tuple[int, int]):
    """y [B h w O] -> x [B *sides C]."""
    batch, *places, _ = y.shape
    channels = kernel.shape[2]
    kernel = _taps(kernel, stride)
    taps = len(kernel)
    # A pixel past the last block is reached by nothing; padding on the right gives it zeros.
    counts = [max(n + taps - 1, math.ceil((a + m) / stride))
              for n, a, m in zip(places, low, sides, strict=True)]  # fmt: skip
    y = _pad(y, (taps - 1, taps - 1), [n + taps - 1 for n in counts])
    if y.dtype == jnp.bfloat16:
        each = _product(y, kernel, ((3,), (3,)))  # [B . . t t P]
        blocks = sum(
            _window(each[:, :, :, i, j], (taps - 1 - i, taps - 1 - j), counts)
            for i in range(taps)
            for j in range(taps)
        ).astype(y.dtype)
    else:
        blocks = _convolve(y, kernel[::-1, ::-1].swapaxes(2, 3), 1)
    x = blocks.reshape(batch, *counts, stride, stride, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, *(n * stride for n in counts), channels)
    return _window(x, low, sides)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _correlate(x, y, size: int, stride: int, low: tuple[int, int]):
    """x [B H W C], y [B h w O] -> kernel [k k C O], float32."""
    taps = math.ceil(size / stride)
    by = _correlate_by_products if x.dtype == jnp.bfloat16 else _correlate_by_convolution
    kernel = by(x, y, stride, low, taps)  # [t t s s C O]
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5)
    return kernel.reshape(taps * stride, taps * stride, *kernel.shape[4:])[:size, :size]


def _correlate_by_convolution(x, y, stride: int, low, taps: int):
    """A convolution whose channels are images, and whose images are the P; [t t s s C O].

    Images are cut out within the loop: a loop over images cut up before it would be given a copy of what
    they were made from, computed anew.
    """
    outputs = y.shape[3]
    rows, columns, channels = x.shape[1:]
    counts = [n + taps - 1 for n in y.shape[1:3]]

    def add(i, total):
        x_i, y_i = (lax.dynamic_slice_in_dim(a, i * step, step) for a in (x, y))
        # As a matrix, because that is how XLA transposes fastest.
        x_i = x_i.reshape(step, -1).T.reshape(1, rows, columns, -1)
        x_i = _pad(x_i, low, [n * stride for n in counts])
        x_i = x_i.reshape(counts[0], stride, counts[1], stride, channels, step)
        blocks = x_i.transpose(1, 3, 4, 0, 2, 5).reshape(-1, *counts, step)
        return total + _convolve(blocks, y_i.transpose(1, 2, 0, 3), 1)

    step = _step(len(x), x.size + y.size, _CONVOLVED)
    start = jnp.zeros((stride * stride * channels, taps, taps, outputs), jnp.float32)
    total = lax.fori_loop(0, len(x) // step, add, start)
    return total.reshape(stride, stride, channels, taps, taps, outputs).transpose(3, 4, 0, 1, 2, 5)


def _correlate_by_products(x, y, stride: int, low, taps: int):
    """A product a tap, of shifted blocks; [t t s s C O].

    The transpose of y is made before the loop, or XLA would fold it into the product and run that slowly.
    """
    batch, *places, outputs = y.shape
    blocks = _blocks(x, stride, low, [n + taps - 1 for n in places])
    step = _step(batch, blocks.size + y.size, _MULTIPLIED)

    def add(total, pair):
        blocks, y = pair
        parts = [
            _window(blocks, (i, j), places).reshape(y.shape[1], -1)
            for i in range(taps)
            for j in range(taps)
        ]
        return total + jnp.stack([_product(y, part, ((1,), (0,))) for part in parts]), None

    y = _moved(lambda y: y.reshape(batch // step, -1, outputs).swapaxes(1, 2), y)
    start = jnp.zeros((taps * taps, outputs, blocks.shape[3]), jnp.float32)
    blocks = blocks.reshape(-1, step, *blocks.shape[1:])
    total, _ = lax.scan(add, start, (blocks, y))
    return total.reshape(taps, taps, outputs, stride, stride, -1).transpose(0, 1, 3, 4, 5, 2)


def _step(batch: int, numbers: int, limit: int) -> int:
    """Images to a step of a loop, so that it takes about `limit` of the numbers and divides the batch."""
    most = max(1, limit * batch // numbers)
    return max(n for n in range(1, batch + 1) if batch % n == 0 and n <= most)


def _gather_forward(x, kernel, stride, low, sides):
    return _gather(x, kernel, stride, low, sides), (x, kernel)


def _gather_backward(stride, low, sides, saved, y):
    del sides
    x, kernel = saved
    gradient = _correlate(x, y, len(kernel), stride, low).astype(kernel.dtype)
    return _scatter(y, kernel, stride, low, x.shape[1:3]), gradient


def _scatter_forward(y, kernel, stride, low, sides):
    return _scatter(y, kernel, stride, low, sides), (y, kernel)


def _scatter_backward(stride, low, sides, saved, x):
    del sides
    y, kernel = saved
    gradient = _correlate(x, y, len(kernel), stride, low).astype(kernel.dtype)
    return _gather(x, kernel, stride, low, y.shape[1:3]), gradient


def _correlate_forward(x, y, size, stride, low):
    return _correlate(x, y, size, stride, low), (x, y)


def _correlate_backward(size, stride, low, saved, kernel):
    del size
    x, y = saved
    kernel = kernel.astype(x.dtype)
    return (
        _scatter(y, kernel, stride, low, x.shape[1:3]),
        _gather(x, kernel, stride, low, y.shape[1:3]),
    )


_gather.defvjp(_gather_forward, _gather_backward)
_scatter.defvjp(_scatter_forward, _scatter_backward)
_correlate.defvjp(_correlate_forward, _correlate_backward)


def _taps(kernel, stride: int):
    """[k k C O] -> [t t P O], zeros where the last tap ends past the kernel."""
    size, _, channels, outputs = kernel.shape
    taps = math.ceil(size / stride)
    fill = taps * stride - size
    kernel = jnp.pad(kernel, ((0, fill), (0, fill), (0, 0), (0, 0)))
    kernel = kernel.reshape(taps, stride, taps, stride, channels, outputs)
    return kernel.transpose(0, 2, 1, 3, 4, 5).reshape(taps, taps, -1, outputs)


def _blocks(x, stride: int, low, counts):
    """[B H W C] -> [B *counts P], of the image with `low` pixels of zeros before it."""

    def move(x):
        x = _pad(x, low, [n * stride for n in counts])
        x = x.reshape(len(x), counts[0], stride, counts[1], -1)
        # A transpose says the same, at half the speed.
        return jnp.concatenate([x[:, :, i] for i in range(stride)], axis=3)

    return _moved(move, x)


def _moved(move, x):
    """`move`, which only copies, of the bits of x: XLA copies integers in vectors, bfloat16 one by one."""
    if x.dtype != jnp.bfloat16:
        return move(x)
    return lax.bitcast_convert_type(move(lax.bitcast_convert_type(x, jnp.uint16)), x.dtype)


def _pad(x, low, sides):
    """Zeros before height and width, and after them, or less of the image, to the length `sides`."""
    pads = [(a, m - a - n, 0) for a, m, n in zip(low, sides, x.shape[1:3], strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *pads, (0, 0, 0)])


def _window(x, starts, sides):
    """`sides` of height and width from `starts`."""
    (i, j), (rows, columns) = starts, sides
    return x[:, i : i + rows, j : j + columns]


def _product(a, b, axes):
    return lax.dot_general(a, b, (axes, ((), ())), preferred_element_type=jnp.float32)


def _convolve(x, kernel, stride: int):
    """Without padding; XLA folds what `_pad` did into the convolution."""
    y = lax.conv_general_dilated(
        x, kernel, (stride, stride), "VALID", dimension_numbers=_LAYOUT,
        preferred_element_type=jnp.float32,
    )  # fmt: skip
    return y.astype(x.dtype)
