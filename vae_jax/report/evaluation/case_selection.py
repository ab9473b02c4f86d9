"""Selects the test images that the report shows, and computes their reconstructions and error maps.

N test images, n images of one gallery, H W image, C channels.
"""

import dataclasses
import pathlib

import ml_collections
import numpy as np
from jaxtyping import Float, Int, UInt8

from vae_jax.data.examples import Examples
from vae_jax.data.row_draw import draw_rows
from vae_jax.report.evaluation.cases import Cases, ReportImages
from vae_jax.scoring.anomaly_maps import MapScale
from vae_jax.scoring.decision import Decision
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.setup import ScoringSetup
from vae_jax.scoring.stitching import Strip

# The colour scale ends at this quantile of the errors of calibration normals, over all their pixels.
_LIMIT_QUANTILE = 0.995
_MAX_LIMIT_IMAGES = 256  # calibration normals that fix the colour scale
_MIN_LIMIT = 1e-3  # the colour scale needs a length even if all reconstructions are perfect
_MAX_BATCH_SIZE = 64  # images on the device at the same time


def select_images(
    setup: ScoringSetup,
    decision: Decision,
    report_config: ml_collections.ConfigDict,
    strips: list[Strip],
) -> ReportImages:
    """Selects the images of the report and computes their reconstructions and error maps.

    Args:
        setup: model, data and scoring config; calibration normals fix the scale of every error map and
            the upper end of its colours.
        decision: scores and p-values of the test images.
        report_config: the `report` group of the config.
        strips: whole images that were cut into tiles.
    """
    rows = choose_rows(setup.dataset.test.labels, decision.scores, report_config.cases, setup.seed)
    error_scale = _measure_error_scale(setup)
    return ReportImages(
        **{
            gallery: _make_cases(setup, decision, error_scale, gallery_rows)
            for gallery, gallery_rows in rows.items()
        },
        samples=_limit_batch_size(setup).sample_prior(report_config.samples, setup.seed),
        error_limit=error_scale.limit,
        strips=strips,
    )


def choose_rows(
    labels: Int[np.ndarray, "N"], scores: Float[np.ndarray, "N"], num_cases: int, seed: int
) -> dict[str, Int[np.ndarray, "n"]]:
    """Chooses the test images of each gallery.

    Args:
        labels: 0 for a normal image, 1 for an anomaly.
        scores: scores of the images by the score that decides; higher is more anomalous.
        num_cases: number of images per gallery; a gallery has fewer if there are not enough.
        seed: seed of the random choice.

    Returns:
        Rows by the name of the gallery in `ReportImages`. `normals` and `anomalies` are chosen at random
        and in ascending order. `best` and `worst` hold anomalies first and then normal images, as many of
        each, beginning with the best or the worst.
    """
    rng = np.random.default_rng((seed, len(scores)))
    normals, anomalies = (np.flatnonzero(labels == label) for label in (0, 1))
    normals_by_score = normals[np.argsort(scores[normals], kind="stable")]
    anomalies_by_score = anomalies[np.argsort(scores[anomalies], kind="stable")]
    half = max(1, num_cases // 2)
    return {
        "normals": _choose_at_random(rng, normals, num_cases),
        "anomalies": _choose_at_random(rng, anomalies, num_cases),
        "best": np.concatenate([anomalies_by_score[::-1][:half], normals_by_score[:half]]),
        "worst": np.concatenate([anomalies_by_score[:half], normals_by_score[::-1][:half]]),
    }


def _choose_at_random(
    rng: np.random.Generator, rows: Int[np.ndarray, "N"], max_rows: int
) -> Int[np.ndarray, "n"]:
    return np.sort(rng.choice(rows, min(max_rows, len(rows)), replace=False))


@dataclasses.dataclass(frozen=True)
class _ErrorScale:
    """The scale that all error maps of a report share.

    Attributes:
        scale: mean and standard deviation of each pixel's error over calibration normals.
        limit: upper end of the colours, in standard deviations.
    """

    scale: MapScale
    limit: float

    def apply(self, errors: Float[np.ndarray, "n H W"]) -> Float[np.ndarray, "n H W"]:
        """Returns errors in standard deviations above the mean of calibration normals, 0 below it."""
        return np.maximum(self.scale.apply({"error": errors})["error"], 0).astype(np.float32)


def _measure_error_scale(setup: ScoringSetup) -> _ErrorScale:
    """Measures the scale on calibration normals, at most 256 of them, chosen at random."""
    images = setup.dataset.calibration.images
    rows = draw_rows(len(images), _MAX_LIMIT_IMAGES, setup.seed, in_order=False)
    x, x_hat = _reconstruct(_limit_batch_size(setup), images[rows])
    errors = {"error": _compute_errors(x, x_hat)}
    scale = MapScale([errors], setup.scoring_config.map_smoothing)
    limit = float(np.quantile(scale.apply(errors)["error"], _LIMIT_QUANTILE))
    return _ErrorScale(scale, max(limit, _MIN_LIMIT))


def _make_cases(
    setup: ScoringSetup,
    decision: Decision,
    error_scale: _ErrorScale,
    rows: Int[np.ndarray, "n"],
) -> Cases:
    test, scores = setup.dataset.test, decision.scores
    x, x_hat = _reconstruct(_limit_batch_size(setup), test.images[rows])
    return Cases(
        images=x,
        reconstructions=x_hat,
        error_maps=error_scale.apply(_compute_errors(x, x_hat)),
        captions=[
            f"{_name_image(test, int(row))} · score {scores[row]:.4g} · p {decision.p_values[row]:.3f}"
            for row in rows
        ],
        scores=scores[rows],
    )


def _limit_batch_size(setup: ScoringSetup) -> TrainedModel:
    return setup.trained.with_max_batch_size(_MAX_BATCH_SIZE)


def _reconstruct(
    trained: TrainedModel, images: UInt8[np.ndarray, "n H W C"]
) -> tuple[Float[np.ndarray, "n H W C"], Float[np.ndarray, "n H W C"]]:
    """Returns images and reconstructions in [0, 1]; there may be no image."""
    x = images.astype(np.float32) / 255
    return x, trained.reconstruct(images).x_hat if len(images) else x


def _compute_errors(
    x: Float[np.ndarray, "n H W C"], x_hat: Float[np.ndarray, "n H W C"]
) -> Float[np.ndarray, "n H W"]:
    """Returns the root mean square error of each pixel over channels.

    It is linear in the error and not quadratic, so that small errors remain visible.
    """
    return np.sqrt(np.mean(np.square(x - x_hat), axis=3))


def _name_image(examples: Examples, row: int) -> str:
    """Returns the file of an image, with its class unless a folder of the file is named after it."""
    file, class_ = examples.names[row], examples.classes[row]
    return file if class_ in pathlib.PurePosixPath(file).parts else f"{class_} · {file}"
