"""Which images the report shows.

N test images, n of them in a row of the gallery.
"""

import pathlib
from collections.abc import Callable

import ml_collections
import numpy as np
from jaxtyping import Int

from vae_jax.data.examples import Examples
from vae_jax.data.row_draw import draw_rows
from vae_jax.report.evaluation.cases import Cases, ReportImages
from vae_jax.scoring.anomaly_maps import MapScale
from vae_jax.scoring.decision import Decision
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.setup import ScoringSetup
from vae_jax.scoring.stitching import Strip

# Of calibration normals' pixels: what the top of the colour scale leaves above it.
_ERROR_QUANTILE = 0.995
# Calibration images behind that quantile.
_MAX_LIMIT_IMAGES = 256
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
    test, scores, num_cases = setup.dataset.test, decision.scores, report_config.cases
    trained = setup.trained.with_max_batch_size(_MAX_BATCH_SIZE)
    rng = np.random.default_rng((setup.seed, len(scores)))
    normal, anomaly = (np.flatnonzero(test.labels == label) for label in (0, 1))
    half = max(1, num_cases // 2)
    rising = {0: normal[np.argsort(scores[normal], kind="stable")],
              1: anomaly[np.argsort(scores[anomaly], kind="stable")]}  # fmt: skip

    calibration = setup.dataset.calibration.images
    drawn = calibration[draw_rows(len(calibration), _MAX_LIMIT_IMAGES, setup.seed, in_order=False)]
    x_hat = trained.reconstruct(drawn).x_hat
    maps = {"error": _errors(drawn.astype(np.float32) / 255, x_hat)}
    scale = MapScale([maps], setup.scoring_config.map_smoothing)
    limit = float(np.quantile(scale.apply(maps)["error"], _ERROR_QUANTILE))
    cases = _caser(test, scores, decision.p_values, trained, scale)
    return ReportImages(
        normals=cases(_draw(rng, normal, num_cases)),
        anomalies=cases(_draw(rng, anomaly, num_cases)),
        best=cases(np.concatenate([rising[1][::-1][:half], rising[0][:half]])),
        worst=cases(np.concatenate([rising[1][:half], rising[0][::-1][:half]])),
        samples=trained.sample_prior(report_config.samples, setup.seed),
        # A perfect reconstruction has no errors to scale by.
        error_limit=max(limit, 1e-3),
        strips=strips,
    )


def _draw(rng: np.random.Generator, rows: Int[np.ndarray, " n"], count: int):
    return np.sort(rng.choice(rows, min(count, len(rows)), replace=False))


def _caser(
    test, scores, p_values, trained: TrainedModel, scale: MapScale
) -> Callable[[np.ndarray], Cases]:
    def cases(rows):
        images = test.images[rows].astype(np.float32) / 255
        x_hat = trained.reconstruct(test.images[rows]).x_hat if len(rows) else images
        above_usual = scale.apply({"error": _errors(images, x_hat)})["error"]
        return Cases(
            images=images,
            reconstructions=x_hat,
            error_maps=np.maximum(above_usual, 0).astype(np.float32),
            captions=[
                f"{_name(test, int(row))} · score {scores[row]:.4g} · p {p_values[row]:.3f}"
                for row in rows
            ],
            scores=scores[rows],
        )

    return cases


def _name(test: Examples, row: int) -> str:
    """The file, and the class where the file's folder does not say it."""
    file, class_ = test.names[row], test.classes[row]
    return file if class_ in pathlib.PurePosixPath(file).parts else f"{class_} · {file}"


def _errors(images, x_hat):
    """Root mean square over channels of each pixel's error: linear in it, so that small errors show."""
    return np.sqrt(np.mean(np.square(images - x_hat), axis=3))
