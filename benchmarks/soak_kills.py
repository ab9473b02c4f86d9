"""Kills of the soak: a process is killed in the middle of a phase, and the same command is given again."""

import pathlib
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

from soak_runs import ABLATION_FIELDS, FIELDS, Runs, finish, list_checkpoints

PHASES = ("preparation", "training", "saving", "evaluation", "prediction", "ablation")
_TRIES = 5  # a process may end before its kill; then another one is killed


class Killer:
    """Trials with a kill.

    Args:
        runs: the runs without a fault.
        rng: source of all random choices.
    """

    def __init__(self, runs: Runs, rng: random.Random):
        self._runs, self._rng, self._count = runs, rng, 0

    def kill(self, phase: str) -> Callable[[], tuple[str, str]]:
        """Returns the trial that kills a process in a phase; it returns outcome and loss."""
        self._count += 1
        turn = self._count + self._count // len(PHASES)  # each phase gets both signals
        number = signal.SIGTERM if turn % 3 == 0 else signal.SIGKILL

        def trial() -> tuple[str, str]:
            for _ in range(_TRIES):
                killed, loss = self._kill_once(phase, number)
                if killed or loss:
                    break
            outcome = f"{number.name}, then the same numbers" if killed else "never killed in time"
            return outcome, loss or ("" if killed else outcome)

        return trial

    def _kill_once(self, phase: str, number: signal.Signals) -> tuple[bool, str]:
        """Kills one process and makes its run again; returns whether it was killed, and the loss."""
        runs = self._runs
        workdir, data = runs.make_folder(), None
        flags: tuple[str, ...] = FIELDS
        if phase == "preparation":
            data = runs.make_folder()
        elif phase == "prediction":
            flags = runs.predict_into(workdir)
        elif phase == "ablation":
            flags = ABLATION_FIELDS
        run = runs.reference if phase == "prediction" else workdir
        process = runs.start(run, *flags, data=data)
        self._wait_for_phase(phase, process, workdir, data)
        killed = process.poll() is None
        if killed:
            process.send_signal(number)
        status, err = finish(process)
        if status not in (0, -number, 143) or "Traceback" in err:
            return killed, f"the killed start ended with {status}: {err[-500:]}"
        killed = killed and status != 0
        status, err = finish(runs.start(run, *flags, data=data))
        if status:
            return killed, f"the next start ended with {status}: {err[-500:]}"
        if phase == "prediction":
            return killed, self._compare_predictions(workdir)
        if data is not None:
            left = list(data.rglob("incomplete.*"))
            if left:
                return killed, f"an incomplete preparation was left: {left}"
            shutil.rmtree(data)
        compare = runs.compare_ablation if phase == "ablation" else runs.compare
        return killed, compare(workdir)

    def _wait_for_phase(
        self,
        phase: str,
        process: subprocess.Popen,
        workdir: pathlib.Path,
        data: pathlib.Path | None,
    ) -> None:
        """Waits until the phase has begun, and for a random time within it."""
        runs, draw = self._runs, self._rng.uniform
        if phase == "ablation":
            self._wait(process, 0.2 * runs.ablation_seconds, lambda: False)
            time.sleep(draw(0, 0.7) * runs.ablation_seconds)
        elif phase == "preparation":
            self._wait(process, 600, lambda: data.is_dir() and any(data.rglob("incomplete.*")))
            time.sleep(draw(0, 0.3))
        elif phase == "training":
            metrics = workdir / "metrics.jsonl"
            self._wait(process, 600, lambda: metrics.exists() and metrics.stat().st_size > 0)
            time.sleep(draw(0, 0.1) * runs.seconds)
        elif phase == "saving":
            folder, skipped = workdir / "checkpoints", self._rng.randrange(4)

            def is_saving() -> bool:
                whole = len(list_checkpoints(workdir)) >= min(skipped, 2)
                return whole and folder.is_dir() and any(folder.glob("*tmp*"))

            self._wait(process, 600, is_saving)
            time.sleep(draw(0, 0.05))
        elif phase == "evaluation":
            last = max(int(path.name) for path in list_checkpoints(runs.reference))
            self._wait(process, 600, (workdir / f"checkpoints/{last}").is_dir)
            time.sleep(draw(0, 0.4) * runs.seconds)
        else:
            self._wait(process, 600, lambda: workdir.is_dir() and any(workdir.iterdir()))
            time.sleep(draw(0, 0.1) * runs.seconds)

    @staticmethod
    def _wait(process: subprocess.Popen, seconds: float, begun: Callable[[], bool]) -> None:
        """Waits until `begun` says so, the process has ended or the time is over."""
        end = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < end:
            try:
                if begun():
                    return
            except OSError:  # a folder may vanish while it is listed
                pass
            time.sleep(0.001)

    def _compare_predictions(self, output: pathlib.Path) -> str:
        name = "predictions.csv"
        if (output / name).read_bytes() != (self._runs.predictions / name).read_bytes():
            return f"{output} holds other predictions"
        shutil.rmtree(output)
        return ""
