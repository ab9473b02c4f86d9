"""Training curves: one small plot for each quantity in `metrics.jsonl`, and a table of a few epochs."""

from typing import Any

from matplotlib.ticker import MaxNLocator

from vae_jax.report import drawing
from vae_jax.report.drawing import Drawing

_SPLITS = {"train": (drawing.BLUE, "-"), "val": (drawing.VERMILION, "--")}
# If the largest value is more than this many times the smallest one, the axis is logarithmic, so that the
# high values of the first epochs do not make all later values look equal.
_LOG_RATIO = 20.0

# Quantity -> title, unit of the vertical axis, and caption of its plot.
_CURVES = {
    "loss": (
        "Loss",
        "per image",
        "The quantity that training minimises: reconstruction + beta x KL, weighted as the objective says.",
    ),
    "reconstruction": (
        "Reconstruction term",
        "nats per image",
        (
            "Negative log-likelihood of what the model explains: the image, or its features and bands. If "
            "val rises while train falls, the model overfits."
        ),
    ),
    "frequency": (
        "Spectral term",
        "per image",
        (
            "Squared difference between the magnitude spectra of image and reconstruction, summed over "
            "frequencies."
        ),
    ),
    "kl": (
        "KL term",
        "nats per image",
        (
            "Information about the image in the latent code. Near zero, the code is unused (posterior "
            "collapse)."
        ),
    ),
    "beta": ("Beta", "weight of the KL term", "The weight of the KL term, by its schedule."),
    "learning_rate": (
        "Learning rate",
        "",
        "The step size of the optimiser, after warm-up, schedule and plateau rule.",
    ),
    "mse": (
        "Mean squared error",
        "per pixel",
        "Mean squared error of the reconstruction. Lower is better.",
    ),
    "psnr": ("PSNR", "dB", "Peak signal-to-noise ratio of the reconstruction. Higher is better."),
    "ssim": ("SSIM", "", "Structural similarity of image and reconstruction; 1 is perfect."),
}


def draw_training_curves(history: list[dict[str, Any]]) -> list[Drawing]:
    """Returns a plot over epochs for each quantity that the rows of `history` hold."""
    curves = (_draw_curve(name, history) for name in _CURVES)
    return [curve for curve in curves if curve]


def pick_milestones(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the values at epochs 1, 10, 50, 100, 200 and so on, and at the last epoch.

    Returns:
        One dict per epoch with `epoch`; `loss`, `reconstruction` and `kl` of training; `val_loss` and
        `val_mse` of validation. Values that were not written are left out.
    """
    rows = {
        split: {row["epoch"]: row for row in history if row.get("split") == split}
        for split in _SPLITS
    }
    epochs = sorted(rows["train"])
    if not epochs:
        return []
    milestones = {1, 10, 50, *range(100, epochs[-1], 100), epochs[-1]}
    return [
        {"epoch": epoch}
        | _pick_fields(rows["train"][epoch], {n: n for n in ("loss", "reconstruction", "kl")})
        | _pick_fields(rows["val"].get(epoch, {}), {"loss": "val_loss", "mse": "val_mse"})
        for epoch in sorted(milestones & set(epochs))
    ]


def _pick_fields(row: dict[str, Any], names: dict[str, str]) -> dict[str, float]:
    """Returns the fields of a row that `names` lists, each under its new name."""
    return {new: row[name] for name, new in names.items() if name in row}


def _draw_curve(name: str, history: list[dict[str, Any]]) -> Drawing | None:
    series = {}
    for split in _SPLITS:
        points = [(r["epoch"], r[name]) for r in history if r.get("split") == split and name in r]
        if points:
            series[split] = points
    values = [value for points in series.values() for _, value in points]
    # The values are missing, or all are zero: the KL term of an autoencoder, for example.
    if not any(values):
        return None
    title, unit, caption = _CURVES[name]
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
        f"curve_{name}", drawing.encode_figure(figure), caption, f"{title} over epochs: {ends}."
    )
