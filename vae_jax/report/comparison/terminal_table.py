"""The runs of a comparison as lines for a terminal."""

from vae_jax.comparison.comparison import Comparison
from vae_jax.report.numerals import format_rate


def format_terminal_table(comparison: Comparison) -> str:
    """Returns one line per run, and one sentence about the differences."""
    rows = [("run", "seed", "score", "AUROC", "best baseline")]
    for (setting, run), baseline in zip(comparison.list_runs(), comparison.baselines, strict=True):
        auroc = run.auroc
        interval = f"[{format_rate(auroc['low'])}, {format_rate(auroc['high'])}]"
        beside = ""
        if baseline is not None:
            beside = f"{baseline.name} {format_rate(baseline.value)}: {baseline.describe()}"
        rows.append(
            (
                setting.label,
                str(run.seed),
                run.deciding,
                f"{format_rate(auroc['value'])} {interval}",
                beside,
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    num_clear = sum(difference.is_clear for difference in comparison.differences)
    lines.append(
        f"{num_clear} of {len(comparison.differences)} differences on the same test images are more than "
        "chance explains (Holm)"
    )
    return "\n".join(lines)
