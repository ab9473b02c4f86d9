"""Measures how well a classifier separates the classes by pixels, by codes, and by decoded images.

The classifier is a support vector machine with a Gaussian kernel (C = 1, width from the variance). Its
inputs are at most 100 leading principal components of standardised values. The settings are the same for
pixels, codes and decoded images, and none is tuned.

The classifier is trained on images of the role train. It is evaluated on the roles val and calibration and
on the test images. Neither the classifier nor the autoencoder was trained on these, and the roles share no
group; but the validation images chose the epoch of the autoencoder. The distribution of the test images
may differ from that of the other roles.

N images, D values.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.stats import binomtest, norm
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from vae_jax.data.examples import Examples
from vae_jax.data.image_store import join_images
from vae_jax.data.row_draw import draw_rows
from vae_jax.errors import UserError
from vae_jax.exploration.pixels import flatten_pixels
from vae_jax.exploration.trained_run import TrainedRun

METHOD = "SVC, RBF kernel, C = 1, on principal components of standardised values, at most 100"
_MAX_COMPONENTS = 100
_MIN_GROUPS = 5  # a class with fewer groups of training images is left out
_MAX_TRAINING_IMAGES = (
    6_000  # limits the time of the fit; a random choice is taken from more images
)
_MAX_EVALUATION_IMAGES = 4_000  # limits the time of the prediction for each set


@dataclasses.dataclass(frozen=True)
class Proportion:
    """A proportion of images with its 95 % interval, which assumes that the images are independent."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Accuracies:
    """The proportion of correct predictions, and its mean over classes."""

    accuracy: Proportion
    balanced_accuracy: Proportion


@dataclasses.dataclass(frozen=True)
class Separability:
    """Accuracies of the classifiers.

    Attributes:
        classes: classes that the classifiers were trained to separate.
        num_training_images: number of images that the classifiers were trained on.
        num_images: name of an evaluated set (`held_out`, `test`) -> number of its images.
        accuracies: name of an evaluated set -> kind of input (`real`, `codes`, `decoded`) -> accuracies.
            A set is missing if its images have fewer than two of the classes.
    """

    classes: list[str]
    num_training_images: int
    num_images: dict[str, int]
    accuracies: dict[str, dict[str, Accuracies]]


def measure_separability(trained: TrainedRun) -> Separability:
    """Trains and evaluates the classifiers.

    Raises:
        UserError: if fewer than two classes of the training images have enough groups.
    """
    dataset, seed = trained.dataset, trained.config.seed
    classes = _choose_classes(dataset.train)
    images, names = _draw_images((dataset.train,), classes, _MAX_TRAINING_IMAGES, seed)
    num_training_images = len(names)
    classifiers = {
        kind: _fit_classifier(values, names, seed)
        for kind, values in _make_inputs(trained, images).items()
    }
    accuracies, num_images = {}, {}
    sets = {"held_out": (dataset.val, dataset.calibration), "test": (dataset.test,)}
    for set_name, roles in sets.items():
        images, names = _draw_images(roles, classes, _MAX_EVALUATION_IMAGES, seed)
        if len(set(names)) > 1:
            accuracies[set_name] = _evaluate(classifiers, _make_inputs(trained, images), names)
            num_images[set_name] = len(names)
    return Separability(classes, num_training_images, num_images, accuracies)


def _choose_classes(train: Examples) -> list[str]:
    class_groups = set(zip(train.classes, train.groups, strict=True))
    num_groups = Counter(name for name, _ in class_groups)
    classes = sorted(name for name, count in num_groups.items() if count >= _MIN_GROUPS)
    if len(classes) < 2:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(num_groups.items()))
        raise UserError(
            "a comparison of pixels, codes and decoded images by class needs at least two classes of "
            f"normal images with {_MIN_GROUPS} groups of training images each; found these numbers of "
            f"groups: {counts}"
        )
    return classes


def _draw_images(
    roles: Sequence[Examples], classes: Sequence[str], max_images: int, seed: int
) -> tuple[UInt8[np.ndarray, "N H W C"], np.ndarray]:
    """Returns at most `max_images` images of the classes, and the class name of each."""
    images = join_images([role.images for role in roles])
    names = np.array([name for role in roles for name in role.classes])
    rows = np.flatnonzero(np.isin(names, classes))
    rows = rows[draw_rows(len(rows), max_images, seed, in_order=True)]
    return images[rows], names[rows]


def _make_inputs(trained: TrainedRun, images: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the inputs of the classifiers: kind of input -> values [N, D].

    A conditional model infers the class of each image. If it were given the class, the decoded image would
    reveal it.
    """
    reconstructions = trained.reconstruct(images)
    return {
        "real": flatten_pixels(images),
        "codes": reconstructions.posterior.mu,
        "decoded": flatten_pixels(reconstructions.x_hat),
    }


def _fit_classifier(values: Float[np.ndarray, "N D"], names: np.ndarray, seed: int) -> Pipeline:
    components = min(_MAX_COMPONENTS, *values.shape)
    pca = PCA(components, random_state=seed)
    return make_pipeline(StandardScaler(), pca, SVC()).fit(values, names)


def _evaluate(
    classifiers: Mapping[str, Pipeline], inputs: Mapping[str, np.ndarray], names: np.ndarray
) -> dict[str, Accuracies]:
    return {
        kind: compute_accuracies(classifier.predict(inputs[kind]) == names, names)
        for kind, classifier in classifiers.items()
    }


def compute_accuracies(is_correct: Bool[np.ndarray, "N"], names: np.ndarray) -> Accuracies:
    """Returns accuracy and balanced accuracy of predictions.

    The accuracy has Wilson's interval (1927). The interval of the balanced accuracy is the normal
    approximation. It adds two correct and two wrong predictions to each class before it computes the
    variance (Agresti and Coull 1998), because a class without errors would otherwise have no variance.

    Args:
        is_correct: whether each prediction is correct.
        names: true class of each image.
    """
    interval = binomtest(int(is_correct.sum()), len(is_correct)).proportion_ci(method="wilson")
    recalls, variances = [], []
    for name in np.unique(names):
        in_class = is_correct[names == name]
        recalls.append(in_class.mean())
        adjusted = (in_class.sum() + 2) / (len(in_class) + 4)
        variances.append(adjusted * (1 - adjusted) / (len(in_class) + 4))
    balanced = float(np.mean(recalls))
    margin = float(norm.ppf(0.975) * np.sqrt(np.sum(variances)) / len(variances))
    return Accuracies(
        Proportion(float(is_correct.mean()), float(interval.low), float(interval.high)),
        Proportion(balanced, max(balanced - margin, 0.0), min(balanced + margin, 1.0)),
    )
