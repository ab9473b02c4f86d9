"""Compares the promised false-alarm rate with the achieved one, for every score of several runs.

    python benchmarks/false_alarms.py runs/mnist runs/fashion_mnist runs/kvasir ... > docs/false_alarms.md

The script reads the results.json of finished workdirs and prints a Markdown table: the share of normal test
images above the threshold of each score. It compares this share with two 95 % intervals of chance:
*binomial*, as if the threshold were exact, and *with calibration*, which is wider because few
calibration images determine the threshold (beta-binomial; Vovk 2012, "Conditional validity of inductive
conformal predictors", proposition 2b). The last line is one JSON object.
"""

import json
import math
import pathlib
import sys

from scipy import stats

from vae_jax.errors import UserError
from vae_jax.workdir import read_results


def main(workdirs: list[str]) -> int:
    """Prints one table per workdir; returns an exit status."""
    if not workdirs:
        print("error: no workdir is given; name one or more finished workdirs", file=sys.stderr)
        return 2
    counts_within = {"scores": 0, "within_binomial": 0, "within_calibration": 0}
    for workdir in map(pathlib.Path, workdirs):
        try:
            results = read_results(workdir)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        rate = results["decision"].get("promised")
        if rate is None:
            print(
                f"error: {workdir} promises no false-alarm rate; evaluate it with "
                "--config.scoring.threshold_rule=quantile",
                file=sys.stderr,
            )
            return 2
        counts = results["dataset"]["counts"]
        num_normals, num_calibration = counts["test_normal"], counts["calibration"]
        k = max(math.floor(rate * (num_calibration + 1) + 1e-9), 1)
        distributions = {
            "within_binomial": stats.binom(num_normals, rate),
            "within_calibration": stats.betabinom(num_normals, k, num_calibration + 1 - k),
        }
        intervals = {
            name: [count / num_normals for count in distribution.ppf([0.025, 0.975])]
            for name, distribution in distributions.items()
        }
        binomial, calibrated = (
            "{:.3f} to {:.3f}".format(*interval) for interval in intervals.values()
        )
        print(
            f"\n**{workdir.name}**: {num_normals:,} test normals, {num_calibration:,} calibration normals, "
            f"promised rate {rate:g}; interval of chance {binomial} (binomial), "
            f"{calibrated} (with calibration)\n"
        )
        print("| score | false-alarm rate | binomial | with calibration |\n|---|---|---|---|")
        for score, entry in results["detection"].items():
            within = {
                name: low - 1e-9 <= entry["fpr"] <= high + 1e-9
                for name, (low, high) in intervals.items()
            }
            counts_within["scores"] += 1
            for name, inside in within.items():
                counts_within[name] += int(inside)
            verdicts = " | ".join(
                "within" if inside else "**outside**" for inside in within.values()
            )
            print(f"| `{score}` | {entry['fpr']:.4f} | {verdicts} |")
    print(f"\n{json.dumps(counts_within)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
