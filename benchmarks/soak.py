"""Faults while runs are made, again and again: kills, damaged checkpoints, full disks, two starts at once.

    python benchmarks/soak.py --kills=50 --damages=200 --disks=10 --starts=4 --output=soak.jsonl

Small runs of the digits are made once without a fault. Then:

- kills (`soak_kills.py`): a process is killed in the middle of preparation, training, the writing of a
  checkpoint, evaluation, prediction or an ablation, each as often as the others (every third time with
  SIGTERM, otherwise with SIGKILL), and the same command is given again. It must end with status 0 and with
  the numbers of the run without a fault, bit for bit.
- damages: a random bit of a random file of a random checkpoint is flipped, or the file is cut off or
  deleted. Three times of four the run is evaluated: that must be refused with status 2 and one line, or
  give the same scores. Otherwise a run that was stopped before its last epoch continues: that must be
  refused in the same way, or end with the numbers of the run without a fault.
- disks: the workdir is on a small file system with a random size (only a superuser can mount one). The
  command must end with status 2 and one line; after the disk has become larger, it must write the same
  numbers.
- starts: two starts on one workdir at once. One must end with status 2 and one line, the other with the
  same numbers.

The trials come in random order. Each one is written to the file `--output` as soon as it has ended, so the
figures of an interrupted soak are of use; the last line of the output is a table with all of them.
"""

import argparse
import collections
import json
import pathlib
import random
import shutil
import subprocess
import tempfile
import time

from soak_kills import PHASES, Killer
from soak_runs import FIELDS, Runs, finish, is_one_line


class Faults:
    """Trials of faults other than kills; each method makes one and returns what was lost, or "".

    Args:
        runs: the runs without a fault.
        rng: source of all random choices.
    """

    def __init__(self, runs: Runs, rng: random.Random):
        self._runs, self._rng, self._count = runs, rng, 0

    def damage_finished(self) -> tuple[str, str]:
        """Damages one file of a checkpoint of a finished run, and evaluates it."""
        return self._damage(self._runs.reference, "--mode=evaluate")

    def damage_stopped(self) -> tuple[str, str]:
        """Damages one file of a checkpoint of a stopped run, and continues it."""
        return self._damage(self._runs.stopped, *FIELDS)

    def _damage(self, original: pathlib.Path, *flags: str) -> tuple[str, str]:
        workdir = self._runs.make_folder()
        shutil.copytree(original, workdir)
        (workdir / "scores.csv").unlink(missing_ok=True)
        fault = damage_file(workdir / "checkpoints", self._rng)
        status, err = finish(self._runs.start(workdir, *flags))
        if status == 2 and is_one_line(err):
            shutil.rmtree(workdir)
            return "refused", ""
        if status:
            return "", f"{fault}: status {status}: {err[-500:]}"
        loss = self._runs.compare(workdir, evaluated_again="--mode=evaluate" in flags)
        return "same numbers", loss and f"{fault}: {loss}"

    def fill_disk(self) -> tuple[str, str]:
        """Makes a run on a disk that is too small, and again when it is larger."""
        disk = self._runs.make_folder()
        disk.mkdir()
        size = f"size={self._rng.randint(60, 2000)}k"
        mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)]
        subprocess.run(mount, check=True)
        try:
            status, err = finish(self._runs.start(disk / "run", *FIELDS))
            if status == 0:
                return "large enough", self._runs.compare(disk / "run")
            if status != 2 or not is_one_line(err):
                return "", f"{size}: status {status}: {err[-500:]}"
            subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
            status, err = finish(self._runs.start(disk / "run", *FIELDS))
            if status:
                return "", f"{size}, then larger: status {status}: {err[-500:]}"
            return "refused, then continued", self._runs.compare(disk / "run")
        finally:
            subprocess.run(["umount", str(disk)], check=True)

    def start_twice(self) -> tuple[str, str]:
        """Starts the same command twice at once."""
        workdir = self._runs.make_folder()
        both = [self._runs.start(workdir, *FIELDS) for _ in range(2)]
        ends = sorted((finish(process) for process in both), key=lambda end: end[0])
        statuses = [status for status, _ in ends]
        if statuses != [0, 2] or not is_one_line(ends[1][1]):
            return "", f"status {statuses}: {ends[1][1][-500:]}"
        return "one refused", self._runs.compare(workdir)


def damage_file(checkpoints: pathlib.Path, rng: random.Random) -> str:
    """Damages a random file of the checkpoints, and returns what was done."""
    path = rng.choice(sorted(path for path in checkpoints.rglob("*") if path.is_file()))
    content = bytearray(path.read_bytes())
    kind = rng.choice(["flip", "flip", "flip", "cut", "delete"]) if content else "delete"
    if kind == "flip":
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
    elif kind == "cut":
        path.write_bytes(content[: rng.randrange(len(content))])
    else:
        path.unlink()
    return f"{kind} {path.relative_to(checkpoints)}"


def main() -> None:
    """Makes the trials and prints how many were lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--damages", type=int, default=40)
    parser.add_argument("--disks", type=int, default=5)
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("soak.jsonl"))
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="vae_jax_soak_") as name:
        runs = Runs(pathlib.Path(name))
        faults, killer = Faults(runs, rng), Killer(runs, rng)
        phases = (PHASES * arguments.kills)[: arguments.kills]
        trials = [(f"kill: {phase}", killer.kill(phase)) for phase in phases]
        for i in range(arguments.damages):
            stopped = i % 4 == 3
            trial = faults.damage_stopped if stopped else faults.damage_finished
            trials.append((f"damage: {'continued' if stopped else 'evaluated'}", trial))
        trials += [("full disk", faults.fill_disk)] * arguments.disks
        trials += [("two starts", faults.start_twice)] * arguments.starts
        rng.shuffle(trials)
        counts, losses = collections.Counter(), collections.Counter()
        with arguments.output.open("a", encoding="utf-8") as stream:
            for kind, trial in trials:
                begin = time.monotonic()
                outcome, loss = trial()
                counts[kind] += 1
                losses[kind] += bool(loss)
                seconds = round(time.monotonic() - begin, 1)
                row = {"kind": kind, "outcome": outcome, "lost": loss, "seconds": seconds}
                stream.write(json.dumps(row) + "\n")
                stream.flush()
    print(json.dumps({kind: {"trials": counts[kind], "lost": losses[kind]} for kind in counts}))


if __name__ == "__main__":
    main()
