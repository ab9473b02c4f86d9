"""Selects the test images that the report shows, with their reconstructions and anomaly maps.

N test images, n images of one gallery, M samples, H W image, C channels.
"""

import itertools
import pathlib

import ml_collections
import numpy as np
from jaxtyping import Bool, Float, Int

from vae_jax.data.examples import Examples
from vae_jax.model.branched import BranchedVAE
from vae_jax.report.evaluation.cases import Cases, ReportImages
from vae_jax.report.evaluation.thumbnails import make_thumbnails
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
    rows = choose_rows(
        setup.images.test.labels,
        setup.images.test.classes,
        decision.scores,
        decision.anomalous,
        report_config.cases,
        setup.seed,
    )
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
        thumbnails=make_thumbnails(
            test,
            setup.images.test,
            decision.anomalous,
            np.concatenate(list(rows.values())),
            setup.seed,
        ),
        calibration=decision.calibration,
    )


def _sample_images(setup: ScoringSetup, count: int) -> Float[np.ndarray, "M H W C"]:
    """Returns images decoded from the prior; none for a model that decodes no images."""
    if isinstance(setup.trained.model, BranchedVAE):
        size, channels = setup.dataset.image_size, setup.dataset.channels
        return np.zeros((0, size, size, channels), np.float32)
    return setup.trained.sample_prior(count, setup.seed)


def choose_rows(
    labels: Int[np.ndarray, "N"],
    classes: list[str],
    scores: Float[np.ndarray, "N"],
    flagged: Bool[np.ndarray, "N"],
    num_cases: int,
    seed: int,
) -> dict[str, Int[np.ndarray, "n"]]:
    """Chooses the test images of each gallery.

    Args:
        labels: 0 for a normal image, 1 for an anomaly.
        classes: class name of each image.
        scores: scores of the images by the score that decides; higher is more anomalous.
        flagged: which images the run flags.
        num_cases: number of images per gallery; a gallery has fewer if there are not enough.
        seed: seed of the random choice.

    Returns:
        Rows by the name of the gallery in `ReportImages`. `normals` and `anomalies` are chosen at random,
        as many from each class as possible, and are in ascending order. The other galleries begin with
        the clearest case; `right` holds anomalies first and then normal images, as many of each.
    """
    by_score = np.argsort(scores, kind="stable")
    half = max(1, num_cases // 2)

    def select(label: int, is_flagged: bool) -> Int[np.ndarray, "n"]:
        """Returns the images with this label and decision, the lowest score first."""
        return by_score[(labels[by_score] == label) & (flagged[by_score] == is_flagged)]

    rng = np.random.default_rng((seed, len(labels)))
    normals, anomalies = (
        _choose_from_classes(rng, np.flatnonzero(labels == label), classes, num_cases)
        for label in (0, 1)
    )
    return {
        "normals": normals,
        "anomalies": anomalies,
        "right": np.concatenate([select(1, True)[::-1][:half], select(0, False)[:half]]),
        "missed": select(1, False)[:num_cases],
        "false_alarms": select(0, True)[::-1][:num_cases],
    }


def _choose_from_classes(
    rng: np.random.Generator, rows: Int[np.ndarray, "N"], classes: list[str], max_rows: int
) -> Int[np.ndarray, "n"]:
    """Chooses rows at random, one from each class in turn."""
    rows_by_class: dict[str, list[int]] = {}
    for row in rng.permutation(rows).tolist():
        rows_by_class.setdefault(classes[row], []).append(row)
    names = sorted(rows_by_class)
    turns = itertools.zip_longest(*(rows_by_class[name] for name in rng.permutation(names)))
    chosen = [row for turn in turns for row in turn if row is not None][:max_rows]
    return np.sort(np.array(chosen, np.int64))


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
        rows=rows,
    )


def _name_image(examples: Examples, row: int) -> str:
    """Returns the file of an image, with its class unless a folder of the file is named after it."""
    file, class_ = examples.names[row], examples.classes[row]
    return file if class_ in pathlib.PurePosixPath(file).parts else f"{class_} · {file}"
