"""How well classes are told apart from pixels, from codes, and from decoded images.

A support vector classifier with Gaussian kernel (C = 1, width from the variance) on standardised values and
their 100 leading principal components, the same for all three; nothing is tuned. It learns from images of
the roles train, val and calibration, and is judged on their groups that it was not shown, and on the test
images, whose distribution may be another.

N images, D values.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import binomtest, norm
from sklearn.decomposition import PCA
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from vae_jax.errors import UserError
from vae_jax.exploration.pixels import flat
from vae_jax.exploration.trained import Trained

METHOD = "SVC, RBF kernel, C = 1, on 100 principal components of standardised values"
_COMPONENTS = 100
_FOLDS = 5  # a fifth of the groups is held out
_LEAST_GROUPS = 5  # of a class that takes part
_MOST = 6_000  # images to learn from and to be held out; drawn beyond that, for the time of the fit
_MOST_TEST = 4_000


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
        judged: name of a set -> kind (`real`, `codes`, `decoded`) -> figures; `test` is absent where the
            test images are of fewer than two of the classes.
    """

    classes: list[str]
    num_learnt: int
    num_images: dict[str, int]
    judged: dict[str, dict[str, Judged]]


def separability(trained: Trained) -> Separability:
    """Teaches and judges the classifiers.

    Raises:
        UserError: if the training roles hold fewer than two classes with enough groups.
    """
    dataset, seed = trained.dataset, trained.config.seed
    roles = (dataset.train, dataset.val, dataset.calibration)
    images = np.concatenate([role.images for role in roles])
    names = np.array([name for role in roles for name in role.classes])
    groups = np.array([group for role in roles for group in role.groups])
    classes = _classes(names, groups)
    rows = _draw(np.isin(names, classes), _MOST, seed)
    learns, held = _split(names[rows], groups[rows], seed)
    test_rows = _draw(np.isin(dataset.test.classes, classes), _MOST_TEST, seed)
    test_names = np.array(dataset.test.classes)[test_rows]

    values = _kinds(trained, images[rows])
    fitted = {kind: _fit(x[learns], names[rows][learns], seed) for kind, x in values.items()}
    judged = {"held_out": _judge(fitted, {k: x[held] for k, x in values.items()},
                                 names[rows][held])}  # fmt: skip
    num_images = {"held_out": int(held.sum())}
    if len(set(test_names)) > 1:
        test = _kinds(trained, dataset.test.images[test_rows])
        judged["test"] = _judge(fitted, test, test_names)
        num_images["test"] = len(test_rows)
    return Separability(classes, int(learns.sum()), num_images, judged)


def _classes(names: np.ndarray, groups: np.ndarray) -> list[str]:
    pairs = set(zip(names.tolist(), groups.tolist(), strict=True))
    counted = Counter(name for name, _ in pairs)
    classes = sorted(name for name, count in counted.items() if count >= _LEAST_GROUPS)
    if len(classes) < 2:
        told = ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))
        raise UserError(
            f"telling classes apart takes two with {_LEAST_GROUPS} groups each among the training "
            f"images, and their groups are {told}; train on more classes with --config.data.normal_classes"
        )
    return classes


def _draw(usable: Bool[np.ndarray, "N"], most: int, seed: int) -> Int[np.ndarray, "n"]:
    rows = np.flatnonzero(usable)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:most])


def _split(names, groups, seed: int) -> tuple[Bool[np.ndarray, "N"], Bool[np.ndarray, "N"]]:
    """Returns which images are learnt from and which are held out; no group is on both sides."""
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    _, held = next(folds.split(names, names, groups))
    mask = np.zeros(len(names), bool)
    mask[held] = True
    return ~mask, mask


def _kinds(trained: Trained, images: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what is judged; a conditional model finds the class itself, or it would tell it."""
    return {
        "real": flat(images),
        "codes": trained.encode(images).mu,
        "decoded": flat(trained.reconstruct(images)),
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
