"""Measures how often the 95 % intervals of detection contain the true value, in simulations.

    python benchmarks/interval_coverage.py

This command prints the tables of `docs/intervals.md` and takes about ten minutes on one core. Scores of
normals have a standard normal distribution; the standard deviation of the anomalies, and whether scores
are rounded or images belong to groups, is different in each table. The true values come from the
distributions. A coverage of 1,000 simulated test sets has a standard error of 0.007.

`--trials=N` sets the number of simulated test sets per cell, `--resamples=N` the number of resamples of the
intervals that need the bootstrap (false-positive rate and differences), in a quarter of the trials.
"""

import argparse
import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr, ndtri

from vae_jax.metrics.average_precision import measure_auprc
from vae_jax.metrics.bootstrap import rank
from vae_jax.metrics.delong import delong

AUROCS = (0.6, 0.75, 0.86, 0.95, 0.99, 0.995)
SIZES = (
    (10, 10),
    (10, 100),
    (100, 10),
    (10, 1000),
    (1000, 10),
    (50, 20),
    (46, 764),
    (100, 100),
    (1000, 1000),
)
FEW_SIZES = ((50, 20), (46, 764), (100, 100))
_GROUP_SIZE = 5


@dataclasses.dataclass(frozen=True)
class Shape:
    """Distributions of the scores.

    Attributes:
        name: heading of the table.
        deviation: standard deviation of the scores of anomalies; that of normals is 1.
        step: scores are rounded to multiples of it; 0 for continuous scores.
        correlation: of the scores of two images of one group of `_GROUP_SIZE` images of the same label.
    """

    name: str
    deviation: float = 1.0
    step: float = 0.0
    correlation: float = 0.0

    def draw(
        self, rng: np.random.Generator, auroc: float, num_normals: int, num_anomalies: int
    ) -> tuple[Float[np.ndarray, "N"], Int[np.ndarray, "N"], Int[np.ndarray, "N"]]:
        """Returns scores, labels and groups of a test set."""
        labels = np.repeat([0, 1], [num_normals, num_anomalies])
        groups = np.arange(len(labels))
        noise = rng.standard_normal(len(labels))
        if self.correlation:
            groups = labels * len(labels) + groups // _GROUP_SIZE  # no group has both labels
            shared = rng.standard_normal(2 * len(labels))[groups]
            noise = np.sqrt(self.correlation) * shared + np.sqrt(1 - self.correlation) * noise
        scores = np.where(labels == 1, self.shift(auroc) + self.deviation * noise, noise)
        return np.round(scores / self.step) * self.step if self.step else scores, labels, groups

    def shift(self, auroc: float) -> float:
        """Returns the mean score of anomalies that leads to an AUROC of continuous scores."""
        return float(ndtri(auroc)) * float(np.hypot(1, self.deviation))

    def true_values(self, auroc: float, share_of_anomalies: float) -> tuple[float, float]:
        """Returns the AUROC and the average precision of infinitely many images."""
        step = self.step or 1e-3
        edges = (np.arange(np.floor(-12 / step), np.ceil(40 / step)) + 0.5)[::-1] * step
        fpr = ndtr(-edges)
        tpr = ndtr((self.shift(auroc) - edges) / self.deviation)
        hits, false_alarms = np.diff(tpr), np.diff(fpr)
        true_auroc = np.sum(false_alarms * (tpr[1:] + tpr[:-1])) / 2
        flagged = share_of_anomalies * tpr[1:] + (1 - share_of_anomalies) * fpr[1:]
        precision = share_of_anomalies * tpr[1:] / np.maximum(flagged, 1e-300)
        return float(true_auroc), float(np.sum(hits * precision))


SHAPES = (
    Shape("equal deviations"),
    Shape("anomalies spread twice as much", deviation=2.0),
    Shape("anomalies spread half as much", deviation=0.5),
    Shape("rounded scores with ties", step=0.5),
    Shape("groups of five images", correlation=0.5),
)


def measure_coverage(
    shape: Shape, auroc: float, num_normals: int, num_anomalies: int, trials: int, seed: int = 0
) -> tuple[float, float]:
    """Returns the coverage of the intervals of AUROC and average precision."""
    rng = np.random.default_rng(seed)
    share = num_anomalies / (num_normals + num_anomalies)
    truths = shape.true_values(auroc, share)
    covered = np.zeros(2)
    for _ in range(trials):
        test_set = shape.draw(rng, auroc, num_normals, num_anomalies)
        intervals = delong(*test_set), measure_auprc(*test_set)
        covered += [
            interval["low"] <= truth <= interval["high"]
            for interval, truth in zip(intervals, truths, strict=True)
        ]
    return tuple((covered / trials).tolist())


def measure_resampled_coverage(
    auroc: float, num_normals: int, num_anomalies: int, trials: int, resamples: int, seed: int = 0
) -> tuple[float, float]:
    """Returns the coverage of the difference of two AUROCs and of the false-positive rate.

    The second score is the first with noise of half its standard deviation.
    """
    rng, shape = np.random.default_rng(seed), SHAPES[0]
    fpr95 = float(ndtr(-(shape.shift(auroc) + ndtri(0.05))))
    difference = float(ndtr(ndtri(auroc) / np.hypot(1, 0.5))) - auroc
    covered = np.zeros(2)
    for trial in range(trials):
        scores, labels, _ = shape.draw(rng, auroc, num_normals, num_anomalies)
        noisy = scores + 0.5 * rng.standard_normal(len(scores))
        a, b = (rank(values, labels, resamples, trial) for values in (scores, noisy))
        intervals = b.auroc_minus(a), a.intervals()["fpr95"]
        covered += [
            interval["low"] <= truth <= interval["high"]
            for interval, truth in zip(intervals, (difference, fpr95), strict=True)
        ]
    return tuple((covered / trials).tolist())


def format_table(sizes: tuple, measure: Callable[[float, int, int], tuple[float, float]]) -> str:
    """Returns a table in Markdown with two coverages in each cell."""
    heads = [f"{num_normals} + {num_anomalies}" for num_normals, num_anomalies in sizes]
    lines = ["| AUROC | " + " | ".join(heads) + " |", "|---" * (len(sizes) + 1) + "|"]
    for auroc in AUROCS:
        cells = ["{:.3f}, {:.3f}".format(*measure(auroc, *size)) for size in sizes]
        lines.append(f"| {auroc:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Prints every table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=300)
    arguments = parser.parse_args()
    for shape in SHAPES:
        print(f"\n{shape.name[0].upper()}{shape.name[1:]}:\n")
        print(
            format_table(
                SIZES, lambda *cell, shape=shape: measure_coverage(shape, *cell, arguments.trials)
            ),
            flush=True,
        )
    print("\nDifference of two AUROCs, and false-positive rate at 95 % recall:\n")
    trials = max(arguments.trials // 4, 1)
    print(
        format_table(
            FEW_SIZES,
            lambda *cell: measure_resampled_coverage(*cell, trials, arguments.resamples),
        )
    )


if __name__ == "__main__":
    main()
