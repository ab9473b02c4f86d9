"""Training curves: a small plot for each quantity of `metrics.jsonl`."""

from typing import Any

from matplotlib.ticker import MaxNLocator

from vae_jax.report import drawing
from vae_jax.report.drawing import Drawing

_SPLITS = {"train": (drawing.BLUE, "-"), "val": (drawing.VERMILION, "--")}
# Above this ratio of largest to smallest value the axis is logarithmic, so that the first epoch
# does not flatten the rest.
_LOG_RATIO = 20.0

_CURVES = {
    "loss": (
        "Loss",
        "per image",
        "What training minimises: reconstruction + beta x KL, with the weights of the objective.",
    ),
    "reconstruction": (
        "Reconstruction term",
        "nats per image",
        "Negative log-likelihood of the image. Validation rising while training falls: overfitting.",
    ),
    "frequency": (
        "Spectral term",
        "per image",
        "Squared difference of the magnitude spectra, summed over frequencies.",
    ),
    "kl": (
        "KL term",
        "nats per image",
        "Information in the latent code. Near zero: the code is unused (posterior collapse).",
    ),
    "beta": ("Beta", "weight of the KL term", "The schedule of the KL term's weight."),
    "learning_rate": ("Learning rate", "", "After warm-up, schedule and plateau rule."),
    "mse": ("Mean squared error", "per pixel", "Of the reconstruction. Lower is better."),
    "psnr": ("PSNR", "dB", "Peak signal-to-noise ratio of the reconstruction. Higher is better."),
    "ssim": ("SSIM", "", "Structural similarity of the reconstruction; 1 is a perfect copy."),
}


def draw(history: list[dict[str, Any]]) -> list[Drawing]:
    """Returns a plot over epochs for each quantity that the lines of `history` hold."""
    found = (_curve(name, history) for name in _CURVES)
    return [curve for curve in found if curve]


def milestones(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns how training stood at epochs 1, 10, 50, 100 and so on, and at the last.

    Each with `epoch`, the `loss`, `reconstruction` and `kl` of training, and the `val_loss` and `val_mse`
    of the validation of that epoch, as far as they were written.
    """
    lines = {
        split: {row["epoch"]: row for row in history if row.get("split") == split}
        for split in _SPLITS
    }
    epochs = sorted(lines["train"])
    if not epochs:
        return []
    marks = {1, 10, 50, *range(100, epochs[-1], 100), epochs[-1]}
    return [
        {"epoch": epoch}
        | _pick(lines["train"][epoch], {n: n for n in ("loss", "reconstruction", "kl")})
        | _pick(lines["val"].get(epoch, {}), {"loss": "val_loss", "mse": "val_mse"})
        for epoch in sorted(marks & set(epochs))
    ]


def _pick(row: dict[str, Any], names: dict[str, str]) -> dict[str, float]:
    return {new: row[name] for name, new in names.items() if name in row}


def _curve(name: str, history: list[dict[str, Any]]) -> Drawing | None:
    series = {}
    for split in _SPLITS:
        points = [(r["epoch"], r[name]) for r in history if r.get("split") == split and name in r]
        if points:
            series[split] = points
    values = [value for points in series.values() for _, value in points]
    if not any(values):  # not written, or zero throughout: an autoencoder has no KL
        return None
    title, unit, reading = _CURVES[name]
    figure, axes = drawing.make_panel(3.6, 2.5)
    for split, points in series.items():
        colour, dash = _SPLITS[split]
        marker = "o" if len(points) < 15 else None
        axes.plot(*zip(*points, strict=True), dash, color=colour, label=split, marker=marker, ms=3)
    if min(values) > 0 and max(values) > _LOG_RATIO * min(values):
        axes.set_yscale("log")
    elif name in ("beta", "learning_rate"):
        axes.set_ylim(bottom=0)
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.set_ylabel(unit)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if len(series) > 1:
        axes.legend(loc="best")
    ends = ", ".join(f"{split} ends at {points[-1][1]:.4g}" for split, points in series.items())
    return Drawing(
        f"curve_{name}", drawing.encode_png(figure), reading, f"{title} over epochs: {ends}."
    )
