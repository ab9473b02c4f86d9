"""The table of results that a run prints in the terminal at its end."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from vae_jax.report.evaluation.facts import describe_tile_counts
from vae_jax.report.evaluation.ranking import ResultRow, rank_results
from vae_jax.report.evaluation.strips import STRIP_CAVEAT, describe_strip_counts, list_strip_rows
from vae_jax.report.numerals import format_duration, format_quantity, format_rate, format_size

_HEADINGS = ("AUROC [95 % interval]", "AUPRC", "FPR95", "recall", "FPR [95 % interval]")
_WIDTH = 100  # characters
_NAME_WIDTH = 35  # the longest name is features_place_gaussian_contrast
_SCORE_WIDTHS = (22, 7, 7, 7, 22)
_STRIP_WIDTHS = (22, 21, 8, 7, 7)
_RECONSTRUCTION_WIDTHS = (11, 11, 11)


def format_terminal_table(results: dict[str, Any]) -> str:
    """Returns the content of `results.json` as aligned plain text, at most 100 characters wide.

    Scores come first and baselines below them under a heading of their own, both with the highest AUROC
    first. Recall and FPR are those at the threshold, which is set on calibration normals.
    """
    sections = (
        _format_dataset,
        _format_scores,
        _format_strips,
        _format_decision,
        _format_reconstruction,
        _format_cost,
    )
    texts = ("\n".join(format_section(results)) for format_section in sections)
    return "\n\n".join(text for text in texts if text)


def _format_dataset(results: dict[str, Any]) -> Iterator[str]:
    dataset = results.get("dataset")
    if not dataset:
        return
    image_size, channels = dataset["image_size"], dataset["channels"]
    counts = dataset["counts"]
    yield f"{dataset['name']}, {image_size} x {image_size} x {channels} pixels"
    yield (
        f"images: {counts['train']:,} train, {counts['val']:,} val, "
        f"{counts['calibration']:,} calibration; test {counts['test_normal']:,} normal, "
        f"{counts['test_anomaly']:,} anomalous"
    )
    if tiles := dataset.get("tiles"):
        yield f"tiles of these images: {describe_tile_counts(tiles)}"


def _format_scores(results: dict[str, Any]) -> Iterator[str]:
    rows = rank_results(results)
    yield _align_cells("", _HEADINGS, _SCORE_WIDTHS)
    yield from (_format_score(row) for row in rows if not row.is_baseline)
    baselines = [row for row in rows if row.is_baseline]
    if baselines:
        yield "  baselines"
        yield from map(_format_score, baselines)


def _align_cells(name: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    aligned = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
    return (_shorten(name).ljust(_NAME_WIDTH) + "".join(aligned)).rstrip()


def _shorten(name: str) -> str:
    # Control characters in a name could change the terminal.
    name = name if name.isprintable() else repr(name)
    return name if len(name) < _NAME_WIDTH else name[: _NAME_WIDTH - 4] + "..."


def _format_score(row: ResultRow) -> str:
    rates = (_format_value(row, name) for name in ("auprc", "fpr95", "recall"))
    false_alarms = _format_interval(row.measures.get("false_alarms"))
    cells = (_format_interval(row.auroc), *rates, false_alarms)
    return _align_cells("  " + row.name, cells, _SCORE_WIDTHS)


def _format_interval(measure: dict[str, float] | None) -> str:
    if not measure:
        return ""
    value, low, high = (format_rate(measure[name]) for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _format_value(row: ResultRow, measure: str) -> str:
    value = row.get_value(measure)
    return "" if value is None else format_rate(value)


def _format_strips(results: dict[str, Any]) -> Iterator[str]:
    rows = list_strip_rows(results)
    if not rows:
        return
    yield from textwrap.wrap(describe_strip_counts(results), _WIDTH)
    headings = ("strips", "tiles, same strips", "normal", "pixels", "AUPRO")
    yield _align_cells("AUROC", headings, _STRIP_WIDTHS)
    for row in rows:
        intervals = (_format_interval(row.measures.get(name)) for name in ("image", "clean"))
        rates = (
            format_rate(row.measures[name]["value"]) if name in row.measures else ""
            for name in ("rolls", "pixel_auroc", "aupro")
        )
        yield _align_cells("  " + row.name, (*intervals, *rates), _STRIP_WIDTHS)
    yield from textwrap.wrap(
        f'The column "normal" compares with the tiles of normal strips. {STRIP_CAVEAT}', _WIDTH
    )


def _format_decision(results: dict[str, Any]) -> Iterator[str]:
    decision = results.get("decision")
    if not decision:
        return
    yield f"deciding score: {decision['score']}, {decision['rule']}"
    promised = decision.get("promised")
    if promised is not None and "false_alarms" in decision:
        achieved = _format_interval(decision["false_alarms"])
        yield (
            f"false-alarm rate on normal test images: {achieved} achieved, "
            f"{format_rate(promised)} promised"
        )


def _format_reconstruction(results: dict[str, Any]) -> Iterator[str]:
    reconstruction = results.get("reconstruction", {})
    kinds = [kind for kind in ("normal", "anomaly") if kind in reconstruction]
    if kinds:
        headings = ("MSE", "PSNR dB", "SSIM")
        yield _align_cells("reconstruction", headings, _RECONSTRUCTION_WIDTHS)
    for kind in kinds:
        values = reconstruction[kind]
        mse, ssim = format_quantity(values["mse"]), format_rate(values["ssim"])
        yield _align_cells(
            f"  {kind}", (mse, f"{values['psnr']:.2f}", ssim), _RECONSTRUCTION_WIDTHS
        )


def _format_cost(results: dict[str, Any]) -> Iterator[str]:
    cost = results.get("cost", {})
    parts = []
    if "train_seconds" in cost:
        parts.append(f"trained in {format_duration(cost['train_seconds'])}")
    if "images_per_second" in cost:
        parts.append(f"{cost['images_per_second']:,.0f} images/s")
    if "parameters" in cost:
        parts.append(f"{cost['parameters']:,} parameters")
    if "peak_memory_bytes" in cost:
        parts.append(f"peak memory {format_size(cost['peak_memory_bytes'])}")
    if parts:
        yield "cost: " + ", ".join(parts)
