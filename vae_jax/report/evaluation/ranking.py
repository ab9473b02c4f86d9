"""The lines of the results table, shared by the page and the terminal."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Line:
    """One score of the model, or one baseline, with what `results.json` holds for it."""

    name: str
    is_baseline: bool
    measures: dict[str, Any]

    @property
    def auroc(self) -> dict[str, float] | None:
        """`value`, `low` and `high`, or None where the test set holds no anomaly."""
        return self.measures.get("auroc")

    def value(self, measure: str) -> float | None:
        """Returns one number: of a measure with an interval, its value; None where absent."""
        entry = self.measures.get(measure)
        return entry["value"] if isinstance(entry, dict) else entry


def lines(results: dict[str, Any]) -> list[Line]:
    """Returns scores and baselines, the highest AUROC first, those without one last."""
    found = [Line(name, False, entry) for name, entry in results.get("detection", {}).items()]
    found += [Line(name, True, entry) for name, entry in results.get("baselines", {}).items()]
    return sorted(found, key=lambda line: -line.auroc["value"] if line.auroc else 1.0)
