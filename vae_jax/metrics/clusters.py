"""Groups of images that resemble each other: variance of an estimate, and how many images they are worth.

Images of one patient, video or strip are not independent. A group is the unit of all that is random here: a
variance comes from sums over groups, and a resample draws whole groups.
Names: `N` images, `M` normals, `P` anomalies, `S` estimates, `G` groups.

Sources: Obuchowski 1997, "Nonparametric analysis of clustered ROC curve data" (the variance); Kish 1965,
"Survey sampling" (the design effect).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

Groups = Sequence | np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Covariance:
    """Covariance of S estimates.

    Attributes:
        total: the covariance, with the part that groups with both labels add.
        of_anomalies: the part that comes from the choice of the anomalies.
        of_normals: the part that comes from the choice of the normals.
        degrees: number of groups with anomalies and with normals, minus 1.
    """

    total: Float[np.ndarray, "S S"]
    of_anomalies: Float[np.ndarray, "S S"]
    of_normals: Float[np.ndarray, "S S"]
    degrees: tuple[int, int]

    def subtract(self) -> "Covariance":
        """Returns the covariance of one estimate, the first of two minus the second."""
        weights = np.array([[1.0, -1.0]])
        parts = (
            weights @ part @ weights.T for part in (self.total, self.of_anomalies, self.of_normals)
        )
        return Covariance(*parts, self.degrees)

    def welch_degrees(self) -> float:
        """Returns the degrees of freedom of the variance of the first estimate (Welch 1947)."""
        parts = float(self.of_anomalies[0, 0]), float(self.of_normals[0, 0])
        spread = sum(part**2 / degrees for part, degrees in zip(parts, self.degrees, strict=True))
        return sum(parts) ** 2 / spread if spread else float(min(self.degrees))


def number_groups(groups: Groups, num_images: int) -> Int[np.ndarray, "N"]:
    """Returns the number of the group of each image, in the order in which groups first appear.

    Args:
        groups: the group of each image; None if every image is a group of its own.
        num_images: N.

    Raises:
        ValueError: if there is not one group per image.
    """
    if groups is None:
        return np.arange(num_images)
    if len(groups) != num_images:
        raise ValueError(
            f"found {len(groups)} groups for {num_images} images; each image needs one"
        )
    _, first, numbers = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[numbers]


def sum_covariance(
    of_anomalies: Float[np.ndarray, "S P"],
    of_normals: Float[np.ndarray, "S M"],
    anomaly_groups: Int[np.ndarray, "P"],
    normal_groups: Int[np.ndarray, "M"],
) -> Covariance | None:
    """Returns the covariance of estimates that are sums over images; None if a label has only one group.

    Without groups it is the covariance of the mean over anomalies plus that of the mean over normals.

    Args:
        of_anomalies: what each anomaly adds to each estimate, times P; its mean does not matter.
        of_normals: what each normal adds to each estimate, times M; its mean does not matter.
        anomaly_groups: number of the group of each anomaly.
        normal_groups: number of the group of each normal.
    """
    num_groups = 1 + max(anomaly_groups.max(), normal_groups.max())
    sums, counts = [], []
    for values, numbers in ((of_anomalies, anomaly_groups), (of_normals, normal_groups)):
        share = (values - values.mean(axis=1, keepdims=True)) / values.shape[1]
        sums.append(np.stack([np.bincount(numbers, row, minlength=num_groups) for row in share]))
        counts.append(np.bincount(numbers, minlength=num_groups))
    present = [count > 0 for count in counts]
    sizes = [int(has_any.sum()) for has_any in present]
    if min(sizes) < 2:
        return None
    parts = [size / (size - 1) * total @ total.T for size, total in zip(sizes, sums, strict=True)]
    num_both = int(np.sum(present[0] & present[1]))
    shared = 0.0
    if num_both > 1:
        product = sums[0] @ sums[1].T
        shared = num_both / (num_both - 1) * (product + product.T)
    return Covariance(
        parts[0] + parts[1] + shared, parts[0], parts[1], (sizes[0] - 1, sizes[1] - 1)
    )


def effective_size(scores: Float[np.ndarray, "N"], groups: Int[np.ndarray, "N"]) -> float:
    """Returns how many independent images the images of one label are worth, at most N.

    It is N divided by Kish's design effect 1 + (n - 1) c. n is the size of the group of an image, as the
    mean over images, and c the correlation of the ranks of two images of one group.
    """
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    num_images, num_groups = len(scores), len(sizes)
    if num_groups == num_images:
        return float(num_images)
    mean_size = float(np.sum(sizes**2)) / num_images
    if num_groups == 1:
        return num_images / mean_size
    ranks = rankdata(scores)
    means = np.bincount(numbers, ranks) / sizes
    within = float(np.sum((ranks - means[numbers]) ** 2)) / (num_images - num_groups)
    between = float(np.sum(sizes * (means - ranks.mean()) ** 2)) / (num_groups - 1)
    size = (num_images - mean_size) / (num_groups - 1)  # of a group, in the analysis of variance
    spread = between + (size - 1) * within
    correlation = (between - within) / spread if spread > 0 else 1.0
    return num_images / (1 + (mean_size - 1) * min(max(correlation, 0.0), 1.0))


def count_effectively(
    scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"], groups: Int[np.ndarray, "N"]
) -> tuple[float, float]:
    """Returns how many independent normals and anomalies the images in groups are worth."""
    normals, anomalies = (
        effective_size(scores[labels == label], groups[labels == label]) for label in (0, 1)
    )
    return normals, anomalies
