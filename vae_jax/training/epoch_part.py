"""The steps of an epoch that were made before training stopped; a checkpoint holds them as JSON."""

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class EpochPart:
    """The steps of an unfinished epoch.

    Attributes:
        metrics: values of each metric, one per step, float32.
        seconds: time that these steps took.
    """

    metrics: dict[str, np.ndarray]
    seconds: float

    @property
    def num_steps(self) -> int:
        """Number of steps that were made."""
        return len(next(iter(self.metrics.values()), ()))

    def extend(self, metrics: dict[str, np.ndarray], seconds: float) -> "EpochPart":
        """Returns this part followed by further steps."""
        joined = {
            name: np.concatenate([self.metrics.get(name, values[:0]), values])
            for name, values in metrics.items()
        }
        return EpochPart(joined, self.seconds + seconds)

    def to_json(self) -> dict[str, Any]:
        """Returns the part as values for JSON, which holds a float32 exactly."""
        return {
            "seconds": self.seconds,
            "metrics": {name: values.tolist() for name, values in self.metrics.items()},
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "EpochPart":
        """Returns the part that `to_json` has written."""
        metrics = {name: np.array(column, np.float32) for name, column in values["metrics"].items()}
        return cls(metrics, values["seconds"])
