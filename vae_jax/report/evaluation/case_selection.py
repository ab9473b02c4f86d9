"""Selects the test images that the report shows, with their reconstructions and anomaly maps.

N test images, n images of one gallery, M samples, H W image, C channels.
"""

import pathlib

import ml_collections
import numpy as np
from jaxtyping import Float, Int

from vae_jax.data.examples import Examples
from vae_jax.model.branched import BranchedVAE
from vae_jax.report.evaluation.cases import Cases, ReportImages
from vae_jax.report.evaluation.whole_cases import draw_large_images, draw_whole_images
from vae_jax.scoring.decision import Decision
from vae_jax.scoring.pictures import Pictures
from vae_jax.scoring.setup import ScoringSetup
from vae_jax.scoring.stitching import Strip

_NUM_NORMAL, _NUM_ANOMALOUS = 2, 4  # whole images that are drawn alone where images are tiles


def select_images(
    setup: ScoringSetup,
    decision: Decision,
    pictures: Pictures,
    report_config: ml_collections.ConfigDict,
    strips: list[Strip],
) -> ReportImages:
    """Selects the images of the report and computes their reconstructions and error maps.

    Args:
        setup: model, data and scoring config.
        decision: scores and p-values of the test images.
        pictures: computes what stands beside an image.
        report_config: the `report` group of the config.
        strips: whole images that were cut into tiles.
    """
    test = setup.dataset.test
    rows = choose_rows(setup.images.test.labels, decision.scores, report_config.cases, setup.seed)
    if test.boxes is not None:
        large = [rows["normals"][:_NUM_NORMAL], rows["anomalies"][:_NUM_ANOMALOUS]]
        strips = draw_large_images(pictures, test, np.concatenate(large))
    return ReportImages(
        **{
            gallery: _make_cases(setup, decision, pictures, gallery_rows)
            for gallery, gallery_rows in rows.items()
        },
        samples=_sample_images(setup, report_config.samples),
        error_limit=pictures.limit,
        strips=strips,
        map_name=pictures.map_name,
    )


def _sample_images(setup: ScoringSetup, count: int) -> Float[np.ndarray, "M H W C"]:
    """Returns images decoded from the prior; none for a model that decodes no images."""
    if isinstance(setup.trained.model, BranchedVAE):
        size, channels = setup.dataset.image_size, setup.dataset.channels
        return np.zeros((0, size, size, channels), np.float32)
    return setup.trained.sample_prior(count, setup.seed)


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


def _make_cases(
    setup: ScoringSetup, decision: Decision, pictures: Pictures, rows: Int[np.ndarray, "n"]
) -> Cases:
    test, scores = setup.images.test, decision.scores
    if setup.dataset.test.boxes is not None:
        images, reconstructions, error_maps, masks = draw_whole_images(
            pictures, setup.dataset.test, rows
        )
    else:
        examples = test.take(rows)
        images = examples.images[:].astype(np.float32) / 255
        reconstructions, error_maps = pictures.draw(examples)
        masks = None if examples.masks is None else examples.masks[:] > 0
    return Cases(
        images=images,
        reconstructions=reconstructions,
        error_maps=error_maps,
        captions=[
            f"{_name_image(test, int(row))} · score {scores[row]:.4g} · p {decision.p_values[row]:.3f}"
            for row in rows
        ],
        scores=scores[rows],
        masks=masks,
    )


def _name_image(examples: Examples, row: int) -> str:
    """Returns the file of an image, with its class unless a folder of the file is named after it."""
    file, class_ = examples.names[row], examples.classes[row]
    return file if class_ in pathlib.PurePosixPath(file).parts else f"{class_} · {file}"
