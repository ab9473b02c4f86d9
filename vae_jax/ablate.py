"""The mode `ablate`: trains a grid of configs, one run a cell, and compares them on one page."""

import logging
import pathlib
import traceback
from collections.abc import Iterable, Sequence

import jax
import ml_collections

from vae_jax import evaluate as evaluate_lib
from vae_jax import grid
from vae_jax import train as train_lib
from vae_jax import workdir as workdir_lib
from vae_jax.data import pipeline
from vae_jax.data.examples import Dataset
from vae_jax.errors import UserError
from vae_jax.grid import Cell
from vae_jax.report.ablation import cell_measures, reconstructions
from vae_jax.report.ablation import page as ablation_page
from vae_jax.report.ablation.cell_measures import Outcome

log = logging.getLogger(__name__)

# The last file that a run writes: where it stands, the cell is finished.
_LAST_FILE = "report.html"


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Trains, evaluates and reports every cell that is not finished, and compares all of them.

    Args:
        config: resolved and valid, with `ablate.factors`.
        workdir: gets `cells/`, a run each; `ablation.csv`, `ablation.html` and `figures/`, rewritten
            after each cell; `compiled/`, the programs that the cells share.

    Raises:
        UserError: before anything is trained, if a factor, a seed or the workdir is refused; at the
            end, if a cell crashed.
    """
    factors = grid.read_factors(config.ablate.factors)
    levels = {factor.field: list(factor.levels) for factor in factors}
    cells = grid.make_cells(config, factors)
    _enter(workdir, config)
    outcomes = {cell.name: _claim(workdir, cell) for cell in cells}
    _share_programs(workdir / "compiled")

    # Cells of the same data stand side by side, so that it is loaded once.
    unfinished = sorted((cell for cell in cells if not outcomes[cell.name].measures), key=_data)
    log.info("%s: %d of %d cells to go", config.name, len(unfinished), len(cells))
    held: dict[tuple[int, str], Dataset] = {}
    for number, cell in enumerate(unfinished, 1):
        log.info("\ncell %d of %d: %s", number, len(unfinished), cell.name)
        outcomes[cell.name] = _outcome_of(workdir, cell, held)
        # Each cell traces functions of its own; what XLA made of them lies in `compiled/`.
        jax.clear_caches()
        # After each cell, so that a stopped ablation has its page too.
        _publish(workdir, config, levels, cells, list(outcomes.values()))
    page = _publish(workdir, config, levels, cells, list(outcomes.values()))
    print(f"\nablation: {page}")
    _check_all_done(page, outcomes.values())


def _enter(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
    if (workdir / "metrics.jsonl").exists():
        raise UserError(
            f"--workdir={workdir} holds a single run; give the ablation a --workdir of its own"
        )
    workdir_lib.claim_workdir(workdir, config)


def _folder(workdir: pathlib.Path, cell: Cell) -> pathlib.Path:
    return workdir / "cells" / cell.name


def _claim(workdir: pathlib.Path, cell: Cell) -> Outcome:
    """Enters a cell's folder and says what stands there; a run of another config is refused."""
    folder = _folder(workdir, cell)
    mark = folder / _LAST_FILE
    # More epochs than last time go on with the run, and what it had said is void.
    finished = mark.exists() and (
        workdir_lib.read_config(folder).train.epochs == cell.config.train.epochs
    )
    workdir_lib.claim_workdir(folder, cell.config)
    if finished:
        return _done(folder, cell)
    mark.unlink(missing_ok=True)
    return Outcome(cell.name, cell.levels, cell.config.seed, "waiting")


def _share_programs(folder: pathlib.Path) -> None:
    """Lets cells of equal shape share one compilation, unless the user named a place for programs."""
    if jax.config.jax_compilation_cache_dir is None:
        # Private: compiled programs found there are executed.
        folder.mkdir(exist_ok=True, mode=0o700)
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def _data(cell: Cell) -> tuple[int, str]:
    """What a cell's images and their split follow from."""
    return cell.config.seed, cell.config.data.to_json(sort_keys=True)


def _outcome_of(workdir: pathlib.Path, cell: Cell, held: dict[tuple[int, str], Dataset]) -> Outcome:
    """Trains one cell and says what became of it.

    Args:
        workdir: of the ablation.
        cell: not finished.
        held: the data of the cell before, replaced where this one needs other data.
    """
    folder = _folder(workdir, cell)
    complaint = folder / "error.txt"
    try:
        if _data(cell) not in held:
            held.clear()
            held[_data(cell)] = pipeline.load_dataset(cell.config.data, cell.config.seed)
        dataset = held[_data(cell)]
        train_lib.train(cell.config, folder, dataset)
        evaluation = evaluate_lib.evaluate(cell.config, folder, dataset)
        reconstructions.write(workdir, cell.name, evaluation.gallery)
        evaluate_lib.report(cell.config, folder, evaluation)
    except Exception as error:  # whatever one cell dies of, the others go on
        complaint.write_text(traceback.format_exc(), encoding="utf-8")
        line = f"{type(error).__name__}: {' '.join(str(error).split())}"
        log.error("cell %s crashed: %s (%s)", cell.name, line, complaint)
        return Outcome(cell.name, cell.levels, cell.config.seed, "crashed", error=line)
    complaint.unlink(missing_ok=True)
    return _done(folder, cell)


def _done(folder: pathlib.Path, cell: Cell) -> Outcome:
    results = workdir_lib.read_results(folder)
    return Outcome(
        cell.name,
        cell.levels,
        cell.config.seed,
        "done",
        decision=results["decision"]["score"],
        measures=cell_measures.measures(results),
    )


def _publish(
    workdir: pathlib.Path,
    config: ml_collections.ConfigDict,
    levels: dict[str, list[str]],
    cells: Sequence[Cell],
    outcomes: Sequence[Outcome],
) -> pathlib.Path:
    """Writes ablation.csv and ablation.html; returns the path of the page."""
    workdir_lib.write_text(workdir / "ablation.csv", cell_measures.to_csv(outcomes))
    # One seed's cells share their test images, so that their copies can be held side by side.
    names = [cell.name for cell in cells if cell.config.seed == config.ablate.seeds[0]]
    strips = reconstructions.read(workdir, names)
    return ablation_page.write(workdir, config, levels, outcomes, strips)


def _check_all_done(page: pathlib.Path, outcomes: Iterable[Outcome]) -> None:
    outcomes = list(outcomes)
    crashed = [outcome for outcome in outcomes if outcome.status == "crashed"]
    if crashed:
        raise UserError(
            f"{len(crashed)} of {len(outcomes)} cells crashed, first {crashed[0].name} "
            f"({crashed[0].error}); {page} shows the rest, and the same command tries them again"
        )
