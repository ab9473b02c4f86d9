"""Measures how often the 95 % intervals of detection contain the true value, in simulations.

    python benchmarks/interval_coverage.py

This command prints the tables of `docs/intervals.md` and takes about half an hour on one core. Scores of
normals have a standard normal distribution; the standard deviation of the anomalies, and whether scores
are rounded or images belong to groups, is different in each table. The true values come from the
distributions. A coverage of 1,000 simulated test sets has a standard error of 0.007.

`--trials=N` sets the number of simulated test sets per cell; differences of AUROCs get a quarter of them.
"""

import argparse
import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr, ndtri

from vae_jax.metrics.auroc_difference import subtract_aurocs
from vae_jax.metrics.average_precision import measure_auprc
from vae_jax.metrics.delong import delong
from vae_jax.metrics.false_positive_rate import measure_fpr95

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
PAIRED_SIZES = ((10, 10), (10, 100), (100, 10), (50, 20), (46, 764), (100, 100), (1000, 1000))
NOISES = (0.5, 2.0)  # standard deviations of what distinguishes the second score from the first
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

    def true_rates(
        self, auroc: float, step: float
    ) -> tuple[Float[np.ndarray, "T"], Float[np.ndarray, "T"], Float[np.ndarray, "T"]]:
        """Returns thresholds in falling order, between rounded scores, and both rates above them."""
        edges = (np.arange(np.floor(-12 / step), np.ceil(40 / step)) + 0.5)[::-1] * step
        return edges, ndtr(-edges), ndtr((self.shift(auroc) - edges) / self.deviation)

    def true_difference(self, auroc: float, noise: float) -> float:
        """Returns by how much noise changes the AUROC of infinitely many images."""
        if not self.step:
            spread = np.hypot(1, self.deviation)
            return float(ndtr(self.shift(auroc) / np.hypot(spread, noise * np.sqrt(2)))) - auroc
        edges, fpr, tpr = self.true_rates(auroc, self.step)
        of_anomalies, of_normals = np.diff(tpr), np.diff(fpr)
        distance = edges[1:, None] - edges[None, 1:]
        wins = ndtr(distance / (noise * np.sqrt(2)))
        return float(of_anomalies @ wins @ of_normals) - self.true_values(auroc, 0.5)[0]

    def true_values(self, auroc: float, share_of_anomalies: float) -> tuple[float, float, float]:
        """Returns AUROC, average precision and FPR95 of infinitely many images."""
        _, fpr, tpr = self.true_rates(auroc, self.step or 1e-3)
        hits, false_alarms = np.diff(tpr), np.diff(fpr)
        true_auroc = np.sum(false_alarms * (tpr[1:] + tpr[:-1])) / 2
        flagged = share_of_anomalies * tpr[1:] + (1 - share_of_anomalies) * fpr[1:]
        precision = share_of_anomalies * tpr[1:] / np.maximum(flagged, 1e-300)
        fpr95 = fpr[np.argmax(tpr >= 0.95)]
        return float(true_auroc), float(np.sum(hits * precision)), float(fpr95)


SHAPES = (
    Shape("equal deviations"),
    Shape("anomalies spread twice as much", deviation=2.0),
    Shape("anomalies spread half as much", deviation=0.5),
    Shape("rounded scores with ties", step=0.5),
    Shape("groups of five images", correlation=0.5),
)


def measure_coverage(
    shape: Shape, auroc: float, num_normals: int, num_anomalies: int, trials: int, seed: int = 0
) -> tuple[float, ...]:
    """Returns the coverage of the intervals of AUROC, average precision and FPR95."""
    rng = np.random.default_rng(seed)
    share = num_anomalies / (num_normals + num_anomalies)
    truths = shape.true_values(auroc, share)
    covered = np.zeros(3)
    for _ in range(trials):
        test_set = shape.draw(rng, auroc, num_normals, num_anomalies)
        intervals = [measure(*test_set) for measure in (delong, measure_auprc, measure_fpr95)]
        covered += [
            interval["low"] <= truth <= interval["high"]
            for interval, truth in zip(intervals, truths, strict=True)
        ]
    return tuple((covered / trials).tolist())


def measure_difference_coverage(
    shape: Shape, auroc: float, num_normals: int, num_anomalies: int, trials: int, seed: int = 0
) -> tuple[float, ...]:
    """Returns the coverage of the intervals of the difference from a second score, for each noise.

    The second score is the first with noise that is independent for each image.
    """
    rng = np.random.default_rng(seed)
    truths = [shape.true_difference(auroc, noise) for noise in NOISES]
    covered = np.zeros(len(NOISES))
    for _ in range(trials):
        scores, labels, groups = shape.draw(rng, auroc, num_normals, num_anomalies)
        for i, noise in enumerate(NOISES):
            noisy = scores + noise * rng.standard_normal(len(scores))
            interval = subtract_aurocs(noisy, scores, labels, groups)
            covered[i] += interval["low"] <= truths[i] <= interval["high"]
    return tuple((covered / trials).tolist())


def format_table(sizes: tuple, measure: Callable[[float, int, int], tuple[float, ...]]) -> str:
    """Returns a table in Markdown with several coverages in each cell."""
    heads = [f"{num_normals} + {num_anomalies}" for num_normals, num_anomalies in sizes]
    lines = ["| AUROC | " + " | ".join(heads) + " |", "|---" * (len(sizes) + 1) + "|"]
    for auroc in AUROCS:
        cells = [", ".join(f"{share:.3f}" for share in measure(auroc, *size)) for size in sizes]
        lines.append(f"| {auroc:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Prints every table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    for heading, sizes, measure, count in (
        ("AUROC, AUPRC and FPR95", SIZES, measure_coverage, trials),
        ("Difference of two AUROCs", PAIRED_SIZES, measure_difference_coverage, trials // 4),
    ):
        print(f"\n## {heading}")
        for shape in SHAPES:
            measure_cell = functools.partial(measure, shape, trials=max(count, 1))
            print(f"\n{shape.name[0].upper()}{shape.name[1:]}:\n")
            print(format_table(sizes, measure_cell), flush=True)


if __name__ == "__main__":
    main()
