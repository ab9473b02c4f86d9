"""Runs the five experiments and prints the table that compares them with their sources.

    python benchmarks/experiments.py --data=DIR [--runs=runs] [--jobs=2] [--only=mnist,aitex]

DIR holds the folders mnist, fashion_mnist, kvasir, aitex and chest_xray, each in its official layout. The
script may be interrupted: finished runs in the folder --runs are not repeated, and a stopped run continues.
An empty --only= prints the table without any run.

--jobs experiments run at the same time, each on its share of the cores: two trainings on one core each
finish sooner than one after the other on both cores. The output of a step goes to RUNS/WORKDIR.MODE.log.
The script prints each step with its elapsed time and its processor time, which other work on the cores
affects less, then the table of docs/experiments.md. The last line is one JSON object.

The budget is 90 minutes on two cores. The full runs of some configs would take longer; the steps below
shorten them.
"""

import argparse
import json
import pathlib
import sys
import time

from figures import read_table
from run_steps import CONFIGS, Step, run_chains

# Experiment -> its steps: workdir, folder of the data, arguments. The longest experiment comes first.
STEPS: dict[str, list[tuple[str, str, list[str]]]] = {
    "kvasir_ablation": [
        (
            "kvasir_ablation",
            "kvasir",
            [
                "--mode=ablate",
                "--config=kvasir_ablation.py",
                "--config.data.image_size=64",
                "--config.train.epochs=20",
                "--config.objective.beta_warmup=7",
            ],
        ),
    ],
    "chest_xray": [
        (
            "chest_xray_generation",
            "chest_xray",
            ["--config=chest_xray.py:generation", "--config.train.epochs=8"],
        ),
        ("chest_xray_generation", "", ["--mode=explore"]),
        ("chest_xray", "chest_xray", ["--config=chest_xray.py", "--config.train.epochs=30"]),
    ],
    "aitex": [
        ("aitex", "aitex", ["--config=aitex.py", "--config.train.epochs=25"]),
        ("aitex", "", ["--mode=explore", "--config.explore.generated=512"]),
        (
            "aitex_ablation",
            "aitex",
            [
                "--mode=ablate",
                "--config=aitex_ablation.py",
                "--config.train.epochs=8",
                "--config.ablate.seeds=(0,)",
            ],
        ),
    ],
    "mnist": [
        ("mnist", "mnist", ["--config=mnist.py", "--config.train.epochs=15"]),
        ("mnist", "", ["--mode=explore"]),
        (
            "mnist_fashion_mnist",
            "mnist",
            [
                "--config=mnist.py:fashion_mnist",
                "--config.train.epochs=10",
                "--config.scoring.threshold_rule=mean_std",
            ],
        ),
        ("mnist_conditional", "mnist", ["--config=mnist_conditional.py"]),
        ("mnist_conditional", "", ["--mode=explore"]),
    ],
    "kvasir": [
        ("kvasir", "kvasir", ["--config=kvasir.py", "--config.train.epochs=100"]),
        ("kvasir", "", ["--mode=explore"]),
    ],
    "mnist_latent": [
        (
            "mnist_latent",
            "mnist",
            ["--mode=ablate", "--config=mnist_latent.py", "--config.train.epochs=8"],
        ),
        ("mnist_latent/cells/base,seed=0", "", ["--mode=explore"]),
    ],
}


def main() -> int:
    """Runs all steps that are not finished and prints the table; returns an exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default=",".join(STEPS))
    arguments = parser.parse_args()
    experiments = [name for name in arguments.only.split(",") if name]
    for name in experiments:
        if name not in STEPS:
            print(
                f"error: --only names the unknown experiment {name}; valid: {', '.join(STEPS)}",
                file=sys.stderr,
            )
            return 2
    started = time.perf_counter()
    done = run_chains(
        [
            [_make_step(*step, arguments.data, arguments.runs) for step in STEPS[name]]
            for name in experiments
        ],
        arguments.jobs,
    )
    seconds = round(time.perf_counter() - started)
    rows = read_table(arguments.runs)
    print("\n| figure | ours | source | protocol |\n|---|---|---|---|")
    for figure, row in rows.items():
        print(f"| {figure} | {row['ours']} | {row['source']} | {row['protocol']} |")
    print(
        json.dumps(
            {"seconds": seconds, "figures": {name: row["ours"] for name, row in rows.items()}}
        )
    )
    return 0 if done else 1


def _make_step(
    workdir: str, data: str, arguments: list[str], folder: pathlib.Path, runs: pathlib.Path
) -> Step:
    # The steps name a config by its file name alone.
    overrides = [a.replace("--config=", f"--config={CONFIGS}/") for a in arguments]
    if data:
        overrides.append(f"--config.data.manual_dir={folder / data}")
        overrides.append(f"--config.data.anomaly_manual_dir={folder / 'fashion_mnist'}")
    return Step(runs, workdir, overrides)


if __name__ == "__main__":
    sys.exit(main())
