"""The images that a report shows, which are stored in no file of the workdir.

A model of pixels has reconstructions. A model of other observations has none that one could look at; its
report shows anomaly maps beside the images.

N cases, M samples, n thumbnails of s pixels, H W image, C channels.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vae_jax.scoring.stitching import Strip


@dataclasses.dataclass(frozen=True)
class Cases:
    """Test images with their reconstructions and error maps; N may be 0.

    Attributes:
        images: images as the model sees them, in [0, 1].
        reconstructions: images decoded from the posterior means, in [0, 1]; None if the model explains
            other observations than pixels.
        error_maps: error of each pixel, or another anomaly map, in standard deviations above the mean of
            calibration normals at the same pixel; 0 where it is below that mean.
        captions: one line per image with file, class, score and p-value; it may hold any characters.
        scores: scores of the images, by the score that decides; higher is more anomalous.
        masks: which pixels are abnormal; None if the dataset has no masks.
        rows: row of each image in `scores.csv`; None if it is not known.
    """

    images: Float[np.ndarray, "N H W C"]
    reconstructions: Float[np.ndarray, "N H W C"] | None
    error_maps: Float[np.ndarray, "N H W"]
    captions: list[str]
    scores: Float[np.ndarray, "N"]
    masks: Bool[np.ndarray, "N H W"] | None = None
    rows: Int[np.ndarray, "N"] | None = None


@dataclasses.dataclass(frozen=True)
class Thumbnails:
    """Small pictures of test images.

    Attributes:
        rows: row of each image in `scores.csv`, in ascending order.
        files: name of each image; it may hold any characters.
        pixels: the pictures, all of one size.
        is_complete: whether every test image has a picture.
    """

    rows: Int[np.ndarray, "n"]
    files: list[str]
    pixels: UInt8[np.ndarray, "n s s 3"]
    is_complete: bool


@dataclasses.dataclass(frozen=True)
class ReportImages:
    """All images that the report of a run shows.

    Attributes:
        normals: normal test images, chosen at random from all classes and not by their scores.
        anomalies: anomalous test images, chosen at random from all classes and not by their scores.
        right: flagged anomalies with the highest scores, and normal images with the lowest scores that
            are not flagged.
        missed: anomalies that are not flagged, the lowest score first.
        false_alarms: normal images that are flagged, the highest score first.
        samples: images decoded from codes drawn from the prior, in [0, 1]; M may be 0, and is 0 for a model
            of other observations than pixels.
        error_limit: upper end of the colour scale that all error maps share, above 0 and fixed on
            calibration normals; the lower end is 0.
        strips: whole strips or images that were cut into tiles, with their anomaly maps; empty for other
            data.
        map_name: name of the anomaly map of the cases; "" for the error of the reconstruction.
        thumbnails: small pictures of many test images; None if there are none.
        calibration: scores of the calibration normals, for each score with a threshold.
    """

    normals: Cases
    anomalies: Cases
    right: Cases
    missed: Cases
    false_alarms: Cases
    samples: Float[np.ndarray, "M H W C"]
    error_limit: float
    strips: list[Strip] = dataclasses.field(default_factory=list)
    map_name: str = ""
    thumbnails: Thumbnails | None = None
    calibration: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
