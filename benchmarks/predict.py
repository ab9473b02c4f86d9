"""Measures how fast --mode=predict reads, scores and writes, and whether its memory stays constant.

    python benchmarks/predict.py --workdir=RUN --images=DIR [--count=2000] [--kills=3]

RUN is an evaluated run, and DIR a folder of images. A folder of --count links to these images is predicted
by the real command, in child processes:

- alone: once without a stop. Its speed is compared with decoding alone and with scoring alone, which are
  measured in this process; it should be at least 0.9 times as fast as the slower of the two.
- killed: the same with --kills SIGKILLs at equal shares of the images. The table must be equal to that of
  the undisturbed prediction.

The peak of the memory of both is printed. The last line is one JSON object.
"""

import argparse
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

from vae_jax import Detector
from vae_jax.detector import stream
from vae_jax.detector.prediction_table import FILE
from vae_jax.detector.sources import list_inputs


def main() -> None:
    """Runs the benchmark and prints its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        link_images(arguments.images, folder / "input", arguments.count)
        figures = measure_parts(arguments.workdir, folder / "input")
        start = time.perf_counter()
        whole = predict(arguments.workdir, folder / "input", folder / "whole")
        summary = json.loads((folder / "whole" / "summary.json").read_text())
        figures |= {
            "images": summary["images"],
            "predict_images_per_second": summary["images_per_second"],
            "command_seconds": time.perf_counter() - start,
            "peak_mib": whole,
        }
        slower = min(figures["decode_images_per_second"], figures["score_images_per_second"])
        figures["share_of_the_slower"] = figures["predict_images_per_second"] / slower
        if arguments.kills:
            figures |= kill_and_compare(arguments, folder)
    for key, value in figures.items():
        print(f"{key:<28} {value:.4g}" if isinstance(value, float) else f"{key:<28} {value}")
    print(json.dumps(figures))


def link_images(source: pathlib.Path, folder: pathlib.Path, count: int) -> None:
    """Makes a folder of `count` links to the images of another folder, in folders of 1,000 links."""
    files = [item.path.resolve() for item in list_inputs([str(source)])]
    for i, file in zip(range(count), itertools.cycle(files), strict=False):
        path = folder / f"{i // 1000:04d}" / f"{i:07d}{file.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(file)


def measure_parts(workdir: pathlib.Path, folder: pathlib.Path) -> dict[str, float]:
    """Measures decoding alone and scoring alone, in images per second, on at most 1,000 images."""
    detector = Detector.load(workdir)
    sources = list(itertools.islice(list_inputs([str(folder)]), 1000))
    decode = stream._decode(sources[:64], detector.parts.preprocessing)
    crops = np.concatenate([image.crops.images for image in decode])
    detector.scorer.score(crops)  # compiles
    start = time.perf_counter()
    decoded = [image.crops for image in stream._decode(sources, detector.parts.preprocessing)]
    decoding = time.perf_counter() - start
    pixels = np.concatenate([crops.images for crops in decoded])
    start = time.perf_counter()
    for first in range(0, len(pixels), detector.scorer.step):
        detector.scorer.score(pixels[first : first + detector.scorer.step])
    scoring = time.perf_counter() - start
    return {
        "decode_images_per_second": len(sources) / decoding,
        "score_images_per_second": len(sources) / scoring,
    }


def start_prediction(workdir: pathlib.Path, source: pathlib.Path, output: pathlib.Path):
    """Starts the command in a child process."""
    command = [sys.executable, "-m", "vae_jax.main", "--mode=predict"]
    flags = [f"--workdir={workdir}", f"--input={source}", f"--output={output}"]
    return subprocess.Popen([*command, *flags], stdout=subprocess.DEVNULL)


def predict(workdir: pathlib.Path, source: pathlib.Path, output: pathlib.Path) -> int:
    """Runs the command to its end and returns the peak of its memory, MiB."""
    process = start_prediction(workdir, source, output)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"the prediction failed with status {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss // 1024


def kill_and_compare(arguments: argparse.Namespace, folder: pathlib.Path) -> dict[str, int]:
    """Predicts with SIGKILLs in between, and compares the table with that of the whole prediction."""
    output = folder / "killed"
    for kill in range(1, arguments.kills + 1):
        process = start_prediction(arguments.workdir, folder / "input", output)
        target = arguments.count * kill // (arguments.kills + 1)
        while process.poll() is None and count_rows(output) < target:
            time.sleep(0.05)
        if process.poll() is not None:
            sys.exit("the prediction ended before it could be killed; raise --count")
        process.kill()
        process.wait()
    peak = predict(arguments.workdir, folder / "input", output)
    summary = json.loads((output / "summary.json").read_text())
    whole, killed = ((folder / name / FILE).read_bytes() for name in ("whole", "killed"))
    shutil.rmtree(output)
    return {
        "kills": arguments.kills,
        "rows": whole.count(b"\n") - 1,
        "tables_equal": int(whole == killed),
        "reused_after_kills": summary["reused"],
        "peak_after_kills_mib": peak,
    }


def count_rows(output: pathlib.Path) -> int:
    """Returns how many rows the table has so far."""
    path = output / FILE
    return path.read_bytes().count(b"\n") - 1 if path.exists() else 0


if __name__ == "__main__":
    main()
