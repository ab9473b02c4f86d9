"""Seconds from the command to what the user waits for: help, a refusal, the first training step.

    python benchmarks/startup.py

Every command is a fresh process, timed from outside. The first step is that of the embedded default, read
off its progress bar, which moves after each step (`train.steps_per_call=1`). It is measured with data still
to be prepared, with data prepared, and with the programs of an earlier start in `--jax_cache_dir`. The last
line is one JSON object.
"""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable

import models
import turns

_MAIN = [sys.executable, "-m", "vae_jax.main"]
# The bar of training, with images behind it.
_MOVED = re.compile(rb"training:[^\r\n]* [1-9]\d*/\d+ ")


def finished(command: list[str], status: int = 0) -> float:
    """Returns the seconds that a command takes to its end."""
    start = time.perf_counter()
    found = subprocess.run(command, cwd=models.ROOT, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if found.returncode != status:
        raise RuntimeError(f"{' '.join(command)} ended with {found.returncode}: {found.stderr}")
    return seconds


def imported() -> float:
    """Returns the seconds of `import vae_jax` alone, without the interpreter's own start."""
    code = "import time; t = time.perf_counter(); import vae_jax; print(time.perf_counter() - t)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=models.ROOT, capture_output=True, text=True, check=True
    )
    return float(found.stdout)


def first_step(data_dir: pathlib.Path, cache_dir: pathlib.Path | None = None) -> float:
    """Returns the seconds from the command to the end of its first training step."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*_MAIN, f"--workdir={folder}", f"--config.data.dir={data_dir}"]
        command += ["--config.train.steps_per_call=1"]
        command += [f"--jax_cache_dir={cache_dir}"] if cache_dir else []
        # On a terminal the bar is written as it moves; in a file, every ten seconds.
        here, terminal = os.openpty()
        termios.tcsetwinsize(terminal, (24, 120))
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=models.ROOT, stdout=subprocess.DEVNULL, stderr=terminal
        )
        os.close(terminal)
        written = b""
        try:
            while not _MOVED.search(written):
                written += os.read(here, 4096)
        except OSError as error:  # the command has ended
            raise RuntimeError(f"{' '.join(command)} made no step: {written.decode()}") from error
        finally:
            seconds = time.perf_counter() - start
            process.kill()
            process.wait()
            os.close(here)
    return seconds


def main() -> None:
    """Measures every start and prints it."""
    parser = turns.flags(__doc__, turns=7)
    options = parser.parse_args()
    turns.warn(options.turns)
    with tempfile.TemporaryDirectory() as folder:
        data_dir, cache_dir = pathlib.Path(folder, "data"), pathlib.Path(folder, "programs")
        unprepared = first_step(data_dir)
        cold = first_step(data_dir, cache_dir)  # fills the cache
        starts: dict[str, Callable[[], float]] = {
            "interpreter": lambda: finished([sys.executable, "-c", "pass"]),
            "help": lambda: finished([*_MAIN, "--help"]),
            "refusal": lambda: finished([*_MAIN, "--config.model.latent_dims=2"], status=2),
            "import": imported,
            "first_step": lambda: first_step(data_dir),
            "first_step_cached": lambda: first_step(data_dir, cache_dir),
        }
        seconds: dict[str, list[float]] = {name: [] for name in starts}
        for _ in range(options.turns):
            for name, start in starts.items():
                seconds[name].append(start())
    found = {name: statistics.median(times) for name, times in seconds.items()}
    print(f"{'':24} {'seconds':>8} {'fastest':>8} {'slowest':>8}")
    for name, times in seconds.items():
        print(f"{name:24} {found[name]:8.2f} {min(times):8.2f} {max(times):8.2f}")
    found |= {"first_step_unprepared": unprepared, "first_step_filling_cache": cold}
    print(f"{'first_step_unprepared':24} {unprepared:8.2f}  once, with the data still to prepare")
    print(f"{'first_step_filling_cache':24} {cold:8.2f}  once, with the cache still empty")
    print(json.dumps({f"{name}_seconds": round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    main()
