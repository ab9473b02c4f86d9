"""Seconds from the command to its first effect: help, a refusal, the first training step.

    python benchmarks/startup.py

Every command is a new process, timed from outside. The first step is that of the embedded default, whose
progress bar moves after each step (`train.steps_per_call=1`). It is measured with data that is not
prepared yet, with prepared data, and with the programs of an earlier start in `--jax_cache_dir`. The last
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
# The progress bar of training after the first images.
_PROGRESS = re.compile(rb"training:[^\r\n]* [1-9]\d*/\d+ ")


def time_command(command: list[str], status: int = 0) -> float:
    """Returns the seconds until a command ends."""
    start = time.perf_counter()
    process = subprocess.run(command, cwd=models.ROOT, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if process.returncode != status:
        raise RuntimeError(
            f"{' '.join(command)} ended with status {process.returncode}: {process.stderr}"
        )
    return seconds


def time_import() -> float:
    """Returns the seconds of `import vae_jax`, without the start of the interpreter."""
    code = "import time; t = time.perf_counter(); import vae_jax; print(time.perf_counter() - t)"
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=models.ROOT, capture_output=True, text=True, check=True
    )
    return float(process.stdout)


def time_first_step(data_dir: pathlib.Path, cache_dir: pathlib.Path | None = None) -> float:
    """Returns the seconds from the command to the end of its first training step."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*_MAIN, f"--workdir={folder}", f"--config.data.dir={data_dir}"]
        command += ["--config.train.steps_per_call=1"]
        command += [f"--jax_cache_dir={cache_dir}"] if cache_dir else []
        # The bar is written at every move on a terminal, but only every ten seconds to a file.
        reader, terminal = os.openpty()
        termios.tcsetwinsize(terminal, (24, 120))
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=models.ROOT, stdout=subprocess.DEVNULL, stderr=terminal
        )
        os.close(terminal)
        output = b""
        try:
            while not _PROGRESS.search(output):
                output += os.read(reader, 4096)
        except OSError as error:  # the command has ended
            raise RuntimeError(
                f"{' '.join(command)} ended before its first step: {output.decode()}"
            ) from error
        finally:
            seconds = time.perf_counter() - start
            process.kill()
            process.wait()
            os.close(reader)
    return seconds


def main() -> None:
    """Measures and prints every start."""
    parser = turns.make_parser(__doc__, turns=7)
    options = parser.parse_args()
    turns.warn_if_unreliable(options.turns)
    with tempfile.TemporaryDirectory() as folder:
        data_dir, cache_dir = pathlib.Path(folder, "data"), pathlib.Path(folder, "programs")
        unprepared = time_first_step(data_dir)
        cold = time_first_step(data_dir, cache_dir)  # fills the cache
        starts: dict[str, Callable[[], float]] = {
            "interpreter": lambda: time_command([sys.executable, "-c", "pass"]),
            "help": lambda: time_command([*_MAIN, "--help"]),
            "refusal": lambda: time_command([*_MAIN, "--config.model.latent_dims=2"], status=2),
            "import": time_import,
            "first_step": lambda: time_first_step(data_dir),
            "first_step_cached": lambda: time_first_step(data_dir, cache_dir),
        }
        seconds: dict[str, list[float]] = {name: [] for name in starts}
        for _ in range(options.turns):
            for name, start in starts.items():
                seconds[name].append(start())
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print(f"{'':24} {'seconds':>8} {'fastest':>8} {'slowest':>8}")
    for name, times in seconds.items():
        print(f"{name:24} {medians[name]:8.2f} {min(times):8.2f} {max(times):8.2f}")
    medians |= {"first_step_unprepared": unprepared, "first_step_filling_cache": cold}
    print(
        f"{'first_step_unprepared':24} {unprepared:8.2f}  one start, with data that is not prepared yet"
    )
    print(f"{'first_step_filling_cache':24} {cold:8.2f}  one start, with an empty cache")
    print(json.dumps({f"{name}_seconds": round(value, 3) for name, value in medians.items()}))


if __name__ == "__main__":
    main()
