"""Whether new images look like the calibration normals: if not, the threshold promises nothing.

n calibration normals, N new images.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

_LEVEL = 0.001  # p-values below this one are reported; a false report would cost trust


class DriftTest:
    """Counts p-values of new images, in constant memory.

    The p-value of an image is k / (n + 1), where k - 1 calibration normals score as high or higher. So the
    p-values are ranks among the calibration normals, and comparing them with the uniform distribution is
    the comparison of two samples: new images and calibration normals. The test of two samples is exact
    for few calibration normals as well; a test against the uniform distribution itself is not, because the
    p-values of all new images depend on the same calibration normals.

    Args:
        num_calibration: n.
    """

    def __init__(self, num_calibration: int):
        self._counts = np.zeros(num_calibration + 1, np.int64)

    def add(self, p_values: Float[np.ndarray, "N"]) -> None:
        """Counts the p-values of some images."""
        ranks = np.rint(p_values * len(self._counts)).astype(np.int64)
        self._counts += np.bincount(ranks - 1, minlength=len(self._counts))

    @property
    def p_value(self) -> float:
        """P-value of the Kolmogorov-Smirnov test of two samples; 1 without images.

        Source: Hodges 1958, "The significance probability of the Smirnov two-sample test".
        """
        num_new, num_calibration = int(self._counts.sum()), len(self._counts) - 1
        if not num_new:
            return 1.0
        distance = _measure_distance(self._counts)
        size = num_new * num_calibration / (num_new + num_calibration)
        return float(stats.kstwo.sf(distance, max(1, round(size))))

    def describe(
        self, num_anomalous: int, promised_rate: float | None, noun: str = "images"
    ) -> str:
        """Returns one sentence if the images are not what exchangeable normals would be, otherwise "".

        Args:
            num_anomalous: number of images that were called anomalous.
            promised_rate: promised share of normal images among them; None if none was promised.
            noun: what was called so, "images", or "tiles" where each tile is judged by itself.
        """
        p_value = self.p_value
        if p_value >= _LEVEL:
            return ""
        num_new = int(self._counts.sum())
        share = f"{num_anomalous} of {num_new} {noun} ({num_anomalous / num_new:.1%}) are anomalous"
        if promised_rate is not None:
            share += f", where at most about {promised_rate:.1%} of normal {noun} would be"
        return (
            "These images differ from the calibration normals (Kolmogorov-Smirnov test, "
            f"p = {p_value:.1g}): {share}. Either many of them are abnormal, or the camera, the light or "
            "the objects have changed since training; in the second case the threshold promises nothing."
        )


def _measure_distance(counts: Int[np.ndarray, "levels"]) -> float:
    """Returns the largest distance between the distribution functions of new images and of normals.

    From the highest score down, the images of level k come after k - 1 calibration normals. So there the
    function of the normals has the value (k - 1) / n.
    """
    num_calibration = len(counts) - 1
    new = np.cumsum(counts) / counts.sum()
    before = np.concatenate([[0.0], new[:-1]])
    level = np.arange(len(counts))  # calibration normals with a higher score
    highest = np.abs(new - level / num_calibration)
    lowest = np.abs(before - level / num_calibration)
    return float(max(highest.max(), lowest.max()))
