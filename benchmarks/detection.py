"""Trains the detectors of all datasets with several seeds and prints the tables that compare their scores.

    python benchmarks/detection.py --data=DIR [--runs=runs] [--only=...] [--seeds=0,1,2] [--jobs=1]

DIR holds the folders kvasir, chest_xray, aitex, fashion_mnist, mnist and magnetic_tile, each in its
official layout; the sets of a folder that is missing are named and left out. The script may be interrupted:
finished runs in the folder --runs are not repeated, and a stopped run continues. All sets run with the
first seed before any of them runs with the second. An empty --only= prints the tables of the finished runs.

--jobs sets run at the same time, each on its share of the cores. The output of a run goes to
RUNS/SET_seedN.train.log. The script prints each run with its elapsed time and its processor time, then the
tables of docs/experiments.md. The last line is one JSON object.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
import time
from collections.abc import Sequence

import detection_tables
from run_steps import CONFIGS, Step, run_chains


@dataclasses.dataclass(frozen=True)
class DetectionSet:
    """A dataset with the config that detects its anomalies.

    Attributes:
        config: file in configs/ with its variant.
        data: folder of the images.
        anomaly_data: folder of a second dataset that is the anomaly; "" for none.
        overrides: further arguments of the program.
    """

    config: str
    data: str
    anomaly_data: str = ""
    overrides: tuple[str, ...] = ()

    def list_arguments(self, folder: pathlib.Path, seed: int) -> list[str]:
        """Returns the arguments of the program for one seed.

        Args:
            folder: folder of all data.
            seed: seed of the run.
        """
        arguments = [
            f"--config={CONFIGS / self.config}",
            f"--config.seed={seed}",
            f"--config.data.manual_dir={folder / self.data}",
            *self.overrides,
        ]
        if self.anomaly_data:
            arguments.append(f"--config.data.anomaly_manual_dir={folder / self.anomaly_data}")
        return arguments


# Name of a set, which begins the names of its workdirs, and its config.
SETS = {
    "kvasir": DetectionSet("kvasir.py:features", "kvasir"),
    "kvasir_tight": DetectionSet("kvasir.py:tight_features", "kvasir"),
    "chest_xray": DetectionSet("chest_xray.py:features", "chest_xray"),
    "aitex": DetectionSet("aitex.py:features", "aitex"),
    "aitex_bands": DetectionSet("aitex.py:bands", "aitex"),
    "fashion_mnist": DetectionSet("fashion_mnist.py:mnist_features", "fashion_mnist", "mnist"),
    "magnetic_tile": DetectionSet(
        "folder.py", "magnetic_tile", overrides=("--config.data.framing=stretch",)
    ),
    "magnetic_tile_tiles": DetectionSet(
        "folder.py", "magnetic_tile", overrides=("--config.data.framing=tiles",)
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs all sets that are not finished and prints the tables; returns an exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs"))
    parser.add_argument("--only", default=",".join(SETS), help="names of sets, with commas between")
    parser.add_argument("--seeds", default="0,1,2", help="seeds, with commas between")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args(arguments)
    names = [name for name in options.only.split(",") if name]
    unknown = [name for name in names if name not in SETS]
    if unknown:
        print(
            f"error: --only names the unknown set {unknown[0]}; valid: {', '.join(SETS)}",
            file=sys.stderr,
        )
        return 2
    seeds = [int(seed) for seed in options.seeds.split(",")]
    started = time.perf_counter()
    present = [name for name in names if not _report_missing(name, options.data)]
    chains = [
        [Step(options.runs, f"{name}_seed{seed}", SETS[name].list_arguments(options.data, seed))]
        for seed in seeds
        for name in present
    ]
    done = run_chains(chains, options.jobs)
    runs = {name: detection_tables.read_runs(options.runs, name, seeds) for name in SETS}
    runs = {name: finished for name, finished in runs.items() if finished}
    print(detection_tables.format_tables(runs))
    summary = {"seconds": round(time.perf_counter() - started)}
    print(json.dumps(summary | {"sets": detection_tables.summarise(runs)}))
    return 0 if done else 1


def _report_missing(name: str, data: pathlib.Path) -> bool:
    """Returns whether a folder of the set is missing, and names it."""
    folders = filter(None, (SETS[name].data, SETS[name].anomaly_data))
    missing = [str(data / folder) for folder in folders if not (data / folder).is_dir()]
    if missing:
        print(f"{name}: skipped, because {missing[0]} is missing", flush=True)
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
