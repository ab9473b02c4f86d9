"""The mode `ablate`: trains a grid of configs, one run per cell, and compares the cells on one page."""

import dataclasses
import logging
import pathlib
import traceback
from collections.abc import Mapping, Sequence

import jax
import ml_collections

from vae_jax import evaluate as evaluate_lib
from vae_jax import grid
from vae_jax import train as train_lib
from vae_jax import workdir as workdir_lib
from vae_jax.audit.training_check import check_dataset
from vae_jax.comparison.stored_run import read_comparable_run
from vae_jax.data import pipeline
from vae_jax.data.examples import Dataset
from vae_jax.data.prepared_sources import read_fingerprint
from vae_jax.errors import UserError
from vae_jax.grid import Cell
from vae_jax.observation.observed import observe_dataset
from vae_jax.report.ablation.cell_differences import compare_with_base_cells
from vae_jax.report.ablation.cell_outcomes import CellOutcome, format_csv, pick_measures
from vae_jax.report.ablation.page import write_page
from vae_jax.report.ablation.reconstructions import read_reconstructions, write_reconstructions
from vae_jax.workdir_claim import claim_workdir

log = logging.getLogger(__name__)

# A run writes this file last, so a cell that has it is finished.
_LAST_FILE = "report.html"


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Trains, evaluates and reports every unfinished cell, and compares all cells.

    Args:
        config: resolved and valid config with `ablate.factors`.
        workdir: folder of the ablation. It gets `cells/` with one run per cell; `ablation.csv`,
            `ablation.html` and `figures/`, which are written again after each cell; and `compiled/` with
            the compiled programs, which the cells share.

    Raises:
        UserError: before anything is trained, if a factor, a seed or the workdir is not valid, or if a
            finished cell was trained on other images; after all cells, if one of them crashed.
    """
    factors = grid.read_factors(config.ablate.factors)
    cells = grid.make_cells(config, factors)
    _claim_workdir(workdir, config)
    outcomes = {cell.name: _claim_cell(workdir, cell) for cell in cells}
    ablation = _Ablation(
        config=config,
        workdir=workdir,
        levels={factor.field: list(factor.levels) for factor in factors},
        cells=cells,
        outcomes=outcomes,
    )
    _check_data(workdir, cells, outcomes)
    _share_programs(workdir / "compiled")

    unfinished = [cell for cell in cells if outcomes[cell.name].status != "done"]
    unfinished.sort(key=_data_key)  # cells with the same data are neighbours, so it is loaded once
    log.info("%s: %d of %d cells are not finished", config.name, len(unfinished), len(cells))
    loader = _DatasetLoader()
    for number, cell in enumerate(unfinished, 1):
        log.info("\ncell %d of %d: %s", number, len(unfinished), cell.name)
        outcomes[cell.name] = _run_cell(workdir, cell, loader)
        # Every cell traces its own functions, so they are of no use to the next cell. What XLA compiled
        # from them remains in `compiled/`.
        jax.clear_caches()
        # An ablation that is stopped after this cell has a page.
        _write_comparison(ablation)
    page = _write_comparison(ablation)
    print(f"\nablation: {page}")
    _check_crashes(ablation, page)


@dataclasses.dataclass(frozen=True)
class _Ablation:
    """An ablation in progress.

    Attributes:
        config: config of the ablation.
        workdir: folder of the ablation.
        levels: field -> its levels as text, the base first.
        cells: all cells.
        outcomes: name of a cell -> its outcome so far, for all cells.
    """

    config: ml_collections.ConfigDict
    workdir: pathlib.Path
    levels: dict[str, list[str]]
    cells: tuple[Cell, ...]
    outcomes: dict[str, CellOutcome]


class _DatasetLoader:
    """Loads the data of cells, and keeps the last dataset for following cells with the same data."""

    def __init__(self):
        self._key: tuple[int, str] | None = None
        self._dataset: Dataset | None = None

    def load(self, cell: Cell) -> Dataset:
        key = _data_key(cell)
        if key != self._key:
            # The old dataset is released first, so that memory never holds two.
            self._key = self._dataset = None
            dataset = pipeline.load_dataset(cell.config.data, cell.config.seed)
            check_dataset(dataset, cell.config)
            self._dataset, self._key = dataset, key
        return self._dataset


def _data_key(cell: Cell) -> tuple[int, str]:
    """Returns what determines the images of a cell and their split: the seed and the data config."""
    return cell.config.seed, cell.config.data.to_json(sort_keys=True)


def _claim_workdir(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
    if (workdir / "metrics.jsonl").exists():
        raise UserError(
            f"--workdir={workdir} contains a single run; choose another --workdir for the ablation"
        )
    claim_workdir(workdir, config)


def _claim_cell(workdir: pathlib.Path, cell: Cell) -> CellOutcome:
    """Claims the folder of a cell for its config, and returns the cell's outcome so far.

    Raises:
        UserError: if the folder contains a run of another config.
    """
    folder = _cell_folder(workdir, cell)
    last_file = folder / _LAST_FILE
    # If the user asks for more epochs than last time, training continues and the old report is outdated.
    finished = last_file.exists() and (
        workdir_lib.read_config(folder).train.epochs == cell.config.train.epochs
    )
    claim_workdir(folder, cell.config)
    if finished:
        return _read_outcome(folder, cell)
    last_file.unlink(missing_ok=True)
    return CellOutcome(cell.name, cell.levels, cell.config.seed, "waiting")


def _check_data(
    workdir: pathlib.Path, cells: Sequence[Cell], outcomes: Mapping[str, CellOutcome]
) -> None:
    """Checks that finished cells were trained on the images that are there now.

    Raises:
        UserError: if some of them were trained on other images; the message names the first.
    """
    fingerprints: dict[str, str] = {}  # data config -> fingerprint of its images
    outdated = []
    for cell in cells:
        if outcomes[cell.name].status != "done":
            continue
        key = cell.config.data.to_json(sort_keys=True)
        if key not in fingerprints:
            fingerprints[key] = read_fingerprint(cell.config.data)
        folder = _cell_folder(workdir, cell)
        with workdir_lib.explain_damaged_results(folder):
            then = workdir_lib.read_results(folder)["dataset"]["fingerprint"]
        if then != fingerprints[key]:
            outdated.append((cell.name, then, fingerprints[key]))
    if outdated:
        name, then, now = outdated[0]
        raise UserError(
            f"{len(outdated)} finished cells were trained on other images, the first of them {name} "
            f"(fingerprint {then} then, {now} now); cells on different images cannot be compared: use "
            f"another --workdir, or delete these cells below {workdir / 'cells'}"
        )


def _cell_folder(workdir: pathlib.Path, cell: Cell) -> pathlib.Path:
    return workdir / "cells" / cell.name


def _share_programs(folder: pathlib.Path) -> None:
    """Lets cells share compiled programs in `folder`, unless the user chose another folder for them."""
    if jax.config.jax_compilation_cache_dir is None:
        # The folder is private because JAX executes the programs that it finds there.
        folder.mkdir(exist_ok=True, mode=0o700)
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def _run_cell(workdir: pathlib.Path, cell: Cell, loader: _DatasetLoader) -> CellOutcome:
    """Trains, evaluates and reports one cell, and returns its outcome.

    A crash is written to `error.txt` in the cell's folder and does not stop the ablation.
    """
    folder = _cell_folder(workdir, cell)
    error_file = folder / "error.txt"
    try:
        dataset = observe_dataset(loader.load(cell), cell.config)
        train_lib.train(cell.config, folder, dataset)
        evaluation = evaluate_lib.evaluate(cell.config, folder, dataset)
        write_reconstructions(workdir, cell.name, evaluation.images)
        evaluate_lib.write_report(folder, evaluation)
    except Exception as error:  # any error of one cell must not stop the other cells
        error_file.write_text(traceback.format_exc(), encoding="utf-8")
        message = f"{type(error).__name__}: {' '.join(str(error).split())}"
        log.error("cell %s crashed: %s; the traceback is in %s", cell.name, message, error_file)
        return CellOutcome(cell.name, cell.levels, cell.config.seed, "crashed", error=message)
    error_file.unlink(missing_ok=True)
    return _read_outcome(folder, cell)


def _read_outcome(folder: pathlib.Path, cell: Cell) -> CellOutcome:
    """Returns the outcome of a finished cell, from its files."""
    with workdir_lib.explain_damaged_results(folder):
        results = workdir_lib.read_results(folder)
        return CellOutcome(
            cell.name,
            cell.levels,
            cell.config.seed,
            "done",
            decision=results["decision"]["score"],
            measures=pick_measures(results),
            run=read_comparable_run(folder),
        )


def _write_comparison(ablation: _Ablation) -> pathlib.Path:
    """Writes `ablation.csv` and `ablation.html` with all outcomes so far; returns the path of the page."""
    config, workdir = ablation.config, ablation.workdir
    outcomes = list(ablation.outcomes.values())
    differences = compare_with_base_cells(ablation.levels, outcomes)
    workdir_lib.write_text(workdir / "ablation.csv", format_csv(outcomes, differences))
    # Cells of one seed have the same test images, so their reconstructions can be compared.
    first_seed = config.ablate.seeds[0]
    names = [cell.name for cell in ablation.cells if cell.config.seed == first_seed]
    reconstructions = read_reconstructions(workdir, names)
    return write_page(workdir, config, ablation.levels, outcomes, differences, reconstructions)


def _check_crashes(ablation: _Ablation, page: pathlib.Path) -> None:
    crashed = [o for o in ablation.outcomes.values() if o.status == "crashed"]
    if crashed:
        raise UserError(
            f"{len(crashed)} of {len(ablation.cells)} cells crashed, the first of them "
            f"{crashed[0].name} ({crashed[0].error}); {page} shows the other cells; run the same "
            "command to try the crashed cells again"
        )
