"""The images that a report shows, which are stored in no file of the workdir.

N cases, M samples, H W image, C channels.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from vae_jax.scoring.stitching import Strip


@dataclasses.dataclass(frozen=True)
class Cases:
    """Test images with their reconstructions and error maps; N may be 0.

    Attributes:
        images: images as the model sees them, in [0, 1].
        reconstructions: images decoded from the posterior means, in [0, 1].
        error_maps: error of each pixel, in standard deviations above the mean error of calibration normals
            at the same pixel; 0 where the error is below that mean.
        captions: one line per image with file, class, score and p-value; it may hold any characters.
        scores: scores of the images, by the score that decides; higher is more anomalous.
    """

    images: Float[np.ndarray, "N H W C"]
    reconstructions: Float[np.ndarray, "N H W C"]
    error_maps: Float[np.ndarray, "N H W"]
    captions: list[str]
    scores: Float[np.ndarray, "N"]


@dataclasses.dataclass(frozen=True)
class ReportImages:
    """All images that the report of a run shows.

    Attributes:
        normals: normal test images, chosen at random and not by their scores.
        anomalies: anomalous test images, chosen at random and not by their scores.
        best: the anomalies with the highest scores and the normal images with the lowest scores.
        worst: the anomalies with the lowest scores and the normal images with the highest scores.
        samples: images decoded from codes drawn from the prior, in [0, 1]; M may be 0.
        error_limit: upper end of the colour scale that all error maps share, above 0 and fixed on
            calibration normals; the lower end is 0.
        strips: whole images that were cut into tiles, with their anomaly maps; empty for other data.
    """

    normals: Cases
    anomalies: Cases
    best: Cases
    worst: Cases
    samples: Float[np.ndarray, "M H W C"]
    error_limit: float
    strips: list[Strip] = dataclasses.field(default_factory=list)
