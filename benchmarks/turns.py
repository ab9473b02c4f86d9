"""Measures several sides in turns.

Each side runs in its own process, so that threads and memory of one side do not affect another.
"""

import argparse
import dataclasses
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import NamedTuple

MIN_TURNS = 7  # for a median that is quoted


class Work(NamedTuple):
    """The work of one side that is timed.

    Attributes:
        call: runs the steps and returns after the last one has finished.
        device: name of the device that the work runs on.
        steps: number of steps per call.
    """

    call: Callable[[], object]
    device: str
    steps: int = 1


Make = Callable[..., Work]  # it is called in the process of the side


@dataclasses.dataclass(frozen=True)
class Side:
    """The measured times of one side: the seconds of a step in each turn."""

    device: str
    seconds: list[float]

    @property
    def median(self) -> float:
        """Median seconds of a step."""
        return statistics.median(self.seconds)


def make_parser(description: str, turns: int = 9) -> argparse.ArgumentParser:
    """Returns a parser with the flag `--turns`."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument(
        "--turns",
        type=int,
        default=turns,
        help=f"turns of each side; quote a median of {MIN_TURNS} or more",
    )
    return parser


def warn_if_unreliable(turns: int) -> None:
    """Prints a warning if the machine is busy or if there are too few turns."""
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"warning: the machine is busy (load {load:.1f}); do not quote these figures")
    if turns < MIN_TURNS:
        print(f"warning: {turns} turns; a median needs at least {MIN_TURNS}")


class Race:
    """Sides that are measured in turns; the processes of the sides end with the context.

    Args:
        warm_up: number of calls of each side before its first turn.
    """

    def __init__(self, warm_up: int = 3):
        self._warm_up = warm_up
        self._runners: list[tuple[Side, Connection, SpawnProcess]] = []

    def __enter__(self) -> "Race":
        return self

    def __exit__(self, *exception) -> None:
        for _, pipe, process in self._runners:
            pipe.close()  # this ends the process of the side
            process.join()

    def add(self, make: Make, arguments: tuple) -> Side:
        """Starts a side, waits until it is warm, and returns it; it has no times yet.

        Args:
            make: function that makes the work; it and its arguments are sent to the new process.
            arguments: arguments of the function.

        Raises:
            EOFError: if the process of the side ended before its work was ready.
        """
        spawn = multiprocessing.get_context("spawn")
        pipe, child_pipe = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(child_pipe, make, arguments, self._warm_up))
        process.start()
        child_pipe.close()  # then `recv` fails if the process of the side ends
        try:
            side = Side(pipe.recv(), [])
        except BaseException:
            pipe.close()
            process.join()
            raise
        self._runners.append((side, pipe, process))
        return side

    def take_turns(self, turns: int, calls: int = 1) -> None:
        """Measures all sides in turns; times of earlier turns are forgotten.

        Args:
            turns: number of turns of each side.
            calls: number of calls per turn.
        """
        for side, _, _ in self._runners:
            side.seconds.clear()
        for _ in range(turns):
            for side, pipe, _ in self._runners:
                pipe.send(calls)
                side.seconds.append(pipe.recv())


def measure_sides(
    sides: Sequence[tuple[Make, tuple]], turns: int, calls: int = 1, warm_up: int = 3
) -> list[Side]:
    """Measures the sides in turns.

    Args:
        sides: for each side the function that makes its work, and the arguments of that function. Both are
            sent to another process.
        turns: number of turns of each side.
        calls: number of calls per turn.
        warm_up: number of calls of each side before the first turn.
    """
    with Race(warm_up) as race:
        measured = [race.add(make, arguments) for make, arguments in sides]
        race.take_turns(turns, calls)
    return measured


def _serve(pipe, make: Make, arguments: tuple, warm_up: int) -> None:
    """Runs in the process of a side: answers each number of calls with the seconds of a step."""
    work = make(*arguments)
    for _ in range(warm_up):
        work.call()
    pipe.send(work.device)
    while True:
        try:
            calls = pipe.recv()
        except EOFError:  # the measurement has finished
            return
        start = time.perf_counter()
        for _ in range(calls):
            work.call()
        pipe.send((time.perf_counter() - start) / (calls * work.steps))


def median_ratio(numerator: Side, denominator: Side) -> float:
    """Returns the median over pairs of turns of the ratio of their seconds."""
    return statistics.median(
        a / b for a, b in zip(numerator.seconds, denominator.seconds, strict=True)
    )


def print_sides(sides: dict[str, Side], images: int) -> None:
    """Prints one line per side.

    Args:
        sides: name -> side.
        images: number of images per step.
    """
    print(f"{'':14} {'images/s':>10} {'fastest ms':>11} {'slowest ms':>11}")
    for name, side in sides.items():
        fastest, slowest = 1e3 * min(side.seconds), 1e3 * max(side.seconds)
        print(f"{name:14} {images / side.median:10.1f} {fastest:11.1f} {slowest:11.1f}")
