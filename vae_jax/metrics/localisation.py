"""How well anomaly maps find the abnormal pixels, in memory that does not grow with the images.

Higher values are more anomalous. B images, H W pixels, K bins, T points of a curve.

A region is a connected part of a mask, corners included. Its overlap at a threshold is the share of its
pixels above; PRO, the mean overlap over all regions of all images, gives a small anomaly the weight of a
large one (Bergmann et al. 2021, "The MVTec anomaly detection dataset", section 4). Since the mean of
shares is a sum over pixels, each weighted with 1 / area of its region, one weighted histogram holds it.
"""

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage

# Values are binned by the first bits of their float32: sign, exponent and 11 of 23 bits of fraction. That
# needs no range to be known beforehand and parts any two values that differ by 0.05 %.
_BITS = 20
_CORNERS = np.ones((3, 3), bool)


class Localisation:
    """Streaming pixel AUROC, pixel average precision and AUPRO.

    Give it every image once, normals with an empty mask; then ask for the `result`.
    """

    def __init__(self):
        self._normal = np.zeros(2**_BITS, np.int64)  # pixels outside masks, by bin
        self._abnormal = np.zeros(2**_BITS, np.int64)  # pixels inside
        self._overlap = np.zeros(2**_BITS)  # pixels inside, in shares of their region
        self._num_regions = 0

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
        for mask in abnormal:
            regions, num_regions = ndimage.label(mask, _CORNERS)
            of_pixel = regions[mask]
            share[start : start + len(of_pixel)] = 1 / np.bincount(of_pixel)[of_pixel]
            start += len(of_pixel)
            self._num_regions += num_regions
        self._overlap += np.bincount(bins[abnormal], share, minlength=2**_BITS)

    def result(self, fpr_limit: float = 0.3) -> dict[str, float]:
        """Returns what was found so far.

        Args:
            fpr_limit: up to which share of normal pixels above the threshold AUPRO looks.

        Returns:
            `pixel_auroc`, `pixel_ap` (average precision) and `aupro`, the mean of PRO over false positive
            rates from 0 to `fpr_limit`; all in [0, 1]. Empty without both normal and abnormal pixels.
        """
        if not (self._num_regions and self._normal.any()):
            return {}
        used = np.flatnonzero(self._normal + self._abnormal)[::-1]  # from the highest value down
        false_alarms = np.append(0, np.cumsum(self._normal[used]))
        hits = np.append(0, np.cumsum(self._abnormal[used]))
        fpr, recall = false_alarms / false_alarms[-1], hits / hits[-1]
        precision = hits[1:] / (hits + false_alarms)[1:]
        pro = np.append(0, np.cumsum(self._overlap[used])) / self._num_regions
        found = {
            "pixel_auroc": np.trapezoid(recall, fpr),
            "pixel_ap": np.sum(np.diff(recall) * precision),
            "aupro": _area_below(pro, fpr, fpr_limit) / fpr_limit,
        }
        return {name: min(float(value), 1.0) for name, value in found.items()}  # rounding


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
