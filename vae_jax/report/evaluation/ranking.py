"""The rows of the results table, which the page and the terminal share."""

import dataclasses
from typing import Any

from vae_jax.score_names import is_baseline


@dataclasses.dataclass(frozen=True)
class ResultRow:
    """The measures of one score of the model, or of one baseline.

    Attributes:
        name: name of the score or the baseline.
        is_baseline: whether it is a baseline score, which needs no trained network.
        measures: its entry in `results.json`.
    """

    name: str
    is_baseline: bool
    measures: dict[str, Any]

    @property
    def auroc(self) -> dict[str, float] | None:
        """`value`, `low` and `high` of the AUROC; None where the test set holds no anomaly."""
        return self.measures.get("auroc")

    def get_value(self, measure: str) -> float | None:
        """Returns a measure without its interval; None where the row lacks the measure."""
        entry = self.measures.get(measure)
        return entry["value"] if isinstance(entry, dict) else entry


def rank_results(results: dict[str, Any]) -> list[ResultRow]:
    """Returns a row for each score and each baseline.

    Args:
        results: content of `results.json`.

    Returns:
        The rows, the highest AUROC first and rows without an AUROC last.
    """
    detection = results.get("detection", {})
    rows = [ResultRow(name, is_baseline(name), entry) for name, entry in detection.items()]
    rows += [
        ResultRow(name, True, entry)
        for name, entry in results.get("baselines", {}).items()
        if name not in detection  # a baseline that decides has its row already, with a threshold
    ]
    return sorted(rows, key=lambda row: -row.auroc["value"] if row.auroc else 1.0)
