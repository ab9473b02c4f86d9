"""How well classes are told apart from pixels, from codes, and from decoded images.

A support vector classifier with Gaussian kernel (C = 1, width from the variance) on standardised values and
their leading principal components, at most 100, the same for all three; nothing is tuned. It learns from
the images of the role train, and is judged on those of val and calibration, which neither it nor the
autoencoder has learnt from (the roles share no group; val chose the autoencoder's epoch), and on the test
images, whose distribution may be another.

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
from vae_jax.exploration.pixels import flat
from vae_jax.exploration.trained_run import TrainedRun

METHOD = "SVC, RBF kernel, C = 1, on principal components of standardised values, at most 100"
_COMPONENTS = 100
_LEAST_GROUPS = 5  # of a class that takes part
_MOST_LEARNT = 6_000  # images; drawn beyond that, for the time of the fit
_MOST_JUDGED = 4_000  # of each set


@dataclasses.dataclass(frozen=True)
class Share:
    """A share of images with its 95 % interval, which takes images to be independent."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Judged:
    """Accuracy, and the mean over classes of the share that is recognised."""

    accuracy: Share
    balanced_accuracy: Share


@dataclasses.dataclass(frozen=True)
class Separability:
    """What was found.

    Attributes:
        classes: that the classifiers were taught.
        num_learnt: images that they learnt from.
        num_images: name of a judged set (`held_out`, `test`) -> images in it.
        judged: name of a set -> kind (`real`, `codes`, `decoded`) -> figures; a set is absent where its
            images are of fewer than two of the classes.
    """

    classes: list[str]
    num_learnt: int
    num_images: dict[str, int]
    judged: dict[str, dict[str, Judged]]


def separability(trained: TrainedRun) -> Separability:
    """Teaches and judges the classifiers.

    Raises:
        UserError: if the training images are of fewer than two classes with enough groups.
    """
    dataset, seed = trained.dataset, trained.config.seed
    classes = _classes(dataset.train)
    images, names = _draw((dataset.train,), classes, _MOST_LEARNT, seed)
    fitted = {kind: _fit(x, names, seed) for kind, x in _kinds(trained, images).items()}
    judged, num_images = {}, {}
    sets = {"held_out": (dataset.val, dataset.calibration), "test": (dataset.test,)}
    for name, roles in sets.items():
        shown, truth = _draw(roles, classes, _MOST_JUDGED, seed)
        if len(set(truth)) > 1:
            judged[name] = _judge(fitted, _kinds(trained, shown), truth)
            num_images[name] = len(truth)
    return Separability(classes, len(names), num_images, judged)


def _classes(train: Examples) -> list[str]:
    pairs = set(zip(train.classes, train.groups, strict=True))
    counted = Counter(name for name, _ in pairs)
    classes = sorted(name for name, count in counted.items() if count >= _LEAST_GROUPS)
    if len(classes) < 2:
        told = ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))
        raise UserError(
            f"telling classes apart takes two with {_LEAST_GROUPS} groups each among the training "
            f"images, and their groups are {told}; train on more classes with --config.data.normal_classes"
        )
    return classes


def _draw(
    roles: Sequence[Examples], classes: Sequence[str], most: int, seed: int
) -> tuple[UInt8[np.ndarray, "N H W C"], np.ndarray]:
    """Returns images of the classes and the names of these; `most` of them where there are more."""
    images = join_images([role.images for role in roles])
    names = np.array([name for role in roles for name in role.classes])
    rows = np.flatnonzero(np.isin(names, classes))
    rows = rows[draw_rows(len(rows), most, seed, in_order=True)]
    return images[rows], names[rows]


def _kinds(trained: TrainedRun, images: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what is judged; a conditional model finds the class itself, or it would tell it."""
    return {
        "real": flat(images),
        "codes": trained.encode(images).mu,
        "decoded": flat(trained.reconstruct(images).x_hat),
    }


def _fit(values: Float[np.ndarray, "N D"], names: np.ndarray, seed: int) -> Pipeline:
    components = min(_COMPONENTS, *values.shape)
    pca = PCA(components, random_state=seed)
    return make_pipeline(StandardScaler(), pca, SVC()).fit(values, names)


def _judge(
    fitted: Mapping[str, Pipeline], values: Mapping[str, np.ndarray], names: np.ndarray
) -> dict[str, Judged]:
    return {
        kind: judge(model.predict(values[kind]) == names, names) for kind, model in fitted.items()
    }


def judge(right: Bool[np.ndarray, "N"], names: np.ndarray) -> Judged:
    """Returns both accuracies of decisions, given whether each was right and the class of its image.

    Intervals: Wilson 1927 for the accuracy; for the balanced one the normal approximation, with each
    class's variance after two successes and two failures more (Agresti and Coull 1998), so that a class
    without an error is not taken to be certain.
    """
    accuracy = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    shares, variances = [], []
    for name in np.unique(names):
        own = right[names == name]
        shares.append(own.mean())
        shrunk = (own.sum() + 2) / (len(own) + 4)
        variances.append(shrunk * (1 - shrunk) / (len(own) + 4))
    balanced = float(np.mean(shares))
    reach = float(norm.ppf(0.975) * np.sqrt(np.sum(variances)) / len(variances))
    return Judged(
        Share(float(right.mean()), float(accuracy.low), float(accuracy.high)),
        Share(balanced, max(balanced - reach, 0.0), min(balanced + reach, 1.0)),
    )
