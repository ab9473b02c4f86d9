"""How well anomaly maps find the abnormal pixels, in memory that does not grow with the images.

Higher values are more anomalous. B images, H W pixels, K bins, T points of a curve, R resamples.

A region is a connected part of a mask, corners included. Its overlap at a threshold is the share of its
pixels above; PRO, the mean overlap over all regions of all images, gives a small anomaly the weight of a
large one (Bergmann et al. 2021, "The MVTec anomaly detection dataset", section 4). Since the mean of
shares is a sum over pixels, each weighted with 1 / area of its region, one weighted histogram holds it.

Pixels of one image resemble each other, so that intervals resample images: as each arrives, it enters
each of R resamples as often as a Poisson variable of mean 1 says, which for many images is the bootstrap
(Hanley and MacGibbon 2006, "Creating non-parametric bootstrap samples using Poisson frequencies").
"""

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from scipy import ndimage

# Values are binned by the first bits of their float32: sign, exponent and 11 of 23 bits of fraction. That
# needs no range to be known beforehand and parts any two values that differ by 0.05 %.
_BITS = 20
# Resamples are kept in fewer bins, by 3 bits of fraction: 20 MB in all. What that shifts a measure by is
# much the same in each resample, and taken off again.
_COARSE_BITS = 12
_RESAMPLES = 200
_CORNERS = np.ones((3, 3), bool)
_NAMES = ("pixel_auroc", "pixel_ap", "aupro")


class Localisation:
    """Streaming pixel AUROC, pixel average precision and AUPRO.

    Give it every image once, normals with an empty mask; then ask for the `result`.
    """

    def __init__(self, seed: int = 0):
        """Starts with nothing seen; `seed` is of the resamples that intervals come from."""
        self._normal = np.zeros(2**_BITS, np.int64)  # pixels outside masks, by bin
        self._abnormal = np.zeros(2**_BITS, np.int64)  # pixels inside
        self._overlap = np.zeros(2**_BITS)  # pixels inside, in shares of their region
        self._num_regions = 0
        self._rng = np.random.default_rng(seed)
        # The same three histograms, coarse, and the number of regions, for each resample.
        self._resampled = np.zeros((3, _RESAMPLES, 2**_COARSE_BITS))
        self._resampled_regions = np.zeros(_RESAMPLES)

    def update(
        self,
        maps: Float[np.ndarray, "B H W"],
        masks: UInt8[np.ndarray, "B H W"] | Bool[np.ndarray, "B H W"],
        roi: Bool[np.ndarray, "B H W"] | Bool[np.ndarray, "H W"] | None = None,
    ) -> None:
        """Takes in some images.

        Args:
            maps: how anomalous each pixel is.
            masks: above 0 where it is.
            roi: which pixels count, everything else being neither normal nor abnormal; a region is what
                is left of it inside. None for all.

        Raises:
            ValueError: if a value that counts is NaN.
        """
        counts = np.broadcast_to(True if roi is None else roi, maps.shape)
        abnormal = (masks > 0) & counts
        num_nan = int(np.isnan(maps[counts]).sum())
        if num_nan:
            raise ValueError(f"{num_nan} pixels of the anomaly maps are NaN")
        bins = _bins(maps)
        self._normal += _histogram(bins[counts & ~abnormal])
        self._abnormal += _histogram(bins[abnormal])
        share = np.empty(int(abnormal.sum()))
        start = 0
        regions_of_image = np.empty(len(maps))
        for i, mask in enumerate(abnormal):
            regions, num_regions = ndimage.label(mask, _CORNERS)
            of_pixel = regions[mask]
            share[start : start + len(of_pixel)] = 1 / np.bincount(of_pixel)[of_pixel]
            start += len(of_pixel)
            regions_of_image[i] = num_regions
        self._num_regions += int(regions_of_image.sum())
        self._overlap += np.bincount(bins[abnormal], share, minlength=2**_BITS)
        self._resample(bins, counts & ~abnormal, abnormal, share, regions_of_image)

    def _resample(
        self,
        bins: Int[np.ndarray, "B H W"],
        normal: Bool[np.ndarray, "B H W"],
        abnormal: Bool[np.ndarray, "B H W"],
        share: Float[np.ndarray, "pixels"],
        num_regions: Float[np.ndarray, "B"],
    ) -> None:
        """Puts the images into each resample, none, one or several times."""
        num_images, num_bins = len(bins), 2**_COARSE_BITS
        coarse = bins >> (_BITS - _COARSE_BITS)
        coarse += np.arange(num_images)[:, None, None] * num_bins  # a histogram for each image
        # One row an image, so that the draws are the same in batches of any size.
        weights = self._rng.poisson(1.0, (num_images, _RESAMPLES)).T.astype(np.float64)
        kinds = ((normal, None), (abnormal, None), (abnormal, share))
        for resampled, (chosen, of_pixel) in zip(self._resampled, kinds, strict=True):
            found = np.bincount(coarse[chosen], of_pixel, minlength=num_images * num_bins)
            found = found.reshape(num_images, num_bins)
            used = found.any(axis=0)
            resampled[:, used] += weights @ found[:, used]
        self._resampled_regions += weights @ num_regions

    def result(self, fpr_limit: float = 0.3) -> dict[str, float | dict[str, dict[str, float]]]:
        """Returns what was found so far.

        Args:
            fpr_limit: up to which share of normal pixels above the threshold AUPRO looks.

        Returns:
            `pixel_auroc`, `pixel_ap` (average precision) and `aupro`, the mean of PRO over false positive
            rates from 0 to `fpr_limit`; all in [0, 1]. `intervals` holds `low` and `high` of each, at
            95 %, over which images were tested. Empty without both normal and abnormal pixels.
        """
        if not (self._num_regions and self._normal.any()):
            return {}
        fine = self._normal, self._abnormal, self._overlap
        found = _measures(*fine, self._num_regions, fpr_limit)
        coarse = [counts.reshape(2**_COARSE_BITS, -1).sum(axis=1) for counts in fine]
        shift = found - _measures(*coarse, self._num_regions, fpr_limit)
        possible = self._resampled[:2].any(axis=2).all(axis=0)  # with pixels of both kinds
        resamples = zip(
            *self._resampled[:, possible], self._resampled_regions[possible], strict=True
        )
        spread = [_measures(*resample, fpr_limit) for resample in resamples]
        low, high = np.clip(np.quantile(spread, [0.025, 0.975], axis=0) + shift, 0, 1)
        low, high = np.minimum(low, found), np.maximum(high, found)
        return {name: float(value) for name, value in zip(_NAMES, found, strict=True)} | {
            "intervals": {
                name: {"low": float(low[i]), "high": float(high[i])}
                for i, name in enumerate(_NAMES)
            }
        }


def _measures(
    normal: Shaped[np.ndarray, "K"],
    abnormal: Shaped[np.ndarray, "K"],
    overlap: Float[np.ndarray, "K"],
    num_regions: int | float,
    fpr_limit: float,
) -> Float[np.ndarray, "3"]:
    """Returns pixel AUROC, average precision and AUPRO of histograms by rising value."""
    used = np.flatnonzero(normal + abnormal)[::-1]  # from the highest value down
    false_alarms = np.append(0, np.cumsum(normal[used]))
    hits = np.append(0, np.cumsum(abnormal[used]))
    fpr, recall = false_alarms / false_alarms[-1], hits / hits[-1]
    precision = hits[1:] / (hits + false_alarms)[1:]
    pro = np.append(0, np.cumsum(overlap[used])) / num_regions
    found = (
        np.trapezoid(recall, fpr),
        np.sum(np.diff(recall) * precision),
        _area_below(pro, fpr, fpr_limit) / fpr_limit,
    )
    return np.minimum(found, 1.0)  # rounding


def _bins(maps: Float[np.ndarray, "B H W"]) -> Int[np.ndarray, "B H W"]:
    """Returns the bin of each value; a higher value never has a lower bin."""
    bits = (maps.astype(np.float32) + np.float32(0)).view(np.uint32)  # the sum turns -0 into 0
    sign = np.uint32(1 << 31)
    # Floats of one sign are ordered like their bits; negative ones in reverse, below all others.
    rising = np.where(bits & sign, ~bits, bits | sign)
    return (rising >> np.uint32(32 - _BITS)).astype(np.int64)


def _histogram(bins: Int[np.ndarray, "pixels"]) -> Int[np.ndarray, "K"]:
    return np.bincount(bins, minlength=2**_BITS)


def _area_below(height: Float[np.ndarray, "T"], fpr: Float[np.ndarray, "T"], limit: float) -> float:
    """Returns the area under a curve from 0 to `limit`, with a straight line between points."""
    inside = fpr < limit
    x = np.append(fpr[inside], limit)
    y = np.append(height[inside], np.interp(limit, fpr, height))
    return float(np.trapezoid(y, x))
