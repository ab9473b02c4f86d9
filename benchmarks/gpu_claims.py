"""Measures one part of what on_gpu.sh claims, and appends one JSON line per claim to a file at once.

    python benchmarks/gpu_claims.py train --model=kvasir --precision=float32 --out=claims.jsonl [--tiny]

Parts: `environment`, `train`, `scoring`, `extraction`, `tests`. A claim is written as soon as it is
measured, so a part that is stopped keeps everything that it has measured; a side that fails becomes a
line with the key `error`. This needs PyTorch. `--tiny` takes a few small steps, to test the script itself.

On a GPU many steps run between two readings of the clock, and both sides may use TF32 for float32.
"""

import argparse
import concurrent.futures
import dataclasses
import importlib.metadata
import json
import multiprocessing
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence

import features
import models
import roof
import scoring
import train_step
import turns

_PLUGIN = pathlib.Path(__file__).with_name("gpu_tests.py")


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        batch: images per step.
        steps: steps between two readings of the clock.
        turns: turns of each side.
        feature_size: height and width of the images whose features are extracted, pixels.
        tests: tests to run, paths below the root.
    """

    batch: int
    steps: int
    turns: int
    feature_size: int
    tests: Sequence[str]


_FULL = Sizes(batch=64, steps=32, turns=7, feature_size=224, tests=("tests/training",))
_TINY = Sizes(2, 1, 1, 64, ("tests/training/test_recipe.py",))


class Claims:
    """The file of claims.

    Args:
        path: file that receives the lines.
        labels: keys and values of every line.
    """

    def __init__(self, path: pathlib.Path, labels: dict[str, object]):
        self._path, self._labels = path, labels

    def add(self, claim: str, **values: object) -> None:
        """Writes one line to the file and to the terminal."""
        line = json.dumps({"claim": claim} | self._labels | values)
        print(line, flush=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())


def claim_environment(claims: Claims, options: argparse.Namespace, sizes: Sizes) -> None:
    """Claims which devices and versions the other lines are about."""
    del options, sizes
    import jax
    import torch

    cuda = torch.cuda.is_available()
    claims.add(
        "environment",
        jax=jax.__version__,
        flax=importlib.metadata.version("flax"),
        torch=torch.__version__,
        jax_device=jax.devices()[0].device_kind,
        torch_device=torch.cuda.get_device_name() if cuda else "cpu",
        cores=len(os.sched_getaffinity(0)),
    )


class Comparison:
    """The sides of one claim, which grows by one side after the other.

    Args:
        claims: receives a line as soon as there are two sides, and after every further side.
        race: measures the sides.
        sizes: how much is measured.
        name: name of the claim.
        calls: calls per turn.
    """

    def __init__(self, claims: Claims, race: turns.Race, sizes: Sizes, name: str, calls: int):
        self._claims, self._race, self._sizes = claims, race, sizes
        self._name, self._calls = name, calls
        self.sides: dict[str, turns.Side] = {}

    def add(self, side: str, make: turns.Make, arguments: tuple) -> None:
        """Adds a side, measures all sides in turns, and claims their speeds beside eager PyTorch."""
        try:
            self.sides[side] = self._race.add(make, arguments)
        except (EOFError, ConnectionError):
            error = "the process of this side ended; the log says why"
            self._claims.add(self._name, side=side, error=error)
            return
        if len(self.sides) == 1:
            return
        self._race.take_turns(self._sizes.turns, self._calls)
        eager, batch = self.sides.get("eager"), self._sizes.batch
        self._claims.add(
            self._name,
            batch=batch,
            device=self.sides[side].device,
            turns=self._sizes.turns,
            images_per_second={
                key: round(batch / value.median, 1) for key, value in self.sides.items()
            },
            over_eager={
                key: round(turns.median_ratio(eager, value), 3)
                for key, value in self.sides.items()
                if eager and key != "eager"
            },
        )


def claim_training(claims: Claims, options: argparse.Namespace, sizes: Sizes) -> None:
    """Claims the speed of a training step and of a scanned epoch beside PyTorch, eager and compiled.

    Between them it claims which share of the limit of the hardware step and epoch reach.
    """
    setting = (options.model, sizes.batch, options.precision, sizes.steps)
    with turns.Race() as race:
        comparison = Comparison(claims, race, sizes, "training", calls=1)
        comparison.add("step", train_step.make_ours, setting)
        comparison.add("eager", train_step.make_torch, setting)
        comparison.add("epoch", train_step.make_epoch, setting)
        _claim_share_of_roof(claims, setting[:3], comparison.sides)
        comparison.add("compiled", train_step.make_torch_compiled, setting)


def _claim_share_of_roof(claims: Claims, setting: tuple, sides: dict[str, turns.Side]) -> None:
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool:
        limit = pool.submit(roof.measure_roof, *setting).result()
    claims.add(
        "share of the roof",
        batch=setting[1],
        gigaflops=round(limit.flops / 1e9, 3),
        gigabytes=round(limit.bytes / 1e9, 3),
        peak_teraflops=round(limit.peak_flops / 1e12, 2),
        peak_gigabytes_per_second=round(limit.peak_bytes / 1e9, 1),
        bound_by=limit.binding,
        roof_images_per_second=round(setting[1] / limit.seconds, 1),
        share={
            key: round(limit.seconds / sides[key].median, 3)
            for key in ("step", "epoch")
            if key in sides and sides[key].seconds
        },
    )


def claim_scoring(claims: Claims, options: argparse.Namespace, sizes: Sizes) -> None:
    """Claims the speed of the scorer beside PyTorch."""
    setting = (options.model, sizes.batch, options.precision)
    with turns.Race() as race:
        comparison = Comparison(claims, race, sizes, "scoring", sizes.steps)
        comparison.add("ours", scoring.make_ours, setting)
        comparison.add("eager", scoring.make_torch, setting)


def claim_extraction(claims: Claims, options: argparse.Namespace, sizes: Sizes) -> None:
    """Claims the speed of features beside PyTorch, eager and compiled."""
    cores = 1 if options.tiny else len(os.sched_getaffinity(0))
    setting = (sizes.feature_size, sizes.batch, cores)
    precision = options.precision
    with turns.Race() as race:
        comparison = Comparison(claims, race, sizes, "extraction", sizes.steps)
        comparison.add("ours", features.make_ours, (*setting, precision))
        comparison.add("eager", features.make_torch, (*setting, False, precision))
        comparison.add("compiled", features.make_torch, (*setting, False, precision, True))


def claim_tests(claims: Claims, options: argparse.Namespace, sizes: Sizes) -> None:
    """Claims how many tests of training pass on this device, also if they do not finish in time."""
    command = [
        sys.executable, "-m", "pytest", "-v", "-n0", "-p", "no:cacheprovider", "-p", "gpu_tests",
        *sizes.tests,
    ]  # fmt: skip
    path = os.pathsep.join(filter(None, [str(_PLUGIN.parent), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            cwd=models.ROOT,
            env=os.environ | {"PYTHONPATH": path},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            process.wait(options.limit)
            status = str(process.returncode)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = f"stopped after {options.limit} s"
        output.seek(0)
        text = output.read()
    print(text[-6000:], file=sys.stderr)
    claims.add("tests", tests=list(sizes.tests), status=status, **count_outcomes(text))


def count_outcomes(text: str) -> dict[str, object]:
    """Counts the outcomes in the output of `pytest -v`, and names the tests that did not pass.

    Args:
        text: output, also of a run that was stopped.
    """
    outcomes = re.findall(r"^(\S+::.*?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b", text, re.M)
    counts = {
        outcome.lower(): sum(found == outcome for _, found in outcomes)
        for outcome in ("PASSED", "FAILED", "ERROR", "SKIPPED")
    }
    not_passed = [test for test, outcome in outcomes if outcome in ("FAILED", "ERROR")]
    device = re.search(r"^gpu_tests: (.*)$", text, re.M)
    return counts | {"not_passed": not_passed, "device": device[1] if device else "unknown"}


PARTS: dict[str, Callable[[Claims, argparse.Namespace, Sizes], None]] = {
    "environment": claim_environment,
    "train": claim_training,
    "scoring": claim_scoring,
    "extraction": claim_extraction,
    "tests": claim_tests,
}


def main() -> None:
    """Measures one part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="file of the claims")
    parser.add_argument("--model", choices=("kvasir", "features"), default="kvasir")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--limit", type=float, default=60, help="seconds that the tests may take")
    parser.add_argument("--tiny", action="store_true", help="a few small steps")
    options = parser.parse_args()
    labels = {
        "train": {"model": options.model, "precision": options.precision},
        "scoring": {"model": options.model, "precision": options.precision},
        "extraction": {"precision": options.precision},
    }.get(options.part, {})
    claims = Claims(options.out, labels | ({"tiny": True} if options.tiny else {}))
    PARTS[options.part](claims, options, _TINY if options.tiny else _FULL)


if __name__ == "__main__":
    main()
