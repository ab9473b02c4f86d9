"""Inception-v3, the network of the Fréchet distance and the Inception Score in the literature.

Two sets of weights are in use. A file holds one of them, and both have the same array names:

- The original weights have 1,008 classes (in PyTorch: pytorch-fid). Their average pools do not count the
  padding, and their last pool is a maximum because of an error in the code of 2015.
- The weights of torchvision have 1,000 classes. Figures from them can be compared only with each other.

The number of classes determines which set a file holds. Batch normalisation is folded into the
convolutions.

Names: `B` batch, `H W` image, `K` classes.
Sources: Szegedy et al. 2016 for the network; Heusel et al. 2017 for the use of the first set.
"""

import functools
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

SIDE = 299  # pixels
ORIGINAL_CLASSES = 1008
_EPSILON = 1e-3  # added to the variance in batch normalisation

Pool = Callable[[Array], Array]


def _convolution(name, features, kernel=(1, 1), stride=1, padding="SAME"):
    """Returns a convolution followed by a rectifier; it must be called inside a compact module."""
    layer = nn.Conv(features, kernel, stride, padding, name=name)
    return lambda x: nn.relu(layer(x))


def _halve(x):
    return nn.max_pool(x, (3, 3), (2, 2))


def _mean_3x3(x, count_padding: bool):
    """Returns the mean of the 3 x 3 pixels around each pixel; the padding counts as zeros or not at all."""

    def total(values):
        window, strides = (1, 3, 3, 1), (1, 1, 1, 1)
        return jax.lax.reduce_window(values, 0.0, jax.lax.add, window, strides, "SAME")

    return total(x) / (9.0 if count_padding else total(jnp.ones((1, *x.shape[1:3], 1), x.dtype)))


class _BlockA(nn.Module):
    pool_features: int
    pool: Pool

    @nn.compact
    def __call__(self, x):
        y5 = _convolution("branch5x5_1", 48)(x)
        y3 = _convolution("branch3x3dbl_1", 64)(x)
        y3 = _convolution("branch3x3dbl_2", 96, (3, 3))(y3)
        parts = [
            _convolution("branch1x1", 64)(x),
            _convolution("branch5x5_2", 64, (5, 5))(y5),
            _convolution("branch3x3dbl_3", 96, (3, 3))(y3),
            _convolution("branch_pool", self.pool_features)(self.pool(x)),
        ]
        return jnp.concatenate(parts, axis=3)


class _BlockB(nn.Module):
    @nn.compact
    def __call__(self, x):
        y = _convolution("branch3x3dbl_1", 64)(x)
        y = _convolution("branch3x3dbl_2", 96, (3, 3))(y)
        parts = [
            _convolution("branch3x3", 384, (3, 3), 2, "VALID")(x),
            _convolution("branch3x3dbl_3", 96, (3, 3), 2, "VALID")(y),
            _halve(x),
        ]
        return jnp.concatenate(parts, axis=3)


class _BlockC(nn.Module):
    width: int
    pool: Pool

    @nn.compact
    def __call__(self, x):
        y7 = _convolution("branch7x7_1", self.width)(x)
        y7 = _convolution("branch7x7_2", self.width, (1, 7))(y7)
        twice = _convolution("branch7x7dbl_1", self.width)(x)
        twice = _convolution("branch7x7dbl_2", self.width, (7, 1))(twice)
        twice = _convolution("branch7x7dbl_3", self.width, (1, 7))(twice)
        twice = _convolution("branch7x7dbl_4", self.width, (7, 1))(twice)
        parts = [
            _convolution("branch1x1", 192)(x),
            _convolution("branch7x7_3", 192, (7, 1))(y7),
            _convolution("branch7x7dbl_5", 192, (1, 7))(twice),
            _convolution("branch_pool", 192)(self.pool(x)),
        ]
        return jnp.concatenate(parts, axis=3)


class _BlockD(nn.Module):
    @nn.compact
    def __call__(self, x):
        y3 = _convolution("branch3x3_1", 192)(x)
        y7 = _convolution("branch7x7x3_1", 192)(x)
        y7 = _convolution("branch7x7x3_2", 192, (1, 7))(y7)
        y7 = _convolution("branch7x7x3_3", 192, (7, 1))(y7)
        parts = [
            _convolution("branch3x3_2", 320, (3, 3), 2, "VALID")(y3),
            _convolution("branch7x7x3_4", 192, (3, 3), 2, "VALID")(y7),
            _halve(x),
        ]
        return jnp.concatenate(parts, axis=3)


class _BlockE(nn.Module):
    pool: Pool

    @nn.compact
    def __call__(self, x):
        y3 = _convolution("branch3x3_1", 384)(x)
        twice = _convolution("branch3x3dbl_1", 448)(x)
        twice = _convolution("branch3x3dbl_2", 384, (3, 3))(twice)
        parts = [
            _convolution("branch1x1", 320)(x),
            _convolution("branch3x3_2a", 384, (1, 3))(y3),
            _convolution("branch3x3_2b", 384, (3, 1))(y3),
            _convolution("branch3x3dbl_3a", 384, (1, 3))(twice),
            _convolution("branch3x3dbl_3b", 384, (3, 1))(twice),
            _convolution("branch_pool", 192)(self.pool(x)),
        ]
        return jnp.concatenate(parts, axis=3)


class Inception(nn.Module):
    """Inception-v3 without its auxiliary head.

    Attributes:
        num_classes: K; with `ORIGINAL_CLASSES` the pools are those of the original figures.
    """

    num_classes: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "B 299 299 3"]
    ) -> tuple[Float[Array, "B 2048"], Float[Array, "B K"]]:
        """Returns features and logits of images in [-1, 1].

        The bias of the last layer is left out, as in the original code of the Inception Score.
        """
        original = self.num_classes == ORIGINAL_CLASSES
        average = functools.partial(_mean_3x3, count_padding=not original)
        largest = functools.partial(nn.max_pool, window_shape=(3, 3), padding="SAME")
        x = _convolution("Conv2d_1a_3x3", 32, (3, 3), 2, "VALID")(x)  # 149
        x = _convolution("Conv2d_2a_3x3", 32, (3, 3), 1, "VALID")(x)  # 147
        x = _halve(_convolution("Conv2d_2b_3x3", 64, (3, 3))(x))  # 73
        x = _convolution("Conv2d_3b_1x1", 80)(x)
        x = _halve(_convolution("Conv2d_4a_3x3", 192, (3, 3), 1, "VALID")(x))  # 35
        for name, pool_features in (("5b", 32), ("5c", 64), ("5d", 64)):
            x = _BlockA(pool_features, average, name=f"Mixed_{name}")(x)
        x = _BlockB(name="Mixed_6a")(x)  # 17
        for name, width in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
            x = _BlockC(width, average, name=f"Mixed_{name}")(x)
        x = _BlockD(name="Mixed_7a")(x)  # 8
        x = _BlockE(average, name="Mixed_7b")(x)
        x = _BlockE(largest if original else average, name="Mixed_7c")(x)
        features = x.mean(axis=(1, 2))
        return features, nn.Dense(self.num_classes, use_bias=False, name="fc")(features)


def prepare_images(images: Float[Array, "B H W C"]) -> Float[Array, "B 299 299 3"]:
    """Resizes images in [0, 1] bilinearly and scales them to [-1, 1]; grey images get three channels.

    As in the figures of the literature, downsampling does not average over pixels.
    """
    shape = (len(images), SIDE, SIDE, images.shape[3])
    resized = jax.image.resize(images, shape, "linear", antialias=False)
    return 2.0 * jnp.broadcast_to(resized, (*shape[:3], 3)) - 1.0


def compute_state_shapes(num_classes: int) -> dict[str, tuple[int, ...]]:
    """Returns name and shape of every array that a file of weights must hold, in the layout of PyTorch."""
    shapes = {}
    for path, shape in _flat_shapes(num_classes).items():
        if path == "fc.kernel":
            shapes["fc.weight"] = shape[::-1]
        elif path.endswith(".kernel"):
            layer = path.removesuffix(".kernel")
            shapes[f"{layer}.conv.weight"] = (shape[3], shape[2], shape[0], shape[1])
            for name in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{layer}.bn.{name}"] = (shape[3],)
    return shapes


def read_state(state: Mapping[str, np.ndarray]) -> tuple[Inception, dict]:
    """Returns the network and its parameters from arrays of PyTorch; it ignores arrays of other names.

    Raises:
        ValueError: if an array is missing or has another shape; the message names the first one.
    """
    if "fc.weight" not in state:
        raise ValueError("the file lacks the array fc.weight; give it the weights of Inception-v3")
    num_classes = len(state["fc.weight"])
    for name, shape in compute_state_shapes(num_classes).items():
        if name not in state:
            raise ValueError(f"the file lacks the array {name}")
        if state[name].shape != shape:
            raise ValueError(
                f"its array {name} has the shape {state[name].shape}; expected {shape}"
            )
    params: dict = {"fc": {"kernel": np.float32(state["fc.weight"]).T}}
    for path in _flat_shapes(num_classes):
        layer, _, kind = path.rpartition(".")
        if layer != "fc" and kind == "kernel":
            *parents, last = layer.split(".")
            module = params
            for parent in parents:
                module = module.setdefault(parent, {})
            module[last] = _fold_normalisation(state, layer)
    return Inception(num_classes), params


def _fold_normalisation(state: Mapping[str, np.ndarray], layer: str) -> dict[str, np.ndarray]:
    """Returns the kernel and bias that replace a convolution and its batch normalisation."""
    kernel, scale, shift, mean, variance = (
        state[f"{layer}.{name}"].astype(np.float64)
        for name in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    )
    factor = scale / np.sqrt(variance + _EPSILON)
    return {
        "kernel": np.float32(kernel.transpose(2, 3, 1, 0) * factor),
        "bias": np.float32(shift - mean * factor),
    }


@functools.cache
def _flat_shapes(num_classes: int) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the parameters by their names, for example `Mixed_5b.branch1x1.kernel`."""
    blank = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
    params = jax.eval_shape(Inception(num_classes).init, jax.random.key(0), blank)["params"]
    return {
        ".".join(part.key for part in path): leaf.shape
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }
