"""Score histograms, ROC and precision-recall curves, and the error of reconstructions under noise."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vae_jax.metrics import detection
from vae_jax.report import drawing
from vae_jax.report.drawing import Drawing
from vae_jax.report.evaluation.run_files import Scores
from vae_jax.report.numerals import format_percent, format_quantity, format_rate

_LOG_RATIO = 50.0  # of the 99.5th to the 0.5th percentile, above which the axis is logarithmic


def histograms(scores: Scores, detected: dict[str, Any]) -> list[Drawing]:
    """Returns a histogram for each score, normals against anomalies, with its threshold."""
    return [
        _histogram(name, scores, entry)
        for name, entry in detected.items()
        if name in scores.columns and len(scores.labels)
    ]


def _histogram(name: str, scores: Scores, entry: dict[str, Any]) -> Drawing:
    values = scores.columns[name]
    low, high = np.percentile(values, [0.5, 99.5])
    logarithmic = values.min() > 0 and high > _LOG_RATIO * low
    num_bins = int(np.clip(2 * np.sqrt(len(values)), 12, 60))
    edges = np.histogram_bin_edges(np.log10(values) if logarithmic else values, num_bins)
    edges = 10**edges if logarithmic else edges
    figure, axes = drawing.make_panel(legend_rows=1)
    groups = (("normal", 0, drawing.NORMAL), ("anomaly", 1, drawing.ANOMALY))
    for label, positive, colour in groups:
        group = scores.of(name, positive)
        if len(group):
            # A share and not a count: the two groups may differ a hundredfold in size.
            weights = np.full(len(group), 100 / len(group))
            style = {"color": colour, "histtype": "stepfilled", "linewidth": 1.2}
            axes.hist(group, edges, weights=weights, alpha=0.35, **style)
            axes.hist(group, edges, weights=weights, **style | {"histtype": "step"},
                      label=f"{label} (n = {len(group):,})")  # fmt: skip
    limits = [entry[key] for key in ("threshold_low", "threshold") if key in entry]
    for limit in limits:
        # Two limits, one entry of the legend: a label that begins with "_" is left out.
        label = "threshold" if limit == limits[-1] else "_"
        axes.axvline(limit, color=drawing.INK, linestyle="--", linewidth=1.2, label=label)
    if logarithmic:
        axes.set_xscale("log")
    axes.set_title(name, pad=22)
    axes.set_xlabel("score (higher is more anomalous)")
    axes.set_ylabel("% of the group, per bin")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderpad=0.2,
                columnspacing=1.2, handletextpad=0.5)  # fmt: skip
    flagged = [
        f"{format_percent(entry[measure])} of the {group}"
        for measure, group in (("recall", "anomalies"), ("fpr", "normal images"))
        if measure in entry
    ]
    caption = f"{name}, threshold {' and '.join(map(format_quantity, limits))}" if limits else name
    caption += f": flags {' and '.join(flagged)}." if flagged else "."
    alt = f"Histogram of the score {name} for normal and anomalous test images."
    return Drawing(f"histogram_{name}", drawing.encode_png(figure), caption, alt)


def trade_offs(
    scores: Scores, detected: dict[str, Any], baselines: dict[str, Any]
) -> list[Drawing]:
    """Returns the ROC and the precision-recall plot of every score and baseline with a column."""
    positives = int(scores.labels.sum())
    if not 0 < positives < len(scores.labels):
        return []
    styled = list(_styled(scores, detected, baselines))
    legend_rows = len(styled) // 2 + 1
    roc_figure, roc = drawing.make_panel(4.2, 3.9, legend_rows)
    pr_figure, pr = drawing.make_panel(4.2, 3.9, legend_rows)
    prevalence = positives / len(scores.labels)
    chance = {"color": drawing.GREY, "linewidth": 1, "linestyle": ":"}
    roc.plot([0, 1], [0, 1], **chance, label="chance (0.500)")
    pr.axhline(prevalence, **chance, label=f"chance ({format_rate(prevalence)})")
    for name, entry, style in styled:
        curve = detection.curve(scores.columns[name], scores.labels)
        roc.plot(curve.fpr, curve.recall, **style, label=_named(name, entry.get("auroc")))
        pr.plot(
            curve.recall[1:], curve.precision[1:], **style, label=_named(name, entry.get("auprc"))
        )
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
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, borderpad=0.2)
    return [
        Drawing("roc", drawing.encode_png(roc_figure),
                "Recall against the false-alarm rate as the threshold moves; the legend gives the "
                "area (AUROC). The upper left corner is perfect. Dots: the threshold in use. "
                "Dashed: baselines.",
                "ROC curves. " + _areas(detected, "auroc")),
        Drawing("precision_recall", drawing.encode_png(pr_figure),
                "Precision against recall; the legend gives the area (AUPRC). The upper right "
                "corner is perfect. Chance is the share of anomalies in the test set, so these "
                "areas do not compare between test sets of another composition.",
                "Precision-recall curves. " + _areas(detected, "auprc")),
    ]  # fmt: skip


def _styled(scores: Scores, detected: dict[str, Any], baselines: dict[str, Any]):
    """Yields name, entry and line style of whatever has a column: scores solid, baselines not."""
    for i, (name, entry) in enumerate(detected.items()):
        if name in scores.columns:
            yield name, entry, {"color": drawing.CYCLE[i % len(drawing.CYCLE)]}
    for i, (name, entry) in enumerate(baselines.items()):
        if name in scores.columns and name not in detected:
            dash = ("--", "-.", (0, (1, 1)))[i % 3]
            yield name, entry, {"color": drawing.GREY, "linestyle": dash, "linewidth": 1.2}


def _named(name: str, measure: dict[str, float] | None) -> str:
    return f"{name} ({format_rate(measure['value'])})" if measure else name


def _areas(detected: dict[str, Any], measure: str) -> str:
    found = (f"{n} {format_rate(e[measure]['value'])}" for n, e in detected.items() if measure in e)
    return f"{measure.upper()}: {', '.join(found)}."


def robustness(sweep: Sequence[dict[str, float]]) -> list[Drawing]:
    """Returns one plot of what `robustness` in results.json holds; none where there is nothing."""
    if not sweep:
        return []
    levels, errors = ([entry[name] for entry in sweep] for name in ("noise_std", "mse"))
    figure, axes = drawing.make_panel()
    axes.plot(levels, errors, "o-", color=drawing.BLUE, ms=4, label="reconstruction")
    # What an untouched noisy image would be off by: below it the model takes noise away.
    axes.plot(
        levels, [level**2 for level in levels], "--", color=drawing.GREY, label="the noise itself"
    )
    axes.set_title("Reconstruction under noise")
    axes.set_xlabel("standard deviation of the noise")
    axes.set_ylabel("MSE against the clean image")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left")
    ends = f"{format_quantity(errors[0])} without noise, {format_quantity(errors[-1])} at {levels[-1]:g}"
    return [
        Drawing(
            "robustness",
            drawing.encode_png(figure),
            f"Normal test images: {ends}. Below the dashed line the model takes noise away.",
            f"Error of reconstructions over the noise on the input: {ends}.",
        )
    ]
