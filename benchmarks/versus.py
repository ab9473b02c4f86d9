"""One setting of a model, ours held against PyTorch's: what the scripts that compare the two share."""

import argparse
import json
from collections.abc import Mapping

import models
import turns


def flags(doc: str, steps: int, what: str) -> argparse.ArgumentParser:
    """Returns a parser that knows which setting to measure.

    Args:
        doc: of the script.
        steps: in one turn, unless the flag says otherwise.
        what: the help of that flag.
    """
    parser = turns.flags(doc)
    parser.add_argument("--model", choices=models.MODELS, default="kvasir")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--steps", type=int, default=steps, help=what)
    return parser


def compare(options: argparse.Namespace, makes: Mapping[str, turns.Make]) -> dict[str, turns.Side]:
    """Measures one setting, prints a line a side, and returns the sides.

    Args:
        options: as the parser found them.
        makes: by name, "ours" and "PyTorch" among them, of a model, a batch and a precision.
    """
    turns.warn(options.turns)
    setting = (options.model, options.batch, options.precision)
    measured = turns.measure(
        [(make, setting) for make in makes.values()], options.turns, options.steps
    )
    sides = dict(zip(makes, measured, strict=True))
    turns.show(sides, options.batch)
    return sides


def conclude(options: argparse.Namespace, sides: Mapping[str, turns.Side]) -> None:
    """Prints the last line, one JSON object: ours against PyTorch's eager one."""
    ours, torch = sides["ours"], sides["PyTorch"]
    print(
        json.dumps(
            {
                "model": options.model,
                "batch": options.batch,
                "precision": options.precision,
                "device": ours.device,
                "ours_images_per_second": round(options.batch / ours.median, 1),
                "torch_images_per_second": round(options.batch / torch.median, 1),
                "ratio": round(turns.ratio(torch, ours), 3),
            }
        )
    )
