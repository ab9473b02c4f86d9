"""The mode `explore`: shows and measures what a trained model has learnt in its latent space."""

import csv
import dataclasses
import functools
import pathlib
from typing import Any

import matplotlib
import ml_collections

from vae_jax import workdir as workdir_lib
from vae_jax.data import pipeline
from vae_jax.errors import UserError
from vae_jax.exploration.features import load_inception
from vae_jax.exploration.trained_run import TrainedRun, load_trained_run
from vae_jax.exploration.training_set import encode_training_set
from vae_jax.report import drawing
from vae_jax.report.exploration import parts
from vae_jax.report.exploration.page import Section, write_page
from vae_jax.report.numerals import format_quantity
from vae_jax.runtime.printable import unescape_cell
from vae_jax.score_names import is_score
from vae_jax.scoring.scores import deciding_score

# Columns of scores.csv that are read in addition to the score.
_REQUIRED_COLUMNS = {"file", "p_value", "anomalous"}


@dataclasses.dataclass(frozen=True)
class Exploration:
    """The result of an exploration.

    Attributes:
        sections: sections of the page.
        results: section of results.json -> fields of that section.
        omissions: for each part that the data or the model does not allow, a sentence that gives the
            reason.
    """

    sections: list[Section]
    results: dict[str, dict[str, Any]]
    omissions: list[str]


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Explores the best checkpoint of a run; writes explore.html, figures, and parts of results.json.

    Raises:
        UserError: if the model explains other observations than pixels.
    """
    if tuple(config.model.observations) != ("pixels",):
        raise UserError(
            "--mode=explore decodes images, but this model explains other observations: model.observations "
            f"is {', '.join(config.model.observations)}; explore a run with model.observations=pixels"
        )
    dataset = pipeline.load_dataset(config.data, config.seed)
    trained = load_trained_run(config, workdir, dataset)
    score_lines = read_score_lines(workdir / "scores.csv", config.scoring.decision)
    exploration = explore(trained, score_lines)
    workdir_lib.merge_results(
        workdir, exploration.results, remove=("generation", "latent.classifier")
    )
    path = write_page(workdir, config, exploration.sections, exploration.omissions)
    for omission in exploration.omissions:
        print(f"left out: {omission}")
    print(f"exploration: {path}")


def explore(trained: TrainedRun, score_lines: dict[str, list[str]]) -> Exploration:
    """Computes every part of the exploration; a part that the data or the model rules out is left out.

    Args:
        trained: trained model with its dataset.
        score_lines: name of a test image -> lines about its score, for the interactive map.

    Raises:
        UserError: if `explore.inception` is set but names no file of Inception-v3's weights.
    """
    # A wrong file name is an error of the user, so it is reported before any slow computation and is not
    # treated as an omission.
    path = trained.config.explore.inception
    inception = load_inception(pathlib.Path(path).expanduser()) if path else None
    training_set = encode_training_set(trained)
    sections: list[Section] = []
    results: dict[str, dict[str, Any]] = {}
    omissions: list[str] = []
    for compute_part in (
        functools.partial(parts.explore_samples, trained, training_set),
        functools.partial(parts.explore_memorisation, trained, training_set),
        functools.partial(parts.explore_reconstructions, trained),
        functools.partial(parts.explore_generation, trained, training_set, inception),
        functools.partial(parts.explore_maps, trained, score_lines),
        functools.partial(parts.explore_traversals, trained, training_set),
        functools.partial(parts.explore_interpolations, trained),
        functools.partial(parts.explore_separability, trained),
    ):
        try:
            with matplotlib.rc_context(drawing.STYLE):
                part = compute_part()
        except UserError as error:
            omissions.append(str(error))
        else:
            sections += part.sections
            for name, fields in part.results.items():
                results[name] = results.get(name, {}) | fields
    return Exploration(sections, results, omissions)


def read_score_lines(path: pathlib.Path, decision: str) -> dict[str, list[str]]:
    """Reads scores.csv: name of a test image -> two lines of text about its score.

    The result is empty if the file does not exist, because a run can be explored before it is evaluated.

    Args:
        path: path of scores.csv.
        decision: `scoring.decision`, the name of the score that decides.

    Raises:
        UserError: if the file has no rows, lacks columns or holds values that no evaluation writes.
    """
    if not path.is_file():
        return {}
    try:
        return _read_score_lines(path, decision)
    except (TypeError, AttributeError, ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}); run --mode=evaluate again") from error


def _read_score_lines(path: pathlib.Path, decision: str) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows:
        raise UserError(f"{path} has no rows; run --mode=evaluate again")
    score_names = [name for name in rows[0] if is_score(name)]
    missing = sorted(_REQUIRED_COLUMNS - rows[0].keys())
    if not score_names:
        missing.append("a score")
    if missing:
        raise UserError(
            f"{path} lacks these columns: {', '.join(missing)}; run --mode=evaluate again"
        )
    name = deciding_score(decision, score_names)
    return {
        unescape_cell(row["file"]): [
            f"{name} {format_quantity(float(row[name]))}",
            f"p-value {float(row['p_value']):.3f}, "
            + ("flagged" if row["anomalous"] == "1" else "not flagged"),
        ]
        for row in rows
    }
