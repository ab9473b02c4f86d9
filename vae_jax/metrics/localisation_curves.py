"""Curves of an anomaly map against masks, over the share of normal pixels that a threshold marks.

The curve of PRO is the one whose area is AUPRO. The overlap of an image is the share of its marked pixels
above the threshold. Its quartiles over images show what the means hide: whether every anomaly is found in
part, or some are found whole and others not at all (Bertoldo et al. 2024, "AUPIMO: redefining anomaly
localization benchmarks with high speed and low tolerance", draw one such curve for each image).

Names: `K` bins, `k` bins that an image uses, `N` images, `P` points of a curve, `T`
thresholds.
"""

import numpy as np
from jaxtyping import Float, Int, Shaped

# Anomalies are small, so what matters happens at low rates: the points are dense there.
FALSE_POSITIVE_RATES = np.logspace(-4, 0, 81)
QUARTILES = ("quarter", "median", "three_quarters")
_DIGITS = 5  # decimals that are stored
_BITS = 14  # bins of the overlaps: 5 bits of fraction, so values that differ by 3 % are told apart


class ImageOverlaps:
    """The marked pixels of each image, counted in bins; an image uses few bins, so little is stored."""

    def __init__(self, bits: int):
        """Starts without images; bins that are added are numbers of this many bits."""
        self._shift = bits - _BITS
        self._images: list[tuple[Int[np.ndarray, k], Float[np.ndarray, k]]] = []

    def __len__(self) -> int:
        return len(self._images)

    def add(self, bins: Int[np.ndarray, "pixels"]) -> None:
        """Adds an image.

        Args:
            bins: bin of each marked pixel; at least one. A higher bin is more anomalous.
        """
        used, counts = np.unique(bins >> self._shift, return_counts=True)
        above = np.cumsum(counts[::-1])[::-1] / len(bins)
        self._images.append((used.astype(np.int16), above.astype(np.float32)))

    def measure(self, normal: Shaped[np.ndarray, "K"]) -> Float[np.ndarray, "N P"]:
        """Returns the overlap of each image at each of `FALSE_POSITIVE_RATES`.

        The threshold of a rate is the lowest bin at which no larger share of the normal pixels is marked.

        Args:
            normal: number of normal pixels in each bin.
        """
        counts = normal.reshape(2**_BITS, -1).sum(axis=1)
        rates = np.cumsum(counts[::-1])[::-1] / counts.sum()  # falling
        # Two sums of the same counts may differ in the last bit, which must not shift a threshold.
        thresholds = np.searchsorted(-rates, -FALSE_POSITIVE_RATES * (1 + 1e-12))
        return np.array([_look_up(*image, thresholds) for image in self._images])


def _look_up(
    used: Int[np.ndarray, "k"], above: Float[np.ndarray, "k"], thresholds: Int[np.ndarray, "P"]
) -> Float[np.ndarray, "P"]:
    """Returns the share of an image in bins that are not below each threshold."""
    return np.append(above, 0)[np.searchsorted(used, thresholds)]


def accumulate(
    normal: Shaped[np.ndarray, "K"],
    abnormal: Shaped[np.ndarray, "K"],
    overlap: Float[np.ndarray, "K"],
    num_regions: int | float,
) -> tuple[Shaped[np.ndarray, "T"], Shaped[np.ndarray, "T"], Float[np.ndarray, "T"]]:
    """Returns false alarms, hits and PRO of each threshold, from the highest value down; first all are 0.

    Args:
        normal: number of pixels outside masks in each bin, over rising values.
        abnormal: the same inside masks.
        overlap: the same pixels, each with the weight 1 / area of its region.
        num_regions: number of regions.
    """
    used = np.flatnonzero(normal + abnormal)[::-1]
    false_alarms, hits, found = (
        np.append(0, np.cumsum(counts[used])) for counts in (normal, abnormal, overlap)
    )
    return false_alarms, hits, found / num_regions


def trace_curves(
    normal: Shaped[np.ndarray, "K"],
    abnormal: Shaped[np.ndarray, "K"],
    overlap: Float[np.ndarray, "K"],
    num_regions: int,
    image_overlaps: ImageOverlaps,
) -> dict[str, list[float] | dict[str, list[float]] | int]:
    """Traces the curves of one map.

    Args:
        normal: number of pixels outside masks in each bin, over rising values.
        abnormal: the same inside masks.
        overlap: the same pixels, each with the weight 1 / area of its region.
        num_regions: number of regions.
        image_overlaps: the marked pixels of each image that has any.

    Returns:
        `fpr`, the share of normal pixels that is marked, [P]; `recall`, the share of all marked pixels that
        is found, and `pro`, the mean over regions, both [P]; `overlap`: the quartiles over images, [P]
        each; `images`: the number of images with marked pixels.
    """
    false_alarms, hits, pro = accumulate(normal, abnormal, overlap, num_regions)
    fpr, recall = false_alarms / false_alarms[-1], hits / hits[-1]
    overlaps = np.quantile(
        image_overlaps.measure(normal), [0.25, 0.5, 0.75], axis=0, method="inverted_cdf"
    )
    return {
        "fpr": _round(FALSE_POSITIVE_RATES),
        "recall": _round(np.interp(FALSE_POSITIVE_RATES, fpr, recall)),
        "pro": _round(np.minimum(np.interp(FALSE_POSITIVE_RATES, fpr, pro), 1)),
        "overlap": {name: _round(row) for name, row in zip(QUARTILES, overlaps, strict=True)},
        "images": len(image_overlaps),
    }


def _round(values: Float[np.ndarray, "P"]) -> list[float]:
    return np.round(values, _DIGITS).tolist()
