"""Histograms of scores, ROC and precision-recall curves, and the reconstruction error under noise."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vae_jax.metrics import detection as detection_metrics
from vae_jax.report import drawing
from vae_jax.report.drawing import Drawing
from vae_jax.report.numerals import format_percent, format_quantity, format_rate
from vae_jax.scoring.score_table import ScoreTable

# If the 99.5th percentile is more than this many times the 0.5th percentile, the axis is logarithmic.
_LOG_RATIO = 50.0


def draw_histograms(scores: ScoreTable, detection: dict[str, Any]) -> list[Drawing]:
    """Returns one histogram per score, of normal images and of anomalies, with the threshold.

    Args:
        scores: scores of the test images.
        detection: the section `detection` of `results.json`.
    """
    return [
        _draw_histogram(name, scores, entry)
        for name, entry in detection.items()
        if name in scores.columns and len(scores.labels)
    ]


def _draw_histogram(name: str, scores: ScoreTable, entry: dict[str, Any]) -> Drawing:
    values = scores.columns[name]
    low, high = np.percentile(values, [0.5, 99.5])
    logarithmic = values.min() > 0 and high > _LOG_RATIO * low
    num_bins = int(np.clip(2 * np.sqrt(len(values)), 12, 60))
    edges = np.histogram_bin_edges(np.log10(values) if logarithmic else values, num_bins)
    edges = 10**edges if logarithmic else edges
    figure, axes = drawing.make_panel(legend_rows=1)
    groups = (("normal", 0, drawing.NORMAL), ("anomaly", 1, drawing.ANOMALY))
    for group, label, colour in groups:
        group_values = scores.select_column(name, label)
        count = len(group_values)
        if count:
            # The bars are shares and not counts, since one group may be a hundred times the other.
            weights = np.full(count, 100 / count)
            style = {"color": colour, "histtype": "stepfilled", "linewidth": 1.2}
            axes.hist(group_values, edges, weights=weights, alpha=0.35, **style)
            axes.hist(group_values, edges, weights=weights, **style | {"histtype": "step"},
                      label=f"{group} (n = {count:,})")  # fmt: skip
    limits = [entry[key] for key in ("threshold_low", "threshold") if key in entry]
    for limit in limits:
        # Two limits share one entry of the legend: matplotlib omits labels that begin with "_".
        label = "threshold" if limit == limits[-1] else "_"
        axes.axvline(limit, color=drawing.INK, linestyle="--", linewidth=1.2, label=label)
    if logarithmic:
        axes.set_xscale("log")
    axes.set_title(name, pad=22)
    axes.set_xlabel("score (higher is more anomalous)")
    axes.set_ylabel("% of the group, per bin")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderpad=0.2,
                columnspacing=0.8, handletextpad=0.4, handlelength=1.2, fontsize=7)  # fmt: skip
    flagged = [
        f"{format_percent(entry[measure])} of the {group}"
        for measure, group in (("recall", "anomalies"), ("fpr", "normal images"))
        if measure in entry
    ]
    caption = name
    if limits:
        thresholds = " and ".join(map(format_quantity, limits))
        caption += f", threshold{'s' if len(limits) > 1 else ''} {thresholds}"
    caption += f": it flags {' and '.join(flagged)}." if flagged else "."
    alt = f"Histogram of the score {name} for normal and anomalous test images."
    return Drawing(f"histogram_{name}", drawing.encode_figure(figure), caption, alt)


def draw_roc_and_precision_recall(
    scores: ScoreTable, detection: dict[str, Any], baselines: dict[str, Any], deciding: str = ""
) -> list[Drawing]:
    """Returns the ROC plot and the precision-recall plot, each with the best scores and baselines.

    Args:
        scores: scores of the test images; a score or baseline without a column is left out.
        detection: the section `detection` of `results.json`.
        baselines: the section `baselines` of `results.json`.
        deciding: name of the score that decides, whose curve is always drawn.

    Returns:
        Two plots; none if the test set lacks anomalies or normal images.
    """
    positives = int(scores.labels.sum())
    if not 0 < positives < len(scores.labels):
        return []
    curves = list(_style_curves(scores, detection, baselines, deciding))
    legend_columns = drawing.choose_legend_columns(
        _label_curve(name, entry.get("auroc")) for name, entry, _ in curves
    )
    legend_rows = -(-(len(curves) + 1) // legend_columns)
    roc_figure, roc = drawing.make_panel(4.2, 3.9, legend_rows)
    pr_figure, pr = drawing.make_panel(4.2, 3.9, legend_rows)
    prevalence = positives / len(scores.labels)
    chance = {"color": drawing.GREY, "linewidth": 1, "linestyle": ":"}
    roc.plot([0, 1], [0, 1], **chance, label="chance (0.500)")
    pr.axhline(prevalence, **chance, label=f"chance ({format_rate(prevalence)})")
    for name, entry, style in curves:
        curve = detection_metrics.compute_curve(scores.columns[name], scores.labels)
        roc.plot(curve.fpr, curve.recall, **style, label=_label_curve(name, entry.get("auroc")))
        label = _label_curve(name, entry.get("auprc"))
        pr.plot(curve.recall[1:], curve.precision[1:], **style, label=label)
        if "recall" in entry:
            point = {"marker": "o", "ms": 5, "mec": "white", "color": style["color"], "zorder": 5}
            roc.plot(entry["fpr"], entry["recall"], **point)
            pr.plot(entry["recall"], entry["precision"], **point)
    for axes, x, y, title in (
        (roc, "false-alarm rate (FPR)", "recall (TPR)", "ROC"),
        (pr, "recall", "precision", "Precision and recall"),
    ):
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel=x, ylabel=y)
        axes.set_title(title, pad=8 + 14 * legend_rows)
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=legend_columns,
                    borderpad=0.2)  # fmt: skip
    return [
        Drawing("roc", drawing.encode_figure(roc_figure),
                "Recall against the false-alarm rate, for every threshold. The legend shows the area "
                "under each curve (AUROC). A perfect score reaches the upper left corner. Dots mark the "
                "threshold in use; grey dashed curves are baselines. Only the deciding score and "
                "the best of the others are drawn.",
                "ROC curves. " + _list_areas(detection, "auroc")),
        Drawing("precision_recall", drawing.encode_figure(pr_figure),
                "Precision against recall, for every threshold. The legend shows the area under each "
                "curve (AUPRC). A perfect score reaches the upper right corner. The chance level is the "
                "share of anomalies in the test set, so areas from test sets with different shares "
                "cannot be compared.",
                "Precision-recall curves. " + _list_areas(detection, "auprc")),
    ]  # fmt: skip


def _style_curves(
    scores: ScoreTable, detection: dict[str, Any], baselines: dict[str, Any], deciding: str
) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yields name, measures and line style: scores are solid and coloured, baselines dashed and grey.

    Each colour and each dash is used once: the deciding score, the other scores with the highest AUROC and
    the best baselines have curves, and the rest has none.
    """
    shown = _rank(
        [name for name in detection if name != deciding and name in scores.columns], detection
    )
    shown = [deciding, *shown] if deciding in scores.columns and deciding in detection else shown
    for name, colour in zip(shown, drawing.CYCLE, strict=False):
        yield name, detection[name], {"color": colour}
    others = [name for name in baselines if name in scores.columns and name not in detection]
    for name, dash in zip(_rank(others, baselines), ("--", "-.", (0, (1, 1))), strict=False):
        yield name, baselines[name], {"color": drawing.GREY, "linestyle": dash, "linewidth": 1.2}


def _rank(names: list[str], entries: dict[str, Any]) -> list[str]:
    """Returns the names, the highest AUROC first."""
    return sorted(names, key=lambda name: -entries[name].get("auroc", {}).get("value", 0.0))


def _label_curve(name: str, measure: dict[str, float] | None) -> str:
    return f"{name} ({format_rate(measure['value'])})" if measure else name


def _list_areas(detection: dict[str, Any], measure: str) -> str:
    areas = (
        f"{name} {format_rate(entry[measure]['value'])}"
        for name, entry in detection.items()
        if measure in entry
    )
    return f"{measure.upper()}: {', '.join(areas)}."


def draw_robustness(sweep: Sequence[dict[str, float]]) -> list[Drawing]:
    """Returns one plot of the reconstruction error over the noise on the input.

    Args:
        sweep: the section `robustness` of `results.json`: `noise_std` and `mse` of each noise level.

    Returns:
        The plot in a list; an empty list if the section is empty.
    """
    if not sweep:
        return []
    levels, errors = ([entry[name] for entry in sweep] for name in ("noise_std", "mse"))
    figure, axes = drawing.make_panel()
    axes.plot(levels, errors, "o-", color=drawing.BLUE, ms=4, label="reconstruction")
    # The error of the noisy image itself: where the model is below it, it removes noise.
    axes.plot(levels, [level**2 for level in levels], "--", color=drawing.GREY, label="noisy image")
    axes.set_title("Reconstruction under noise")
    axes.set_xlabel("standard deviation of the noise")
    axes.set_ylabel("MSE against the clean image")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left")
    ends = f"{format_quantity(errors[0])} without noise, {format_quantity(errors[-1])} at {levels[-1]:g}"
    return [
        Drawing(
            "robustness",
            drawing.encode_figure(figure),
            f"Reconstruction error of normal test images: {ends}. Below the dashed line the model "
            "removes noise.",
            f"Reconstruction error over the noise on the input: {ends}.",
        )
    ]
