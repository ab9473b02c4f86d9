"""One setting of a model, ours held against PyTorch's: what the scripts that compare the two share."""

import json
from collections.abc import Callable

import models
import turns


def compare(doc: str, make_ours: Callable, make_torch: Callable, steps: int, what: str) -> None:
    """Measures one setting and prints it, the last line as one JSON object.

    Args:
        doc: of the script.
        make_ours: (model, batch, precision) -> a step and the device that it runs on.
        make_torch: the same of PyTorch.
        steps: in one turn, unless the flag says otherwise.
        what: the help of that flag.
    """
    parser = turns.flags(doc)
    parser.add_argument("--model", choices=models.MODELS, default="kvasir")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--steps", type=int, default=steps, help=what)
    options = parser.parse_args()
    turns.warn(options.turns)
    setting = (options.model, options.batch, options.precision)
    ours, torch = turns.measure(
        [(make_ours, setting), (make_torch, setting)], options.turns, options.steps
    )
    turns.show({"ours": ours, "PyTorch": torch}, options.batch)
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
