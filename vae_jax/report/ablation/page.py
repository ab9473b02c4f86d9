"""The page of an ablation: the levels of every factor side by side, in one self-contained file."""

import pathlib
import shlex
from collections.abc import Mapping, Sequence

import matplotlib
import ml_collections

from vae_jax import workdir as workdir_lib
from vae_jax.comparison.paired import Difference
from vae_jax.report import drawing, html, numerals, reproduce
from vae_jax.report.ablation.cell_outcomes import CellOutcome
from vae_jax.report.ablation.factor_outcomes import group_by_factor
from vae_jax.report.ablation.factor_sections import make_section
from vae_jax.report.ablation.reconstructions import ReconstructionRow
from vae_jax.report.images import SMALL

_STATUSES = ("done", "crashed", "waiting")


def write_page(
    workdir: pathlib.Path,
    config: ml_collections.ConfigDict,
    levels: Mapping[str, Sequence[str]],
    outcomes: Sequence[CellOutcome],
    differences: Mapping[str, Difference],
    reconstructions: Sequence[ReconstructionRow],
) -> pathlib.Path:
    """Writes `ablation.html` and `figures/ablation_*.png`; the same outcomes give the same bytes.

    Args:
        workdir: folder of the ablation.
        config: config of the ablation.
        levels: field -> its levels as text, the base first.
        outcomes: outcomes of all cells.
        differences: name of a cell -> its difference from the base with the same seed.
        reconstructions: reconstructions of the same test images, one row per setting.

    Returns:
        The path of the page.
    """
    deciding_score = _name_deciding_score(outcomes)
    factors = group_by_factor(levels, outcomes, config.ablate.design)
    with matplotlib.rc_context(drawing.STYLE):
        sections = [make_section(factor, deciding_score) for factor in factors]
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    for figure in (figure for section in sections for figure in section.figures):
        (folder / f"{figure.name}.png").write_bytes(figure.png)
    program, *flags = reproduce.make_command(config)
    page = html.render_template(
        "ablation/page.html.jinja",
        name=config.name,
        sections=sections,
        deciding_score=deciding_score,
        design=config.ablate.design,
        outcomes=outcomes,
        differences=differences,
        signed="{:+.3f}".format,
        p_value=numerals.format_p_value,
        compare_command=f"{program} --mode=compare {shlex.quote(f'--workdir={workdir}/cells/*')}",
        counts={status: sum(o.status == status for o in outcomes) for status in _STATUSES},
        num_settings=len({tuple(outcome.levels.values()) for outcome in outcomes}),
        seeds=list(dict.fromkeys(outcome.seed for outcome in outcomes)),
        train_seconds=sum(outcome.measures.get("train_seconds", 0) for outcome in outcomes),
        reconstructions=reconstructions,
        pixelated=config.data.image_size < SMALL,
        command=[program, "--mode=ablate", *flags],
    )
    workdir_lib.write_text(workdir / "ablation.html", page)
    return workdir / "ablation.html"


def _name_deciding_score(outcomes: Sequence[CellOutcome]) -> str:
    """Returns the name of the score that decides, or a description if the cells have different ones."""
    names = {outcome.decision for outcome in outcomes if outcome.decision}
    return names.pop() if len(names) == 1 else "the deciding score"
