"""Which images the report shows.

N test images, n of them in a row of the gallery.
"""

import pathlib
from collections.abc import Callable

import ml_collections
import numpy as np
from jaxtyping import Float, Int, UInt8

from vae_jax.data.examples import Examples
from vae_jax.data.row_draw import draw_rows
from vae_jax.report.evaluation.cases import Cases, ReportImages
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.localise import Scale

# Of calibration normals' pixels: what the top of the colour scale leaves above it.
_ERROR_QUANTILE = 0.995
# Calibration images behind that quantile.
_MAX_LIMIT_IMAGES = 256


def select(
    test: Examples,
    scores: Float[np.ndarray, " N"],
    p_values: Float[np.ndarray, " N"],
    calibration: Examples,
    trained: TrainedModel,
    samples: Float[np.ndarray, "M H W C"],
    scoring_config: ml_collections.ConfigDict,
    num_cases: int,
    seed: int,
) -> ReportImages:
    """Builds the gallery.

    Args:
        test: every test image.
        scores: of the score behind the decision.
        p_values: of the same score.
        calibration: normals that fix the scale of every error map, and its colours.
        trained: the model of the run.
        samples: from the prior.
        scoring_config: the `scoring` group of the config.
        num_cases: images a row.
        seed: of the draw that shows normals and anomalies whatever their scores.
    """
    rng = np.random.default_rng((seed, len(scores)))
    normal, anomaly = (np.flatnonzero(test.labels == label) for label in (0, 1))
    half = max(1, num_cases // 2)
    rising = {0: normal[np.argsort(scores[normal], kind="stable")],
              1: anomaly[np.argsort(scores[anomaly], kind="stable")]}  # fmt: skip

    def errors(images: UInt8[np.ndarray, "n H W C"]) -> dict[str, np.ndarray]:
        return {
            "error": _errors(images.astype(np.float32) / 255, trained.reconstruct(images).x_hat)
        }

    drawn = draw_rows(len(calibration.images), _MAX_LIMIT_IMAGES, seed, in_order=False)
    usual = calibration.images[drawn]
    scale = Scale.of(errors, usual, scoring_config)
    limit = float(np.quantile(scale.apply(errors(usual))["error"], _ERROR_QUANTILE))
    cases = _caser(test, scores, p_values, trained, scale)
    return ReportImages(
        normals=cases(_draw(rng, normal, num_cases)),
        anomalies=cases(_draw(rng, anomaly, num_cases)),
        best=cases(np.concatenate([rising[1][::-1][:half], rising[0][:half]])),
        worst=cases(np.concatenate([rising[1][:half], rising[0][::-1][:half]])),
        samples=samples,
        # A perfect reconstruction has no errors to scale by.
        error_limit=max(limit, 1e-3),
    )


def _draw(rng: np.random.Generator, rows: Int[np.ndarray, " n"], count: int):
    return np.sort(rng.choice(rows, min(count, len(rows)), replace=False))


def _caser(
    test, scores, p_values, trained: TrainedModel, scale: Scale
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
