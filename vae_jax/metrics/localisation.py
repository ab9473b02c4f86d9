"""How well anomaly maps localise abnormal pixels. The memory does not grow with the number of images.

Higher values are more anomalous.
Names: `B` images, `H W` pixels, `K` bins, `T` points of a curve, `R` resamples.

A region is a connected part of a mask; pixels that touch at a corner are connected. The overlap of a region
at a threshold is the share of its pixels above the threshold. PRO is the mean overlap over all regions of
all images, so a small anomaly has the same weight as a large one (Bergmann et al. 2021, "The MVTec anomaly
detection dataset", section 4). This mean is a sum over pixels with the weight 1 / area of their region, so
one weighted histogram is enough to compute it.

Pixels of one image resemble each other, and so do images of one group, so intervals come from resampled
groups of images. The number of times that a group enters one of the R resamples is a Poisson variable of
mean 1; for many groups this is the bootstrap (Hanley and MacGibbon 2006, "Creating non-parametric bootstrap
samples using Poisson frequencies").
"""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from scipy import ndimage

from vae_jax.metrics.localisation_curves import ImageOverlaps, accumulate, trace_curves

# Values are binned by the first bits of their float32: sign, exponent and 11 of 23 bits of fraction. So the
# range need not be known beforehand, and two values that differ by 0.05 % are in different bins.
_BITS = 20
# Resamples have fewer bins, with 3 bits of fraction: 0.1 MB for each resample. Coarse bins shift a metric
# by almost the same amount in each resample, and this shift is subtracted again.
_COARSE_BITS = 12
_CORNERS = np.ones((3, 3), bool)
_NAMES = ("pixel_auroc", "pixel_ap", "aupro")


class Localisation:
    """Streaming pixel AUROC, pixel average precision and AUPRO.

    Call `update` once with each image, and then `result`. The mask of a normal image is empty.
    """

    def __init__(self, seed: int = 0, num_resamples: int = 200):
        """Starts without images.

        Args:
            seed: determines the resamples that the intervals come from.
            num_resamples: R.
        """
        self._normal = np.zeros(2**_BITS, np.int64)  # pixels outside masks, by bin
        self._abnormal = np.zeros(2**_BITS, np.int64)  # pixels inside masks, by bin
        self._overlap = np.zeros(
            2**_BITS
        )  # the same pixels, each with the weight 1 / area of its region
        self._num_regions = 0
        self._image_overlaps = ImageOverlaps(_BITS)
        self._seed, self._rng = seed, np.random.default_rng(seed)
        # The same three histograms with coarse bins, and the number of regions, of each resample.
        self._resampled = np.zeros((3, num_resamples, 2**_COARSE_BITS))
        self._resampled_regions = np.zeros(num_resamples)

    def update(
        self,
        maps: Float[np.ndarray, "B H W"],
        masks: UInt8[np.ndarray, "B H W"] | Bool[np.ndarray, "B H W"],
        roi: Bool[np.ndarray, "B H W"] | Bool[np.ndarray, "H W"] | None = None,
        groups: Sequence[str] | None = None,
    ) -> None:
        """Adds images to the histograms.

        Args:
            maps: how anomalous each pixel is.
            masks: above 0 where a pixel is abnormal.
            roi: which pixels count; the others are neither normal nor abnormal, and a region consists of
                its pixels inside. None if all pixels count.
            groups: name of the group of each image; None if every image is a group of its own.

        Raises:
            ValueError: if a value that counts is NaN.
        """
        counts = np.broadcast_to(True if roi is None else roi, maps.shape)
        abnormal = (masks > 0) & counts
        num_nan = int(np.isnan(maps[counts]).sum())
        if num_nan:
            raise ValueError(
                f"{num_nan} pixels of the anomaly maps are NaN; a ranking needs numbers"
            )
        bins = _bins(maps)
        _count(self._normal, bins[counts & ~abnormal])
        _count(self._abnormal, bins[abnormal])
        weights = np.empty(int(abnormal.sum()))
        start = 0
        regions_of_image = np.empty(len(maps))
        for i, mask in enumerate(abnormal):
            regions, num_regions = ndimage.label(mask, _CORNERS)
            region_of_pixel = regions[mask]
            areas = np.bincount(region_of_pixel)
            weights[start : start + len(region_of_pixel)] = 1 / areas[region_of_pixel]
            start += len(region_of_pixel)
            regions_of_image[i] = num_regions
            if num_regions:
                self._image_overlaps.add(bins[i][mask])
        self._num_regions += int(regions_of_image.sum())
        _count(self._overlap, bins[abnormal], weights)
        times = self._draw_times(len(maps), groups)
        self._resample(bins, times, counts & ~abnormal, abnormal, weights, regions_of_image)

    def _draw_times(
        self, num_images: int, groups: Sequence[str] | None
    ) -> Float[np.ndarray, "R B"]:
        """Returns how often each image enters each resample.

        The seed and the name of a group determine its numbers, so they need not be kept.
        """
        num_resamples = len(self._resampled_regions)
        if groups is None:
            # One row per image, so that the draws do not depend on the batch size.
            times = self._rng.poisson(1.0, (num_images, num_resamples))
        else:
            times = np.array(
                [
                    np.random.default_rng((self._seed, zlib.crc32(group.encode()))).poisson(
                        1.0, num_resamples
                    )
                    for group in groups
                ]
            )
        return times.T.astype(np.float64)

    def _resample(
        self,
        bins: Int[np.ndarray, "B H W"],
        times: Float[np.ndarray, "R B"],
        normal: Bool[np.ndarray, "B H W"],
        abnormal: Bool[np.ndarray, "B H W"],
        region_weights: Float[np.ndarray, "pixels"],
        num_regions: Float[np.ndarray, "B"],
    ) -> None:
        """Adds each image to each resample as often as `times` says."""
        num_images, num_bins = len(bins), 2**_COARSE_BITS
        coarse = bins >> (_BITS - _COARSE_BITS)
        coarse += np.arange(num_images)[:, None, None] * num_bins  # a histogram for each image
        histograms = ((normal, None), (abnormal, None), (abnormal, region_weights))
        for resampled, (pixels, weights) in zip(self._resampled, histograms, strict=True):
            counts = np.bincount(coarse[pixels], weights, minlength=num_images * num_bins)
            counts = counts.reshape(num_images, num_bins)
            used = counts.any(axis=0)
            resampled[:, used] += times @ counts[:, used]
        self._resampled_regions += times @ num_regions

    def result(self, fpr_limit: float = 0.3, with_curves: bool = False) -> dict[str, Any]:
        """Returns the metrics of all images so far.

        Args:
            fpr_limit: the highest false-positive rate of pixels that AUPRO includes.
            with_curves: whether to add `curves`: what `trace_curves` returns.

        Returns:
            `pixel_auroc`, `pixel_ap` (average precision) and `aupro`, the mean of PRO over false-positive
            rates from 0 to `fpr_limit`; all in [0, 1]. `intervals` holds `low` and `high` of the 95 %
            interval of each metric over resampled groups of images. The dictionary is empty unless there
            are normal and abnormal pixels.
        """
        if not (self._num_regions and self._normal.any()):
            return {}
        fine = self._normal, self._abnormal, self._overlap
        values = _measure(*fine, self._num_regions, fpr_limit)
        coarse = [counts.reshape(2**_COARSE_BITS, -1).sum(axis=1) for counts in fine]
        shift = values - _measure(*coarse, self._num_regions, fpr_limit)
        possible = (
            self._resampled[:2].any(axis=2).all(axis=0)
        )  # they have normal and abnormal pixels
        resamples = zip(
            *self._resampled[:, possible], self._resampled_regions[possible], strict=True
        )
        resampled_values = [_measure(*resample, fpr_limit) for resample in resamples]
        low, high = np.clip(np.quantile(resampled_values, [0.025, 0.975], axis=0) + shift, 0, 1)
        low, high = np.minimum(low, values), np.maximum(high, values)
        metrics: dict[str, Any] = dict(zip(_NAMES, map(float, values), strict=True))
        metrics["intervals"] = {
            name: {"low": float(low[i]), "high": float(high[i])} for i, name in enumerate(_NAMES)
        }
        if with_curves:
            metrics["curves"] = trace_curves(*fine, self._num_regions, self._image_overlaps)
        return metrics


def _measure(
    normal: Shaped[np.ndarray, "K"],
    abnormal: Shaped[np.ndarray, "K"],
    overlap: Float[np.ndarray, "K"],
    num_regions: int | float,
    fpr_limit: float,
) -> Float[np.ndarray, "3"]:
    """Returns pixel AUROC, average precision and AUPRO from histograms over rising values."""
    false_alarms, hits, pro = accumulate(normal, abnormal, overlap, num_regions)
    fpr, recall = false_alarms / false_alarms[-1], hits / hits[-1]
    precision = hits[1:] / (hits + false_alarms)[1:]
    metrics = (
        np.trapezoid(recall, fpr),
        np.sum(np.diff(recall) * precision),
        _area_below(pro, fpr, fpr_limit) / fpr_limit,
    )
    return np.minimum(metrics, 1.0)  # rounding can exceed 1


def _bins(maps: Float[np.ndarray, "B H W"]) -> Int[np.ndarray, "B H W"]:
    """Returns the bin of each value; a higher value never has a lower bin."""
    bits = (maps.astype(np.float32) + np.float32(0)).view(np.uint32)  # adding 0 turns -0 into 0
    sign = np.uint32(1 << 31)
    # Positive floats are ordered like their bits; negative ones are in reverse order, and below them.
    rising = np.where(bits & sign, ~bits, bits | sign)
    return (rising >> np.uint32(32 - _BITS)).astype(np.int64)


def _count(
    histogram: Shaped[np.ndarray, "K"],
    bins: Int[np.ndarray, "pixels"],
    weights: Float[np.ndarray, "pixels"] | None = None,
) -> None:
    """Adds pixels to a histogram in place."""
    if len(bins) >= len(histogram) // 4:
        histogram += np.bincount(bins, weights, minlength=len(histogram))
    else:  # one large image at a time has few pixels, and a sum of whole histograms takes longer
        np.add.at(histogram, bins, 1 if weights is None else weights)


def _area_below(height: Float[np.ndarray, "T"], fpr: Float[np.ndarray, "T"], limit: float) -> float:
    """Returns the area under a curve from 0 to `limit`; points are joined by straight lines."""
    inside = fpr <= limit  # a point at the limit itself ends the curve as it is
    x = np.append(fpr[inside], limit)
    y = np.append(height[inside], np.interp(limit, fpr, height))
    return float(np.trapezoid(y, x))
