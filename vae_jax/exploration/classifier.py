"""A small classifier trained on the classes of the dataset; it provides features without Inception weights.

N images, D features, K classes, B batch, H W image, C channels.
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

from vae_jax import noise
from vae_jax.data.batches import map_rows
from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.image_store import Images, take_images
from vae_jax.data.row_draw import draw_rows
from vae_jax.data.shrink import shrink_images
from vae_jax.errors import UserError
from vae_jax.exploration.features import FeatureNetwork, ImageFeatures
from vae_jax.exploration.pixels import MAX_SIDE
from vae_jax.model.convolution import Conv

# Channels of the layers, each of which halves the image. Layers that would leave a side of fewer than
# 4 pixels are left out.
_WIDTHS = (32, 64, 64, 64)
_NUM_FEATURES = 64
_BATCH = 64
_LEARNING_RATE = 1e-3
_MAX_IMAGES = 20_000  # training images, and images of each held-out role; more are drawn at random


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
        network: Flax module.
        params: parameters of the module.
        classes: class names, in the order of the outputs.
    """

    network: nn.Module
    params: dict
    classes: list[str]

    def compute_features(
        self, images: UInt8[Images, "N H W C"] | Float32[np.ndarray, "N H W C"]
    ) -> ImageFeatures:
        """Returns the features of images, which are uint8 as stored or float32 in [0, 1]."""
        return map_rows(lambda batch: self._apply(self.params, _shrink(batch)), _BATCH, images)

    def classify(
        self, images: UInt8[Images, "N H W C"] | Float32[np.ndarray, "N H W C"]
    ) -> list[str]:
        """Returns the name of the most probable class of each image."""
        probabilities = self.compute_features(images).probabilities
        return [self.classes[index] for index in probabilities.argmax(axis=1)]

    @functools.cached_property
    def _apply(self):
        def apply(params, x):
            features, logits = self.network.apply({"params": params}, x)
            return ImageFeatures(features, nn.softmax(logits))

        return jax.jit(apply)


def fit_classifier(train: Examples, epochs: int, seed: int) -> Classifier:
    """Trains a classifier on the classes of the training images, with Adam and cross entropy.

    Args:
        train: training images with their classes.
        epochs: passes over the training images.
        seed: seed for the initial parameters and the order of the images.

    Raises:
        UserError: if all training images have the same class.
    """
    classes = sorted(set(train.classes))
    if len(classes) < 2:
        raise UserError(
            f"features need a classifier, but every training image has the class {classes[0]}, so no "
            "classifier can be trained; name a file of Inception-v3 weights with "
            "--config.explore.inception=FILE"
        )
    rows = draw_rows(len(train.images), _MAX_IMAGES, seed, in_order=False)
    images = map_rows(_shrink, _BATCH, take_images(train.images, rows))
    index_of = {name: index for index, name in enumerate(classes)}
    labels = np.array([index_of[train.classes[row]] for row in rows], np.int32)
    depth = min(len(_WIDTHS), max(1, (min(images.shape[1:3]) // 4).bit_length() - 1))
    network = _Network(len(classes), depth)
    return Classifier(network, _train(network, images, labels, epochs, seed), classes)


def count_correct(
    classifier: Classifier, held_out: Sequence[Examples], seed: int
) -> tuple[int, int]:
    """Returns how many held-out images are classified correctly, and how many were classified.

    Args:
        classifier: trained classifier.
        held_out: images that the classifier was not trained on, one entry per role.
        seed: seed for the random choice of images if a role has very many.
    """
    num_correct = num_images = 0
    for role in held_out:
        examples = role.take(draw_rows(len(role.images), _MAX_IMAGES, seed, in_order=True))
        predicted = classifier.classify(examples.images)
        num_correct += sum(a == b for a, b in zip(predicted, examples.classes, strict=True))
        num_images += len(predicted)
    return num_correct, num_images


def train_feature_network(dataset: Dataset, epochs: int, seed: int) -> FeatureNetwork:
    """Returns the features of a classifier that is trained on the training images of a dataset.

    The name of the network contains its accuracy on the validation and calibration images.

    Raises:
        UserError: if all training images have the same class.
    """
    classifier = fit_classifier(dataset.train, epochs, seed)
    held_out = (dataset.val, dataset.calibration)
    num_correct, num_images = count_correct(classifier, held_out, seed)
    name = (
        f"classifier of {dataset.name}, {len(classifier.classes)} classes, "
        f"{num_correct / num_images:.3f} right of {num_images} held-out images"
    )
    return FeatureNetwork(name, classifier.compute_features)


def _shrink(images: np.ndarray) -> Float32[np.ndarray, "N h w C"]:
    return shrink_images(images, MAX_SIDE)


def _train(network, images, labels, epochs: int, seed: int) -> dict:
    optimizer = optax.adam(_LEARNING_RATE)
    params = network.init(noise.stream_key(seed, "init"), jnp.asarray(images[:1]))["params"]
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, x, label, mask):
        def loss(params):
            _, logits = network.apply({"params": params}, x)
            cross_entropy = optax.softmax_cross_entropy_with_integer_labels(logits, label)
            return jnp.sum(mask * cross_entropy) / jnp.sum(mask)

        gradients = jax.grad(loss)(params)
        # Optax mixes int32 counts with floats, which the strict type promotion of the tests forbids.
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
