"""The five experiments, one after the other, and the table that holds them against their sources.

    python benchmarks/experiments.py --data=DIR [--runs=runs] [--only=mnist,aitex]

DIR holds the folders mnist, fashion_mnist, kvasir, aitex and chest_xray, each in its official layout. What
is finished under --runs is not run again, and a stopped run goes on, so the script may be interrupted;
--only= prints the table alone.
Prints each step with its time, then the table for the README; the last line is one JSON object.

Where a full run of a config would not fit into 90 minutes on two cores, fewer epochs are asked for here;
the steps below say so.
"""

import argparse
import csv
import json
import pathlib
import subprocess
import sys
import time
from typing import Any

from vae_jax.errors import UserError
from vae_jax.workdir import read_results

_CONFIGS = pathlib.Path(__file__).resolve().parents[1] / "configs"
# A row a figure: its place in results.json or details.json, what the source says, how the protocols differ.
_TABLE = pathlib.Path(__file__).with_suffix(".csv")

# Experiment -> its steps: the workdir, the data, and the arguments.
STEPS: dict[str, list[tuple[str, str, list[str]]]] = {
    "kvasir": [
        ("kvasir", "kvasir", ["--config=kvasir.py", "--config.train.epochs=100"]),
        ("kvasir", "", ["--mode=explore"]),
    ],
    "mnist": [
        ("mnist", "mnist", ["--config=mnist.py", "--config.train.epochs=15"]),
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
    "mnist_latent": [
        (
            "mnist_latent",
            "mnist",
            ["--mode=ablate", "--config=mnist_latent.py", "--config.train.epochs=8"],
        ),
    ],
    "aitex": [
        ("aitex", "aitex", ["--config=aitex.py", "--config.train.epochs=25"]),
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
    "chest_xray": [
        ("chest_xray", "chest_xray", ["--config=chest_xray.py", "--config.train.epochs=30"]),
        (
            "chest_xray_generation",
            "chest_xray",
            ["--config=chest_xray.py:generation", "--config.train.epochs=8"],
        ),
        ("chest_xray_generation", "", ["--mode=explore"]),
    ],
}


def _write(results: dict[str, Any], path: str, kind: str) -> str:
    """Returns one figure of a run as the table shows it."""
    found: Any = results
    for part in path.split("/"):
        found = found[part]
    if kind == "interval":
        return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
    if kind == "percent":
        return f"{100 * found:.1f} %"
    if kind == "passed":  # what was not flagged
        return f"{100 * (1 - found):.2f} %"
    return f"{found:.{kind.removeprefix('number ')}f}"


def main() -> int:
    """Runs what is not finished and prints the table; returns an exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs"))
    parser.add_argument("--only", default=",".join(STEPS))
    arguments = parser.parse_args()
    seconds = {}
    for experiment in filter(None, arguments.only.split(",")):
        if experiment not in STEPS:
            print(f"error: --only={experiment}; valid: {', '.join(STEPS)}", file=sys.stderr)
            return 2
        started = time.perf_counter()
        for step in STEPS[experiment]:
            status = _run(*step, arguments.data, arguments.runs)
            if status:
                return status
        seconds[experiment] = round(time.perf_counter() - started)
    print("\n| figure | ours | source | protocol |\n|---|---|---|---|")
    table = {}
    with _TABLE.open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            try:
                results = read_results(arguments.runs / row["workdir"])
                ours = _write(results, row["path"], row["kind"])
            except (UserError, KeyError):
                ours = "not run"
            table[row["figure"]] = ours
            print(f"| {row['figure']} | {ours} | {row['source']} | {row['protocol']} |")
    print(json.dumps({"seconds": seconds, "figures": table}))
    return 0


def _run(
    workdir: str, data: str, arguments: list[str], folder: pathlib.Path, runs: pathlib.Path
) -> int:
    """Runs one step if it is not finished; returns its exit status."""
    mode = next((a.removeprefix("--mode=") for a in arguments if a.startswith("--mode=")), "train")
    # An ablation writes its page after every cell, and itself skips what is finished.
    last = {"train": "report.html", "explore": "explore.html"}.get(mode)
    if last and (runs / workdir / last).exists():
        print(f"{workdir}, {mode}: finished before", flush=True)
        return 0
    # A config is named by its file alone above.
    given = [a.replace("--config=", f"--config={_CONFIGS}/") for a in arguments]
    if data:
        given.append(f"--config.data.manual_dir={folder / data}")
        given.append(f"--config.data.anomaly_manual_dir={folder / 'fashion_mnist'}")
    command = [sys.executable, "-m", "vae_jax.main", f"--workdir={runs / workdir}", *given]
    started = time.perf_counter()
    status = subprocess.run(command, check=False).returncode
    print(f"{workdir}, {mode}: {time.perf_counter() - started:.0f} s", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
