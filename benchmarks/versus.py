"""What the scripts share that compare this package with PyTorch on one setting of a model."""

import argparse
import json
from collections.abc import Mapping

import models
import turns


def make_parser(doc: str, steps: int, steps_help: str) -> argparse.ArgumentParser:
    """Returns a parser with the flags of a setting.

    Args:
        doc: docstring of the script.
        steps: default of `--steps`, the number of steps per turn.
        steps_help: help text of `--steps`.
    """
    parser = turns.make_parser(doc)
    parser.add_argument("--model", choices=models.MODELS, default="kvasir")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--steps", type=int, default=steps, help=steps_help)
    return parser


def compare_sides(
    options: argparse.Namespace, makes: Mapping[str, turns.Make]
) -> dict[str, turns.Side]:
    """Measures one setting, prints one line per side, and returns the sides by name.

    Args:
        options: values of the flags.
        makes: name of a side -> function that makes its work from model, batch size and precision. The
            names "ours" and "PyTorch" are required.
    """
    turns.warn_if_unreliable(options.turns)
    setting = (options.model, options.batch, options.precision)
    measured = turns.measure_sides(
        [(make, setting) for make in makes.values()], options.turns, options.steps
    )
    sides = dict(zip(makes, measured, strict=True))
    turns.print_sides(sides, options.batch)
    return sides


def print_json(options: argparse.Namespace, sides: Mapping[str, turns.Side]) -> None:
    """Prints the last line, one JSON object that compares this package with eager PyTorch."""
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
                "ratio": round(turns.median_ratio(torch, ours), 3),
            }
        )
    )
