"""The AUROC of each cell of an ablation minus that of the base with the same seed."""

from collections.abc import Mapping, Sequence

from vae_jax.comparison.paired import Difference, compare_pairs
from vae_jax.report.ablation.cell_outcomes import CellOutcome


def compare_with_base_cells(
    levels: Mapping[str, Sequence[str]], outcomes: Sequence[CellOutcome]
) -> dict[str, Difference]:
    """Returns name of a cell -> its difference from the base, with p-values corrected for all cells.

    A cell has no difference if it or the base with its seed is not finished, or if they have different test
    images.

    Args:
        levels: field -> its levels as text, the base first.
        outcomes: outcomes of all cells.
    """
    base = {field: texts[0] for field, texts in levels.items()}
    bases = {o.seed: o.run for o in outcomes if o.levels == base and o.run is not None}
    cells = [o for o in outcomes if o.levels != base and o.run is not None and o.seed in bases]
    differences = compare_pairs([(cell.run, bases[cell.seed]) for cell in cells])
    names = {cell.run.workdir: cell.name for cell in cells}
    return {names[difference.first.workdir]: difference for difference in differences}
