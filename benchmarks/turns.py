"""Sides measured in turns.

Each lives in a process of its own, so that neither's threads nor memory touch another's.
"""

import argparse
import dataclasses
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

LEAST_TURNS = 7  # behind a median that is to be quoted


class Work(NamedTuple):
    """What is timed.

    Attributes:
        call: makes some steps, to their end.
        device: that it runs on.
        steps: that one call makes.
    """

    call: Callable[[], object]
    device: str
    steps: int = 1


Make = Callable[..., Work]  # called in the side's own process


@dataclasses.dataclass(frozen=True)
class Side:
    """One side's times: seconds of a step, one a turn."""

    device: str
    seconds: list[float]

    @property
    def median(self) -> float:
        """Seconds of a step."""
        return statistics.median(self.seconds)


def flags(description: str, turns: int = 9) -> argparse.ArgumentParser:
    """Returns a parser that knows `--turns`."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument(
        "--turns", type=int, default=turns, help=f"of each side; quote no less than {LEAST_TURNS}"
    )
    return parser


def warn(turns: int) -> None:
    """Says what speaks against quoting what is about to be measured."""
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"warning: the machine is busy (load {load:.1f}); quote nothing of this")
    if turns < LEAST_TURNS:
        print(f"warning: {turns} turns; a median wants at least {LEAST_TURNS}")


def measure(
    sides: Sequence[tuple[Make, tuple]], turns: int, calls: int = 1, warm_up: int = 3
) -> list[Side]:
    """Lets the sides take turns.

    Args:
        sides: what makes each, with its arguments; both are sent to another process.
        turns: of each side.
        calls: in one turn.
        warm_up: calls of each side before the first turn.
    """
    spawn = multiprocessing.get_context("spawn")
    processes, pipes, found = [], [], []
    try:
        for make, arguments in sides:
            here, there = spawn.Pipe()
            pipes.append(here)
            processes.append(spawn.Process(target=_serve, args=(there, make, arguments, warm_up)))
            processes[-1].start()
            there.close()  # so that a side that dies ends the wait for it
            found.append(Side(here.recv(), []))
        for _ in range(turns):
            for pipe, side in zip(pipes, found, strict=True):
                pipe.send(calls)
                side.seconds.append(pipe.recv())
    finally:
        for pipe, process in zip(pipes, processes, strict=True):
            pipe.close()  # ends the side
            process.join()
    return found


def _serve(pipe, make: Make, arguments: tuple, warm_up: int) -> None:
    work = make(*arguments)
    for _ in range(warm_up):
        work.call()
    pipe.send(work.device)
    while True:
        try:
            calls = pipe.recv()
        except EOFError:  # all is measured
            return
        start = time.perf_counter()
        for _ in range(calls):
            work.call()
        pipe.send((time.perf_counter() - start) / (calls * work.steps))


def ratio(over: Side, under: Side) -> float:
    """Median over the pairs of turns of one side's seconds by the other's."""
    return statistics.median(a / b for a, b in zip(over.seconds, under.seconds, strict=True))


def show(sides: dict[str, Side], images: int) -> None:
    """Prints a line a side.

    Args:
        sides: by name.
        images: that a step sees.
    """
    print(f"{'':14} {'images/s':>10} {'fastest ms':>11} {'slowest ms':>11}")
    for name, side in sides.items():
        fastest, slowest = 1e3 * min(side.seconds), 1e3 * max(side.seconds)
        print(f"{name:14} {images / side.median:10.1f} {fastest:11.1f} {slowest:11.1f}")
