"""Seconds that a start spends on looking at 8,000 images that have been prepared, and have not changed.

    python benchmarks/second_start.py --images=8000

The images are small files in the folders of two classes. Each start is a process of its own; it measures
its calls and not its imports. The first start prepares the images, so it reads and copies every file. The
index of digests remembers a file only two seconds after its last change, so the second start may read files
again; the aim of less than 2 s is for the slowest of the third to the last start. Processor seconds are
printed beside the seconds of the clock, because they depend less on other work on the same cores. The last
line is one JSON object.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import pictures
import turns

AIM_SECONDS = 2


def look(folder: str, data_dir: str) -> dict[str, float]:
    """Measures one start: what `main` does before it starts JAX, and what training does after it."""
    from vae_jax import config as config_lib
    from vae_jax.data import pipeline
    from vae_jax.data.prepare import list_folders_once

    data_config = config_lib.default().data
    data_config.update({"dataset": "folder", "manual_dir": folder, "dir": data_dir})
    data_config.update({"image_size": 32, "channels": 3})
    data_config.update({"normal_classes": ("good",), "anomaly_classes": ()})
    with list_folders_once():
        start, used = time.perf_counter(), time.process_time()
        pipeline.prepare_datasets(data_config)
        prepared, used_by_looking = time.perf_counter(), time.process_time() - used
        pipeline.load_dataset(data_config, 0)
        loaded = time.perf_counter()
    return {"look": prepared - start, "processor": used_by_looking, "load": loaded - prepared}


def write_images(folder: pathlib.Path, num_images: int) -> None:
    """Writes small JPEGs; one in ten is abnormal."""
    rng = np.random.default_rng(0)
    for name in ("good", "bad"):
        (folder / name).mkdir(parents=True)
    for i in range(num_images):
        path = folder / ("bad" if i % 10 == 0 else "good") / f"{i:05}.jpg"
        path.write_bytes(pictures.encode(pictures.make_picture(rng, side=48), "JPEG"))


def main() -> None:
    """Writes the images, starts several times, and prints the seconds of each start."""
    parser = turns.make_parser(__doc__, turns=5)
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--start", nargs=2, metavar=("FOLDER", "DIR"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.start:
        print(json.dumps(look(*arguments.start)))
        return
    turns.warn_if_unreliable(turns.MIN_TURNS)
    starts = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary, "images")
        write_images(folder, arguments.images)
        command = [sys.executable, __file__, "--start", str(folder), f"{temporary}/prepared"]
        for number in range(1, arguments.turns + 3):
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            starts.append(json.loads(done.stdout))
            print(f"start {number}: {starts[-1]['look']:.2f} s of looking "
                  f"({starts[-1]['processor']:.2f} s of a processor), "
                  f"{starts[-1]['load']:.2f} s until the images are in memory")  # fmt: skip
    summary = {"images": arguments.images, "starts": starts}
    for measure in ("look", "processor"):
        summary[f"slowest_{measure}"] = max(start[measure] for start in starts[2:])
    print(json.dumps(summary | {"reached": summary["slowest_look"] < AIM_SECONDS}))


if __name__ == "__main__":
    main()
