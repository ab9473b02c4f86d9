"""Runs the program step after step, several chains of steps at a time; finished steps are not repeated."""

import concurrent.futures
import dataclasses
import os
import pathlib
import queue
import subprocess
import sys
import time
from collections.abc import Sequence

CONFIGS = pathlib.Path(__file__).resolve().parents[1] / "configs"

# The file that a mode writes last. An ablation writes its page after every cell and skips finished cells
# itself, so it always runs.
_LAST_FILES = {"train": "report.html", "explore": "explore.html"}


@dataclasses.dataclass(frozen=True)
class Step:
    """One call of the program.

    Attributes:
        runs: folder of the workdirs and of the logs, RUNS/WORKDIR.MODE.log.
        workdir: name of the workdir.
        arguments: arguments of the program, without the workdir.
    """

    runs: pathlib.Path
    workdir: str
    arguments: Sequence[str]

    @property
    def mode(self) -> str:
        """Value of `--mode`."""
        flags = (a.removeprefix("--mode=") for a in self.arguments if a.startswith("--mode="))
        return next(flags, "train")

    def run(self, cores: set[int]) -> bool:
        """Runs the step on these cores unless it is finished; returns whether it is finished now."""
        last_file = _LAST_FILES.get(self.mode)
        if last_file and (self.runs / self.workdir / last_file).exists():
            print(f"{self.workdir}, {self.mode}: finished earlier", flush=True)
            return True
        workdir = f"--workdir={self.runs / self.workdir}"
        command = [sys.executable, "-m", "vae_jax.main", workdir, *self.arguments]
        self.runs.mkdir(parents=True, exist_ok=True)
        log = self.runs / f"{self.workdir.partition('/')[0]}.{self.mode}.log"
        # This limits only this thread; the process that it starts inherits the limit.
        os.sched_setaffinity(0, cores)
        started = time.perf_counter()
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
            _, status, used = os.wait4(process.pid, 0)
            # Otherwise Popen would wait for it again.
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds, processor = time.perf_counter() - started, used.ru_utime + used.ru_stime
        times = f"{seconds:.0f} s, processor {processor:.0f} s"
        failed = f", FAILED: see {log}" if status else ""
        print(f"{self.workdir}, {self.mode}: {times}{failed}", flush=True)
        return status == 0


def run_chains(chains: Sequence[Sequence[Step]], jobs: int) -> bool:
    """Runs chains of steps, `jobs` chains at a time; a chain ends with the first step that fails.

    Args:
        chains: steps that depend on the earlier ones of their chain.
        jobs: number of chains at a time; each runs on its share of the cores.

    Returns:
        Whether all steps are finished.
    """
    shares = _divide_cores(jobs)

    def run(chain: Sequence[Step]) -> bool:
        cores = shares.get()
        try:
            return all(step.run(cores) for step in chain)
        finally:
            shares.put(cores)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return all(list(pool.map(run, chains)))


def _divide_cores(jobs: int) -> "queue.Queue[set[int]]":
    """Returns one set of cores per job, from the cores that this process may use."""
    cores = sorted(os.sched_getaffinity(0))
    shares: queue.Queue[set[int]] = queue.Queue()
    for job in range(jobs):
        shares.put(set(cores[job::jobs]) or set(cores))
    return shares
