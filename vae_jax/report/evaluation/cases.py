"""The images of a report: what stands in none of the files of a workdir.

N cases, M samples, H W image, C channels.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from vae_jax.scoring.stitching import Strip


@dataclasses.dataclass(frozen=True)
class Cases:
    """Images beside their reconstructions; N may be 0.

    Attributes:
        images: as the model saw them, in [0, 1].
        reconstructions: from the posterior mean, in [0, 1].
        error_maps: error of each pixel in standard deviations above what calibration normals have at that
            place; 0 where it is not above.
        captions: one line each: file, class, score, p-value. Any characters are allowed.
        scores: of the score behind the decision, higher is more anomalous.
    """

    images: Float[np.ndarray, "N H W C"]
    reconstructions: Float[np.ndarray, "N H W C"]
    error_maps: Float[np.ndarray, "N H W"]
    captions: list[str]
    scores: Float[np.ndarray, " N"]


@dataclasses.dataclass(frozen=True)
class ReportImages:
    """Every image that the report shows.

    Attributes:
        normals: normal test images, drawn without looking at their scores.
        anomalies: anomalous test images, likewise.
        best: anomalies with the highest scores and normals with the lowest.
        worst: missed anomalies and false alarms, the most wrong ones.
        samples: images from the prior, in [0, 1]; M may be 0.
        error_limit: upper end of the one colour scale of all error maps, above 0, fixed from
            calibration normals; the lower end is 0.
        strips: whole images that were cut into tiles, with their maps; none elsewhere.
    """

    normals: Cases
    anomalies: Cases
    best: Cases
    worst: Cases
    samples: Float[np.ndarray, "M H W C"]
    error_limit: float
    strips: list[Strip] = dataclasses.field(default_factory=list)
