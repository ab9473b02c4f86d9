"""The error of reconstructions as noise on the input grows."""

from collections.abc import Sequence

from vae_jax.report import drawing
from vae_jax.report.drawing import Drawing
from vae_jax.report.numerals import quantity


def draw(sweep: Sequence[dict[str, float]]) -> list[Drawing]:
    """Returns one plot of what `robustness` in results.json holds; none where there is nothing."""
    if not sweep:
        return []
    levels, errors = ([entry[name] for entry in sweep] for name in ("noise_std", "mse"))
    figure, axes = drawing.panel()
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
    ends = f"{quantity(errors[0])} without noise, {quantity(errors[-1])} at {levels[-1]:g}"
    return [
        Drawing(
            "robustness",
            drawing.png(figure),
            f"Normal test images: {ends}. Below the dashed line the model takes noise away.",
            f"Error of reconstructions over the noise on the input: {ends}.",
        )
    ]
