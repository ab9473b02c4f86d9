"""A small classifier trained on the dataset's own labels: features where no Inception weights are given.

N images, D features, K classes.
"""

import dataclasses
import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Float32, UInt8

from vae_jax.data.batches import map_rows
from vae_jax.data.examples import Examples
from vae_jax.data.row_draw import draw_rows
from vae_jax.data.shrink import shrink_images
from vae_jax.errors import UserError
from vae_jax.exploration.pixels import LARGEST
from vae_jax.model import noise
from vae_jax.model.convolution import Conv

_WIDTHS = (32, 64, 64, 64)  # channels; as many of them as halve the image to no less than 4 pixels
_NUM_FEATURES = 64
_BATCH = 64
_AT_ONCE = 1024  # images that are shrunk together
_LEARNING_RATE = 1e-3
_MOST = 20_000  # images to train on, and of a held-out role; drawn beyond that


class _Network(nn.Module):
    num_classes: int
    depth: int

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> tuple[Float[Array, "B 64"], Array]:
        for features in _WIDTHS[: self.depth]:
            x = nn.relu(Conv(features, kernel_size=3)(x))
        features = nn.relu(nn.Dense(_NUM_FEATURES)(x.reshape(len(x), -1)))
        return features, nn.Dense(self.num_classes)(features)


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    Attributes:
        network: the module.
        params: of it.
        classes: names, in the order of its outputs.
        accuracy: on held-out images, of groups that it was not trained on.
        num_held_out: how many of them.
    """

    network: nn.Module
    params: dict
    classes: list[str]
    accuracy: float
    num_held_out: int

    def look(
        self, images: UInt8[np.ndarray, "N H W C"] | Float32[np.ndarray, "N H W C"]
    ) -> tuple[Float32[np.ndarray, "N D"], Float32[np.ndarray, "N K"]]:
        """Returns features and class probabilities of images, uint8 as stored or float32 in [0, 1]."""
        return map_rows(
            functools.partial(self._look, self.params), _BATCH, shrink_images(images, LARGEST)
        )

    def classify(
        self, images: UInt8[np.ndarray, "N H W C"] | Float32[np.ndarray, "N H W C"]
    ) -> list[str]:
        """Returns the name of the likeliest class of each image."""
        return [self.classes[k] for k in self.look(images)[1].argmax(axis=1)]

    @functools.cached_property
    def _look(self):
        def look(params, x):
            features, logits = self.network.apply({"params": params}, x)
            return features, nn.softmax(logits)

        return jax.jit(look)


def fit(train: Examples, held_out: Sequence[Examples], epochs: int, seed: int) -> Classifier:
    """Trains on the classes of the training normals; Adam, cross entropy.

    Args:
        train: images with their classes.
        held_out: other images of the same classes, for its accuracy alone.
        epochs: passes over the training images.
        seed: of parameters and order.

    Raises:
        UserError: if the training images have one class.
    """
    classes = sorted(set(train.classes))
    if len(classes) < 2:
        raise UserError(
            f"every training image is of the class {classes[0]}, so no classifier can be trained for "
            "features; give Inception-v3's weights with --config.explore.inception=FILE"
        )
    rows = draw_rows(len(train.images), _MOST, seed, in_order=False)
    parts = np.array_split(rows, -(-len(rows) // _AT_ONCE))
    images = np.concatenate([shrink_images(train.images[part], LARGEST) for part in parts])
    number = {name: k for k, name in enumerate(classes)}
    labels = np.array([number[train.classes[row]] for row in rows], np.int32)
    depth = min(len(_WIDTHS), max(1, (min(images.shape[1:3]) // 4).bit_length() - 1))
    network = _Network(len(classes), depth)
    params = _train(network, images, labels, epochs, seed)
    judged = Classifier(network, params, classes, 0.0, 0)
    right: list[bool] = []
    for examples in held_out:
        rows = draw_rows(len(examples.images), _MOST, seed, in_order=False)
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            found = judged.classify(examples.images[part])
            right += [name == examples.classes[row] for name, row in zip(found, part, strict=True)]
    return dataclasses.replace(judged, accuracy=float(np.mean(right)), num_held_out=len(right))


def _train(network, images, labels, epochs: int, seed: int) -> dict:
    optimizer = optax.adam(_LEARNING_RATE)
    params = network.init(noise.stream_key(seed, "init"), jnp.asarray(images[:1]))["params"]
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, x, label, mask):
        def loss(params):
            _, logits = network.apply({"params": params}, x)
            each = optax.softmax_cross_entropy_with_integer_labels(logits, label)
            return jnp.sum(mask * each) / jnp.sum(mask)

        gradients = jax.grad(loss)(params)
        # Optax mixes its int32 counts with floats, which strict promotion (in tests) refuses.
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state

    for epoch in range(epochs):
        order = noise.draw_permutation(seed, epoch, len(images))
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            mask = (np.arange(_BATCH) < len(rows)).astype(np.float32)
            rows = np.resize(rows, _BATCH)
            params, state = step(params, state, images[rows], labels[rows], mask)
    return params
