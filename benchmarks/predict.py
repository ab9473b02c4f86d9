"""Measures how fast --mode=predict reads, scores and writes, and whether its memory stays constant.

    python benchmarks/predict.py --workdir=RUN --images=DIR [--count=2000] [--kills=3] [--turns=3]

RUN is an evaluated run, and DIR a folder of images. A folder of --count links to them is predicted:

- in turns: decoding alone, scoring alone, and the whole prediction, on up to 1,000 images, in this process,
  after compilation. The prediction should be at least 0.9 times as fast as the slower of the two.
- alone: the real command, once without a stop. Its speed includes the compilation.
- killed: the same with --kills SIGKILLs at equal shares of the images. The table must be equal to that of
  the undisturbed prediction.

Where decoding and scoring use the same processors, as on a machine without a GPU, no program is faster than
the sum of their processor times. `possible_share` is what this leaves of the speed of the slower one. The
peak of the memory of both commands is printed. The last line is one JSON object.
"""

import argparse
import collections
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
from vae_jax.predict import predict_images
from vae_jax.prediction_request import PredictionRequest


def main() -> None:
    """Runs the benchmark and prints its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        link_images(arguments.images, folder / "input", arguments.count)
        figures = measure_parts(arguments.workdir, folder / "input", arguments.turns)
        start = time.perf_counter()
        whole = predict(arguments.workdir, folder / "input", folder / "whole")
        summary = json.loads((folder / "whole" / "summary.json").read_text())
        figures |= {
            "images": summary["images"],
            "command_images_per_second": summary["images_per_second"],
            "command_seconds": time.perf_counter() - start,
            "peak_mib": whole,
        }
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


def measure_parts(workdir: pathlib.Path, folder: pathlib.Path, turns: int) -> dict[str, float]:
    """Measures decoding, scoring and predicting in turns, on at most 1,000 images, in images per second."""
    detector = Detector.load(workdir)
    preprocessing, step = detector.parts.preprocessing, detector.scorer.step
    sources = list(itertools.islice(list_inputs([str(folder)]), 1000))
    decoded = [image.crops for image in stream.decode_sources(sources, preprocessing, step)]
    pixels = np.concatenate([crops.images for crops in decoded])
    detector.scorer.score(pixels[:step])  # compiles

    def decode():
        collections.deque(stream.decode_sources(sources, preprocessing, step), maxlen=0)

    def score():
        for first in range(0, len(pixels), step):
            detector.scorer.score(pixels[first : first + step])

    def predict_all():
        with tempfile.TemporaryDirectory() as name:
            request = PredictionRequest(workdir, (), pathlib.Path(name), {})
            predict_images(iter(sources), request, detector)

    seconds = collections.defaultdict(float)
    processor = collections.defaultdict(float)
    for _ in range(turns):
        for part in (decode, score, predict_all):
            start = time.perf_counter(), time.process_time()
            part()
            seconds[part] += time.perf_counter() - start[0]
            processor[part] += time.process_time() - start[1]
    count = turns * len(sources)
    costs = processor[decode], processor[score]
    return {
        "decode_images_per_second": count / seconds[decode],
        "score_images_per_second": count / seconds[score],
        "predict_images_per_second": count / seconds[predict_all],
        "share_of_the_slower": max(seconds[decode], seconds[score]) / seconds[predict_all],
        "possible_share": max(costs) / sum(costs),
        "other_processor_seconds_per_1000": 1000 * (processor[predict_all] - sum(costs)) / count,
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
