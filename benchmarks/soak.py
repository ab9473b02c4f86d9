"""Faults while a run is made, again and again: kills, damaged checkpoints, full disks, two starts at once.

    python benchmarks/soak.py --kills=10 --damages=40 --disks=5

A small run of the digits is made once without a fault. Then:

- kills: a process is killed at a random time of a run or of a prediction (SIGKILL, or SIGTERM, every third
  time), and the same command is given again. The last start must end with status 0 and with the same
  scores and metrics, bit for bit.
- damages: a random bit of a random file of a random checkpoint is flipped, or the file is cut off or
  deleted. `evaluate` must refuse with status 2 and one line, or write the same scores.
- disks: the workdir is on a small file system with a random size (only a superuser can mount one). The
  command must end with status 2 and one line; after the disk has become larger, it must write the same
  scores.
- starts: two starts on one workdir at once. One must end with status 2 and one line, the other with the
  same scores.

The last line is one JSON object: for each kind the number of trials, and how many of them were lost.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]
_FIELDS = ("--config.model.widths=(4,8)", "--config.scoring.bootstrap_resamples=100",
           "--config.train.epochs=6", "--config.train.epochs_per_checkpoint=1")  # fmt: skip
_TIMES = ("images_per_second", "seconds", "peak_memory_bytes")


def start(folder: pathlib.Path, workdir: pathlib.Path, data: str, *flags: str) -> subprocess.Popen:
    """Starts the command on a workdir; prepared data goes to a folder with the name `data`."""
    arguments = [f"--workdir={workdir}", *flags]
    if "--mode=predict" not in flags:
        arguments.append(f"--config.data.dir={folder / data}")
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PLATFORMS": "cpu",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "vae_jax.main", *arguments],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Returns the exit status of a process, and what it wrote to stderr."""
    _, err = process.communicate(timeout=600)
    return process.returncode, err


def is_one_line(err: str) -> bool:
    """Returns whether the last line is a refusal, and no traceback stands before it."""
    return "Traceback" not in err and err.strip().splitlines()[-1].startswith("error: ")


def read_numbers(workdir: pathlib.Path) -> tuple[bytes, list[dict]]:
    """Returns the scores, and the metrics without times."""
    lines = (workdir / "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    rows = [{key: row[key] for key in row if key not in _TIMES} for row in rows]
    return (workdir / "scores.csv").read_bytes(), rows


class Soak:
    """The trials; each method makes one and returns what was lost, or None.

    Args:
        folder: folder of the files.
        rng: source of all random choices.
    """

    def __init__(self, folder: pathlib.Path, rng: random.Random):
        self._folder, self._rng, self._count = folder, rng, 0
        self._reference = folder / "reference"
        start_time = time.monotonic()
        status, err = finish(start(folder, self._reference, "data", *_FIELDS))
        if status:
            raise RuntimeError(err)
        self._seconds = time.monotonic() - start_time
        self._numbers = read_numbers(self._reference)
        self._images = self._folder / "images"
        self._images.mkdir()
        (self._images / "a.png").write_bytes(make_png())

    def _make_workdir(self) -> pathlib.Path:
        self._count += 1
        return self._folder / f"run{self._count}"

    def kill(self) -> str | None:
        """Kills a run up to three times, and makes it again until it ends."""
        workdir = self._make_workdir()
        data = self._rng.choice(["data", f"data{self._count}"])  # a new folder is prepared first
        for _ in range(self._rng.randint(1, 3)):
            process = start(self._folder, workdir, data, *_FIELDS)
            number = self._rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
            try:
                process.wait(self._rng.uniform(0.1, 0.9) * self._seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(number)
            status, err = finish(process)
            if status not in (0, -number, 143) or "Traceback" in err:
                return f"a stopped start ended with {status}: {err[-500:]}"
        status, err = finish(start(self._folder, workdir, data, *_FIELDS))
        if status:
            return f"status {status}: {err[-500:]}"
        if list((self._folder / data).rglob("incomplete.*")):
            return "an incomplete preparation was left"
        return self._compare(workdir)

    def kill_prediction(self) -> str | None:
        """Kills a prediction, and makes it again."""
        output = self._make_workdir()
        flags = ("--mode=predict", f"--input={self._images}", f"--output={output}")
        process = start(self._folder, self._reference, "", *flags)
        time.sleep(self._rng.uniform(0.1, 0.5) * self._seconds)
        process.kill()
        finish(process)
        status, err = finish(start(self._folder, self._reference, "", *flags))
        return None if status == 0 else f"status {status}: {err[-500:]}"

    def _compare(self, workdir: pathlib.Path) -> str | None:
        if read_numbers(workdir) != self._numbers:
            return f"{workdir} holds other numbers"
        shutil.rmtree(workdir)
        return None

    def damage(self) -> str | None:
        """Damages one file of a checkpoint and evaluates."""
        workdir = self._make_workdir()
        shutil.copytree(self._reference, workdir)
        (workdir / "scores.csv").unlink()
        files = [path for path in (workdir / "checkpoints").rglob("*") if path.is_file()]
        path = self._rng.choice(files)
        content = bytearray(path.read_bytes())
        kind = self._rng.choice(["flip", "flip", "flip", "cut", "delete"])
        if kind == "flip":
            content[self._rng.randrange(len(content))] ^= 1 << self._rng.randrange(8)
            path.write_bytes(content)
        elif kind == "cut":
            path.write_bytes(content[: self._rng.randrange(len(content))])
        else:
            path.unlink()
        status, err = finish(start(self._folder, workdir, "data", "--mode=evaluate"))
        self.refused = getattr(self, "refused", 0) + (status == 2)
        if status == 2 and is_one_line(err):
            shutil.rmtree(workdir)
            return None
        return self._compare(workdir) if status == 0 else f"{kind} {path}: {status}: {err[-500:]}"

    def fill_disk(self) -> str | None:
        """Makes a run on a disk that is too small, and again when it is larger."""
        disk = self._make_workdir()
        disk.mkdir()
        size = f"size={self._rng.randint(60, 2500)}k"
        mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)]
        subprocess.run(mount, check=True)
        try:
            status, err = finish(start(self._folder, disk / "run", "data", *_FIELDS))
            if status != 2 or not is_one_line(err):
                return f"{size}: status {status}: {err[-500:]}"
            subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
            status, err = finish(start(self._folder, disk / "run", "data", *_FIELDS))
            return (
                f"{size}: status {status}: {err[-500:]}" if status else self._compare(disk / "run")
            )
        finally:
            subprocess.run(["umount", str(disk)], check=True)

    def start_twice(self) -> str | None:
        """Starts the same command twice at once."""
        workdir = self._make_workdir()
        both = [start(self._folder, workdir, "data", *_FIELDS) for _ in range(2)]
        ends = sorted((finish(process) for process in both), key=lambda end: end[0])
        statuses = [status for status, _ in ends]
        if statuses != [0, 2] or not is_one_line(ends[1][1]):
            return f"status {statuses}: {ends[1][1][-500:]}"
        return self._compare(workdir)


def make_png() -> bytes:
    """Returns a small image."""
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.effect_noise((8, 8), 50).save(stream, "png")
    return stream.getvalue()


def main() -> None:
    """Makes the trials and prints how many were lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--predictions", type=int, default=2)
    parser.add_argument("--damages", type=int, default=40)
    parser.add_argument("--disks", type=int, default=5)
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    report = {}
    with tempfile.TemporaryDirectory(prefix="vae_jax_soak_") as name:
        soak = Soak(pathlib.Path(name), random.Random(arguments.seed))
        trials = {
            "kills": soak.kill,
            "predictions": soak.kill_prediction,
            "damages": soak.damage,
            "disks": soak.fill_disk,
            "starts": soak.start_twice,
        }
        for kind, trial in trials.items():
            losses = []
            for i in range(getattr(arguments, kind)):
                loss = trial()
                print(f"{kind} {i}: {loss or 'kept'}", flush=True)
                losses += [loss] if loss else []
            report[kind] = {"trials": getattr(arguments, kind), "lost": len(losses)}
        report["damages"]["refused"] = getattr(soak, "refused", 0)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
