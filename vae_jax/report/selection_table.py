"""The text that the mode `select` prints: a table of scores, what it does not say, and how to use it."""

import textwrap
from collections.abc import Iterator
from typing import Any

from vae_jax.report.numerals import format_rate
from vae_jax.selection.ranking import MIN_POWER

_WIDTH = 100  # characters
_NAME_WIDTH = 36

# What synthetic corruptions cannot tell, as measured on sets with labels.
_LIMITS = (
    (
        "Power is the AUROC of the corruptions against the same normals. It is no forecast of the AUROC of "
        "real anomalies: on five labelled sets the two rankings of scores of one model correlated at 0.36 "
        "to 0.94."
    ),
    (
        "Only scores of one model with the same aggregate are compared. Whether the mean or the maximum of "
        "a map is better depends on the size of the real defects (mean: diffuse, max: small), and whether "
        "a baseline is better than the model is another question; corruptions were wrong about both."
    ),
    (
        "Scores of one observation are ranked better than scores of two: on magnetic tiles, bands came "
        "last by corruptions and first by real defects. And a fusion just below the first is no worse: on "
        "magnetic tiles and Kvasir it was 0.01 to 0.03 below by corruptions, and 0.01 to 0.02 above by "
        "real anomalies."
    ),
    (
        "A power near 0.5 is no information: the score does not react to the corruptions. Where no score "
        f"reaches {MIN_POWER:g}, none is chosen."
    ),
)
_FEW_NORMALS = 30


def format_selection(selection: dict[str, Any], command: str) -> str:
    """Returns the content of select.json as text, at most 100 characters wide except for commands.

    Args:
        selection: content of select.json.
        command: the command that evaluates the run, up to the value of `scoring.decision`.
    """
    parts = (
        _format_images(selection),
        *(_format_group(*item) for item in selection["groups"].items()),
        _format_limits(),
        _format_test_labels(selection),
        _format_commands(selection, command),
    )
    return "\n\n".join(text for text in ("\n".join(part) for part in parts) if text)


def _format_images(selection: dict[str, Any]) -> Iterator[str]:
    count, corruptions = selection["normals"]["count"], selection["corruptions"]
    text = (
        f"{count} validation normals and {sum(corruptions.values())} synthetic corruptions of them "
        f"({', '.join(f'{n} {kind}' for kind, n in corruptions.items())}); no test image is used"
    )
    if count < _FEW_NORMALS:
        text += f"; {count} normals are few, and small differences of power are chance"
    yield from textwrap.wrap(text, _WIDTH)


def _format_group(aggregation: str, group: dict[str, Any]) -> Iterator[str]:
    kinds = list(group["ranking"][0]["power_per_kind"])
    headings = ["power", *(kind.partition("_")[0] for kind in kinds)]
    widths = [max(len(heading) + 2, 7) for heading in headings]

    def align(name: str, cells: list[str]) -> str:
        aligned = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        return name.ljust(_NAME_WIDTH) + "".join(aligned)

    yield align(f"aggregate: {aggregation}", headings)
    for entry in group["ranking"]:
        values = [entry["power"], *(entry["power_per_kind"][kind] for kind in kinds)]
        mark = "*" if entry["name"] == group["choice"] else " "
        yield align(f"{mark} {entry['name']}", [format_rate(value) for value in values])
    if group["choice"] is None:
        alone = len(group["ranking"]) == 1
        reason = "there is nothing to compare it with" if alone else f"none reaches {MIN_POWER:g}"
        yield f"  no choice: {reason}"


def _format_limits() -> Iterator[str]:
    for limit in _LIMITS:
        yield from textwrap.wrap(limit, _WIDTH, initial_indent="- ", subsequent_indent="  ")


def _format_test_labels(selection: dict[str, Any]) -> Iterator[str]:
    if not selection["test_labels"]:
        return
    yield "measured on the test labels of the last evaluation, and not used:"
    for aggregation, comparison in selection["test_labels"].items():
        aurocs, choice = comparison["auroc"], selection["groups"][aggregation]["choice"]
        best = max(aurocs, key=aurocs.get)
        text = f"{aggregation}: best AUROC {format_rate(aurocs[best])} by {best}"
        if choice in aurocs:
            text += f"; the choice {choice} has {format_rate(aurocs[choice])}"
        if comparison["spearman"] is not None:
            spearman, num_scores = comparison["spearman"], comparison["num_scores"]
            text += f"; rank correlation {spearman:.2f} over {num_scores} scores"
        yield from textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ")


def _format_commands(selection: dict[str, Any], command: str) -> Iterator[str]:
    choices = {
        aggregation: group["choice"]
        for aggregation, group in selection["groups"].items()
        if group["choice"] is not None
    }
    if choices:
        yield "to decide by a choice:"
    for aggregation, choice in choices.items():
        yield f"  {aggregation}: {command}{choice}"
