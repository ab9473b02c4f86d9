"""The final table of a run, for the terminal."""

import textwrap
from collections.abc import Iterator
from typing import Any

from vae_jax.report.evaluation.ranking import Line, lines
from vae_jax.report.evaluation.strips import READING, strip_counts, strip_lines
from vae_jax.report.numerals import format_duration, format_quantity, format_rate, format_size

_HEAD = ("", "AUROC [95 % interval]", "AUPRC", "FPR95", "recall", "FPR [95 % interval]")
_WIDTH = 100
_NAME_WIDTH = 30
_WIDTHS = (_NAME_WIDTH, 22, 7, 7, 8, 22)
_STRIP_WIDTHS = (22, 22, 10, 8, 8)


def terminal_table(results: dict[str, Any]) -> str:
    """Returns the content of `results.json` as aligned plain text, at most 100 columns wide.

    Scores stand first, baselines below and marked as such, both with the highest AUROC first.
    Recall and FPR are at the threshold, which comes from calibration normals.
    """
    ranked = lines(results)
    scores = [line for line in ranked if not line.is_baseline]
    baselines = [line for line in ranked if line.is_baseline]
    rows = [_row(_HEAD)]
    rows += map(_score, scores)
    if baselines:
        rows += ["  baselines", *map(_score, baselines)]
    others = (_strips, _decision, _reconstruction, _cost)
    sections = [list(_dataset(results)), rows, *(list(other(results)) for other in others)]
    return "\n\n".join("\n".join(section) for section in sections if section)


def _row(cells) -> str:
    name, *numbers = cells
    aligned = (cell.rjust(width) for cell, width in zip(numbers, _WIDTHS[1:], strict=True))
    return (_shorten(name).ljust(_NAME_WIDTH) + "".join(aligned)).rstrip()


def _shorten(name: str) -> str:
    name = name if name.isprintable() else repr(name)
    return name if len(name) < _NAME_WIDTH else name[: _NAME_WIDTH - 4] + "..."


def _score(line: Line) -> str:
    rates = (_optional(line, name) for name in ("auprc", "fpr95", "recall"))
    false_alarms = _interval(line.measures.get("false_alarms"))
    return _row(("  " + line.name, _interval(line.auroc), *rates, false_alarms))


def _interval(found: dict[str, float] | None) -> str:
    if not found:
        return ""
    return (
        f"{format_rate(found['value'])} [{format_rate(found['low'])}, {format_rate(found['high'])}]"
    )


def _optional(line: Line, measure: str) -> str:
    value = line.value(measure)
    return "" if value is None else format_rate(value)


def _strips(results: dict[str, Any]) -> Iterator[str]:
    found = strip_lines(results)
    if not found:
        return
    yield from textwrap.wrap(strip_counts(results), _WIDTH)
    yield _strip_row("AUROC", "strips", "tiles, same strips", "normal", "pixels", "AUPRO")
    for line in found:
        intervals = (_interval(line.measures.get(name)) for name in ("image", "clean"))
        names = ("rolls", "pixel_auroc", "aupro")
        others = (
            format_rate(line.measures[n]["value"]) if n in line.measures else "" for n in names
        )
        yield _strip_row("  " + line.name, *intervals, *others)
    yield from textwrap.wrap(f"normal: tiles of normal strips. {READING}", _WIDTH)


def _strip_row(name: str, *numbers: str) -> str:
    aligned = (number.rjust(width) for number, width in zip(numbers, _STRIP_WIDTHS, strict=True))
    return (_shorten(name).ljust(_NAME_WIDTH) + "".join(aligned)).rstrip()


def _decision(results: dict[str, Any]) -> Iterator[str]:
    decision = results.get("decision")
    if not decision:
        return
    yield f"decides: {decision['score']}, {decision['rule']}"
    promised = decision.get("promised")
    if promised is not None and "false_alarms" in decision:
        achieved = _interval(decision["false_alarms"])
        yield (
            f"false alarms among normal test images: {achieved} achieved, "
            f"{format_rate(promised)} promised"
        )


def _dataset(results: dict[str, Any]) -> Iterator[str]:
    dataset = results.get("dataset")
    if not dataset:
        return
    size_px, channels = dataset["image_size"], dataset["channels"]
    counts = dataset["counts"]
    yield f"{dataset['name']}, {size_px} x {size_px} x {channels} pixels"
    yield (
        f"images: {counts['train']:,} train, {counts['val']:,} val, "
        f"{counts['calibration']:,} calibration; test {counts['test_normal']:,} normal, "
        f"{counts['test_anomaly']:,} anomalous"
    )


def _reconstruction(results: dict[str, Any]) -> Iterator[str]:
    found = results.get("reconstruction", {})
    kinds = [kind for kind in ("normal", "anomaly") if kind in found]
    if kinds:
        yield _columns("reconstruction", "MSE", "PSNR dB", "SSIM")
    for kind in kinds:
        values = found[kind]
        yield _columns(
            f"  {kind}",
            format_quantity(values["mse"]),
            f"{values['psnr']:.2f}",
            format_rate(values["ssim"]),
        )


def _columns(name: str, *numbers: str) -> str:
    return name.ljust(_NAME_WIDTH) + "".join(number.rjust(11) for number in numbers)


def _cost(results: dict[str, Any]) -> Iterator[str]:
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
