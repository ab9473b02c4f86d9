"""The commands of the soak, and the runs without a fault that its trials are compared with."""

import csv
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from PIL import Image

ROOT = pathlib.Path(__file__).parents[1]
FIELDS = (
    "--config.model.widths=(4,8)",
    "--config.scoring.bootstrap_resamples=100",
    "--config.scoring.names=(mse,elbo,knn,fusion)",
    "--config.train.epochs=6",
    "--config.train.epochs_per_checkpoint=1",
)
ABLATION_FIELDS = (
    *FIELDS,
    "--mode=ablate",
    "--config.train.epochs=2",
    "--config.ablate.seeds=(0,)",
    '--config.ablate.factors=("objective.beta=1,4",)',
)
NUM_IMAGES = 600  # that are predicted
_TIMES = ("images_per_second", "seconds", "train_seconds", "peak_memory_bytes")


class Runs:
    """A run, a stopped run, an ablation and a prediction of the digits, made without a fault.

    Args:
        folder: folder of all files.
    """

    def __init__(self, folder: pathlib.Path):
        self._folder, self._count = folder, 0
        self.images = folder / "images"
        self.images.mkdir()
        for i in range(NUM_IMAGES):
            (self.images / f"{i:04}.png").write_bytes(make_png())
        self.reference = folder / "reference"
        self._make(self.reference, *FIELDS)  # this one compiles the programs, so it is slower
        repeated = folder / "repeated"
        begin = time.monotonic()
        self._make(repeated, *FIELDS)
        self.seconds = time.monotonic() - begin
        loss = self.compare(repeated)
        if loss:
            raise RuntimeError(f"two runs without a fault differ: {loss}")
        self.ablation = folder / "ablation"
        begin = time.monotonic()
        self._make(self.ablation, *ABLATION_FIELDS)
        self.ablation_seconds = time.monotonic() - begin
        self.predictions = folder / "predictions"
        self._make(self.reference, *self.predict_into(self.predictions))
        self.stopped = folder / "stopped"
        self._stop_before_end()

    def _make(self, workdir: pathlib.Path, *flags: str) -> None:
        status, err = finish(self.start(workdir, *flags))
        if status:
            raise RuntimeError(err)

    def _stop_before_end(self) -> None:
        """Makes the run with two checkpoints, killed before the last epoch."""
        process = self.start(self.stopped, *FIELDS)
        steps = sorted(int(path.name) for path in list_checkpoints(self.reference))
        while process.poll() is None:
            if len(list_checkpoints(self.stopped)) == 2:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.001)
        finish(process)
        reached = [int(path.name) for path in list_checkpoints(self.stopped)]
        if not reached or max(reached) >= max(steps):
            raise RuntimeError(f"the stopped run has the checkpoints {reached} of {steps}")

    def make_folder(self) -> pathlib.Path:
        """Returns a path that does not exist yet."""
        self._count += 1
        return self._folder / f"trial{self._count}"

    def predict_into(self, output: pathlib.Path) -> tuple[str, ...]:
        """Returns the flags that predict the images."""
        return "--mode=predict", f"--input={self.images}", f"--output={output}"

    def start(
        self, workdir: pathlib.Path, *flags: str, data: pathlib.Path | None = None
    ) -> subprocess.Popen:
        """Starts the command on a workdir; prepared data is in `data`, or where all runs have it."""
        arguments = [f"--workdir={workdir}", *flags]
        if "--mode=predict" not in flags:
            arguments.append(f"--config.data.dir={data or self._folder / 'data'}")
        environment = os.environ | {
            "JAX_COMPILATION_CACHE_DIR": str(self._folder / "programs"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PLATFORMS": "cpu",
        }
        return subprocess.Popen(
            [sys.executable, "-m", "vae_jax.main", *arguments],
            cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def compare(self, workdir: pathlib.Path, evaluated_again: bool = False) -> str:
        """Compares a run with the reference and removes it; returns the difference, or ""."""
        if (workdir / "scores.csv").read_bytes() != (self.reference / "scores.csv").read_bytes():
            return f"{workdir} holds other scores"
        if not evaluated_again and read_metrics(workdir) != read_metrics(self.reference):
            return f"{workdir} holds other metrics"
        shutil.rmtree(workdir)
        return ""

    def compare_ablation(self, workdir: pathlib.Path) -> str:
        """Compares an ablation and its cells with the reference; returns the difference, or ""."""
        if read_table(workdir / "ablation.csv") != read_table(self.ablation / "ablation.csv"):
            return f"{workdir} holds another ablation.csv"
        for cell in (self.ablation / "cells").iterdir():
            other = workdir / "cells" / cell.name
            if (other / "scores.csv").read_bytes() != (cell / "scores.csv").read_bytes():
                return f"{other} holds other scores"
            if read_metrics(other) != read_metrics(cell):
                return f"{other} holds other metrics"
        shutil.rmtree(workdir)
        return ""


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Returns the exit status of a process, and what it wrote to stderr."""
    _, err = process.communicate(timeout=900)
    return process.returncode, err


def is_one_line(err: str) -> bool:
    """Returns whether the last line is a refusal, and no traceback stands before it."""
    return "Traceback" not in err and err.strip().splitlines()[-1].startswith("error: ")


def list_checkpoints(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Returns the folders of whole checkpoints."""
    folder = workdir / "checkpoints"
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.name.isdigit() and path.is_dir()]


def read_metrics(workdir: pathlib.Path) -> list[dict]:
    """Returns the metrics without times."""
    lines = (workdir / "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [{key: row[key] for key in row if key not in _TIMES} for row in rows]


def read_table(path: pathlib.Path) -> list[dict]:
    """Returns the rows of ablation.csv without times."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [{key: row[key] for key in row if key not in _TIMES} for row in rows]


def make_png() -> bytes:
    """Returns a small image of noise."""
    stream = io.BytesIO()
    Image.effect_noise((8, 8), 50).save(stream, "png")
    return stream.getvalue()
