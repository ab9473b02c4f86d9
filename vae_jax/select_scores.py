"""The mode `select`: ranks the scores of a trained model without anomalies, by synthetic corruptions.

Validation normals are corrupted, and each score is judged by how well it tells the corrupted images from
the clean ones. Validation is the role that neither trained a weight nor sets a threshold: calibration
images promise a false-alarm rate, which a choice by the same images could break, and test images are for
the evaluation alone. Both are withheld before anything is computed.
"""

import dataclasses
import json
import logging
import pathlib
import shlex
import time
from typing import Any

import ml_collections
import numpy as np

from vae_jax import workdir as workdir_lib
from vae_jax.data import pipeline
from vae_jax.data.binarise import binarise
from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.row_draw import draw_rows
from vae_jax.data.whole_images import separate_tiles
from vae_jax.errors import UserError
from vae_jax.evaluate import load_setup
from vae_jax.observation.fitted_observers import FittedObserver, fit_observers
from vae_jax.observation.observed import observe_dataset, observe_images
from vae_jax.report.selection_table import format_selection
from vae_jax.score_names import is_baseline
from vae_jax.scoring.role_scores import score_examples, select_supported_scores
from vae_jax.selection.aggregation import find_aggregation
from vae_jax.selection.corruptions import CORRUPTIONS, make_corrupted_set
from vae_jax.selection.ranking import (
    MODEL_FAMILY,
    Candidate,
    find_choice,
    measure_candidates,
    rank_agreement,
    rank_groups,
)

# These bound the time: the cost is that of scoring so many images.
_CORRUPTIONS_PER_KIND = 40
_MAX_NORMALS = 300
# In a smaller image a corruption has few pixels, and all kinds look alike.
_MIN_SIZE = 24  # pixels
_FILE = "select.json"

_log = logging.getLogger(__name__)


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Ranks the scores of a run; writes select.json and prints a table."""
    start = time.perf_counter()
    names = select_candidate_names(config)
    dataset = _withhold(pipeline.load_dataset(config.data, config.seed))
    selection = select_scores(config, workdir, dataset, names)
    changed = _list_changed_fields(config, workdir)
    selection["test_labels"] = _compare_with_test_labels(workdir, selection["groups"], changed)
    workdir_lib.write_text(workdir / _FILE, json.dumps(selection, indent=2, allow_nan=False) + "\n")
    print(format_selection(selection, _format_command(workdir, changed)))
    print(f"\nselection: {workdir / _FILE}, in {time.perf_counter() - start:.1f} s")


def select_candidate_names(config: ml_collections.ConfigDict) -> list[str]:
    """Returns the scores in `scoring.names` that are compared, those of the model.

    Raises:
        UserError: if the images are too small for corruptions, or no two scores can be compared.
    """
    size = config.data.image_size
    if size < _MIN_SIZE:
        raise UserError(
            f"data.image_size is {size}; --mode=select corrupts small parts of an image, and needs at "
            f"least {_MIN_SIZE} pixels: train with larger images, or choose a score by what it measures"
        )
    names = [name for name in config.scoring.names if not is_baseline(name)]
    aggregations = [find_aggregation(name, config.scoring) for name in names]
    if len(set(aggregations)) == len(aggregations):
        raise UserError(
            f"scoring.names is {', '.join(config.scoring.names)}; --mode=select compares scores of one "
            "model with the same aggregate, and no two of these have the same: name more of them with "
            "--config.scoring.names"
        )
    return names


def select_scores(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, dataset: Dataset, names: list[str]
) -> dict[str, Any]:
    """Ranks scores by their power against synthetic corruptions of validation normals.

    Args:
        config: config of the run.
        workdir: folder of the run.
        dataset: images; only those of `train`, for the fits of scores, and of `val` are read.
        names: names of scores of the model.

    Returns:
        The content of select.json except `test_labels`.

    Raises:
        UserError: if the workdir holds no checkpoint, or a score is not a finite number.
    """
    if dataset.val.boxes is not None:
        _log.info("every tile counts as an image, because a corruption is as large as a tile")
        dataset = dataclasses.replace(dataset, val=separate_tiles(dataset.val))
    observers = fit_observers(dataset.train.images, config)
    dataset = observe_dataset(dataset, config, ("train", "val"), observers)
    setup = load_setup(config, workdir, dataset)
    names = select_supported_scores(setup.trained.model, names, "scoring.names")
    clean = dataset.val
    if len(clean) > _MAX_NORMALS:
        clean = clean.take(draw_rows(len(clean), _MAX_NORMALS, config.seed, in_order=True))
    corrupted, kinds = _corrupt(clean, dataset, observers, config)
    columns, _ = score_examples(setup, names, {"val": clean, "corrupted": corrupted})
    candidates = measure_candidates(
        *({name: columns[role][name] for name in names} for role in ("val", "corrupted")),
        kinds,
        {name: find_aggregation(name, config.scoring) for name in names},
    )
    return {
        "normals": {"role": "val", "count": len(clean)},
        "corruptions": {kind: kinds.count(kind) for kind in CORRUPTIONS},
        "seed": config.seed,
        "groups": _describe_groups(candidates),
    }


def _withhold(dataset: Dataset) -> Dataset:
    """Returns the dataset without the images that a choice must not depend on."""
    none = np.arange(0)
    return dataclasses.replace(
        dataset, calibration=dataset.calibration.take(none), test=dataset.test.take(none)
    )


def _corrupt(
    clean: Examples,
    dataset: Dataset,
    observers: list[FittedObserver],
    config: ml_collections.ConfigDict,
) -> tuple[Examples, list[str]]:
    """Returns corruptions of normals, observed in memory, and the kind of each."""
    images, kinds, rows = make_corrupted_set(
        clean.images[:],
        _CORRUPTIONS_PER_KIND,
        config.seed,
        None if dataset.region is None else dataset.region.mask,
    )
    if config.data.binarise:
        images = binarise(images)
    corrupted = dataclasses.replace(clean, observed=None).take(np.array(rows))
    return dataclasses.replace(
        corrupted,
        images=images,
        labels=np.ones_like(corrupted.labels),
        files=[f"{file} ({kind})" for file, kind in zip(corrupted.files, kinds, strict=True)],
        observed=observe_images(images, observers, "observing corruptions"),
    ), kinds


def _describe_groups(candidates: list[Candidate]) -> dict[str, dict[str, Any]]:
    """Returns name of an aggregation -> its choice and its ranking; in the order of the candidates."""
    ranked = rank_groups(candidates)
    return {
        aggregation: {
            "choice": find_choice(ranked[MODEL_FAMILY, aggregation]),
            "ranking": [
                {"name": c.name, "power": c.power, "power_per_kind": c.power_per_kind}
                for c in ranked[MODEL_FAMILY, aggregation]
            ],
        }
        for aggregation in dict.fromkeys(candidate.aggregation for candidate in candidates)
    }


def _list_changed_fields(
    config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> dict[str, Any]:
    """Returns the fields whose values were given on the command line and not by the run."""
    stored = workdir_lib.flatten_config(workdir_lib.read_config(workdir))
    given = workdir_lib.flatten_config(config)
    return {
        field: value
        for field, value in given.items()
        if value != stored[field] and field != "scoring.decision"
    }


def _compare_with_test_labels(
    workdir: pathlib.Path, groups: dict[str, dict[str, Any]], changed: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Compares each ranking with the AUROC of an earlier evaluation; nothing here changes a choice.

    Returns:
        Name of an aggregation -> the rank correlation, and the AUROC of each score. Empty without an
        evaluation with labels, or if it computed other scores under the same names.
    """
    other_scores = any(
        field.startswith("scoring.") and field != "scoring.names" for field in changed
    )
    if other_scores or not (workdir / "results.json").exists():
        return {}
    with workdir_lib.explain_damaged_results(workdir):
        detection = workdir_lib.read_results(workdir).get("detection", {})
        aurocs = {
            name: entry["auroc"]["value"] for name, entry in detection.items() if "auroc" in entry
        }
    comparison = {}
    for aggregation, group in groups.items():
        power = {entry["name"]: entry["power"] for entry in group["ranking"]}
        known = {name: aurocs[name] for name in power if name in aurocs}
        if known:
            comparison[aggregation] = rank_agreement(power, known) | {"auroc": known}
    return comparison


def _format_command(workdir: pathlib.Path, changed: dict[str, Any]) -> str:
    """Returns the command that evaluates with the same fields, up to the value of scoring.decision."""
    fields = []
    for field, value in changed.items():
        if field.startswith(("scoring.", "data.")):
            text = ",".join(value) if isinstance(value, list) else str(value)
            fields.append(shlex.quote(f"--config.{field}={text}"))
    return " ".join(
        [
            "python -m vae_jax.main --mode=evaluate",
            shlex.quote(f"--workdir={workdir}"),
            *fields,
            "--config.scoring.decision=",
        ]
    )
