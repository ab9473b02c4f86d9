"""The mode `explore`: samples, ways and maps of a trained model's latent space, and how good they are."""

import csv
import dataclasses
import functools
import json
import pathlib
from typing import Any

import matplotlib
import ml_collections

from vae_jax import workdir as workdir_lib
from vae_jax.data import pipeline
from vae_jax.errors import UserError
from vae_jax.exploration import trained_run as trained_lib
from vae_jax.exploration.features import Features, from_inception
from vae_jax.exploration.trained_run import TrainedRun
from vae_jax.report import drawing
from vae_jax.report.exploration import page
from vae_jax.report.exploration import parts as parts
from vae_jax.report.exploration.page import Section
from vae_jax.report.numerals import format_quantity
from vae_jax.scoring.scores import SCORES, deciding_score

_COLUMNS = {"file", "p_value", "anomalous"}  # of scores.csv that are read beside the score


@dataclasses.dataclass(frozen=True)
class Exploration:
    """What an exploration found.

    Attributes:
        sections: of the page.
        results: to be laid over what stands in results.json.
        omissions: one sentence on each part that the data or the model does not allow.
    """

    sections: list[Section]
    results: dict[str, Any]
    omissions: list[str]


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Explores the best checkpoint of a run; writes explore.html, figures, and into results.json."""
    dataset = pipeline.load_dataset(config.data, config.seed)
    trained = trained_lib.load(config, workdir, dataset)
    found = explore(trained, read_scores(workdir / "scores.csv", config.scoring.decision))
    _merge(workdir / "results.json", found.results)
    path = page.write(workdir, config, found.sections, found.omissions)
    for omission in found.omissions:
        print(f"left out: {omission}")
    print(f"exploration: {path}")


def explore(trained: TrainedRun, scores: dict[str, list[str]]) -> Exploration:
    """Looks at a trained model from every side that the data allows; the rest is left out and said.

    Args:
        trained: the model beside its data.
        scores: file of a test image -> lines about its score, for the map.

    Raises:
        UserError: if `explore.inception` names no file of Inception-v3's weights.
    """
    # What was asked for by name is not left out, and is refused before anything slow.
    asked = _asked(trained.config.explore.inception)
    known = parts.know(trained)
    sections: list[Section] = []
    results: dict[str, dict] = {}
    omissions: list[str] = []
    for part in (
        functools.partial(parts.samples, trained, known),
        functools.partial(parts.memorisation, trained, known),
        functools.partial(parts.reconstructions, trained),
        functools.partial(parts.generation, trained, known, asked),
        functools.partial(parts.latent_maps, trained, scores),
        functools.partial(parts.traversals, trained, known),
        functools.partial(parts.interpolations, trained),
        functools.partial(parts.separability, trained),
    ):
        try:
            with matplotlib.rc_context(drawing.STYLE):
                found, numbers = part()
        except UserError as error:
            omissions.append(str(error))
        else:
            sections += found
            for name, fields in numbers.items():
                results[name] = results.get(name, {}) | fields
    return Exploration(sections, results, omissions)


def read_scores(path: pathlib.Path, decision: str) -> dict[str, list[str]]:
    """Returns what scores.csv says about each image, in lines; nothing where there is no such file.

    Args:
        path: of scores.csv.
        decision: `scoring.decision`.

    Raises:
        UserError: if the file has no rows, or not the columns that an evaluation writes.
    """
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows:
        raise UserError(f"{path} holds no row; run --mode=evaluate again")
    names = [name for name in rows[0] if name in (*SCORES, "fusion")]
    if not names or not rows[0].keys() >= _COLUMNS:
        raise UserError(
            f"{path} has not the columns {', '.join(sorted(_COLUMNS))} and a score; run --mode=evaluate "
            "again"
        )
    name = deciding_score(decision, names)
    return {
        row["file"]: [
            f"{name} {format_quantity(float(row[name]))}",
            f"p-value {float(row['p_value']):.3f}, "
            + ("flagged" if row["anomalous"] == "1" else "passed"),
        ]
        for row in rows
    }


def _asked(inception: str) -> Features | None:
    return from_inception(pathlib.Path(inception).expanduser()) if inception else None


def _merge(path: pathlib.Path, found: dict[str, Any]) -> None:
    """Writes into results.json what an exploration owns there: `generation`, and `latent.classifier`.

    What an earlier one left in their place goes, so that figures of two of them do not mix.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        stored = {}
    except ValueError as error:
        raise UserError(f"{path} is no JSON ({error}); run --mode=evaluate again") from None
    stored.pop("generation", None)
    stored.get("latent", {}).pop("classifier", None)
    for name, fields in found.items():
        stored[name] = stored.get(name, {}) | fields
    workdir_lib.write_text(path, json.dumps(stored, indent=2, allow_nan=False) + "\n")
