"""Loads folders of images, each with one file of `mutations.py`, in the process that runs this script.

    echo '[0, 1, 2]' | python benchmarks/damaged_trials.py --files=2000 --seed=0 --max-mib=2048

The numbers of the files come from stdin. One JSON object for each trial goes to stdout, and the log to
stderr. `damaged_files.py` runs this script in child processes.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import sys
import tempfile
import time

import mutations
import numpy as np
import pictures

_NUM_SOUND = 30  # sound normal images in each folder
_MASK_EVERY = 8  # of the files, one is a mask
FIELDS = {
    "dataset": "folder", "image_size": 32, "channels": 3, "normal_classes": ("good",),
    "anomaly_classes": (), "val_fraction": 0.2, "calibration_fraction": 0.2, "test_fraction": 0.2,
}  # fmt: skip


def write_folder(folder: pathlib.Path) -> None:
    """Writes sound images of two classes."""
    rng = np.random.default_rng(0)
    for name in [*(f"good/{i}" for i in range(_NUM_SOUND)), "bad/sound"]:
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pictures.encode(pictures.make_picture(rng)))


def make_rng(seed: int, index: int) -> np.random.Generator:
    """Returns the generator that decides everything about one file."""
    return np.random.default_rng([seed, index])


def write_file(folder: pathlib.Path, seed: int, index: int, kind: str) -> tuple[str, str]:
    """Writes one file of a kind into `bad`, or as the mask of a sound image that is written there too.

    Returns:
        The name of the image, and the part of the file's name that is the same in every spelling.
    """
    rng = make_rng(seed, index)
    stem = f"file{index:05}"
    write = mutations.KINDS[kind]
    if not is_mask(index, kind):
        return f"bad/{write(rng, folder / 'bad', stem).name}", stem
    masks = folder / "ground_truth/bad"
    masks.mkdir(parents=True, exist_ok=True)
    write(rng, masks, f"{stem}_mask")
    (folder / f"bad/{stem}.png").write_bytes(pictures.encode(pictures.make_picture(rng)))
    return f"bad/{stem}.png", stem


def is_mask(index: int, kind: str) -> bool:
    """Returns whether a file is a mask; those with unusual names are images."""
    return index % _MASK_EVERY == 0 and not kind.startswith("name")


def run_trials(seed: int, num_files: int, indices: list[int], max_mib: int) -> None:
    """Loads the folder of each file without and with `skip_corrupt`, and prints one JSON object each."""
    import logging

    from vae_jax import config as config_lib
    from vae_jax.main import set_up_logging

    resource.setrlimit(resource.RLIMIT_AS, (max_mib * 2**20 * 2, max_mib * 2**20 * 2))
    set_up_logging(logging.INFO)
    kinds = mutations.draw_kinds(num_files)
    with tempfile.TemporaryDirectory() as temporary:
        sound = pathlib.Path(temporary, "sound")
        write_folder(sound)
        for index in indices:
            folder = pathlib.Path(temporary, "images")
            shutil.copytree(sound, folder, copy_function=os.link)
            _, stem = write_file(folder, seed, index, kinds[index])
            data_config = config_lib.default().data
            data_config.update(FIELDS | {"manual_dir": str(folder)})
            for skip in (False, True):
                data_config.dir, data_config.skip_corrupt = f"{temporary}/prepared", skip
                result = {"index": index, "kind": kinds[index], "skip": skip}
                result |= _load(data_config, stem)
                print(json.dumps(result), flush=True)
                shutil.rmtree(data_config.dir, ignore_errors=True)
            shutil.rmtree(folder)


def _load(data_config, stem: str) -> dict:
    """Loads a folder; returns the outcome, the message, the seconds and the peak memory in MiB."""
    import traceback

    from vae_jax.data import pipeline
    from vae_jax.errors import UserError
    from vae_jax.runtime.printable import make_printable

    pathlib.Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    start = time.perf_counter()
    try:
        dataset = pipeline.load_dataset(data_config, 0)
    except UserError as error:
        outcome, message = "refused", make_printable(str(error))
    except Exception:
        outcome, message = "crashed", traceback.format_exc()
    else:
        is_read = any(stem in file for file in dataset.test.files)
        outcome, message = "read" if is_read else "skipped", ""
    peak = re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1]
    seconds = time.perf_counter() - start
    return {"outcome": outcome, "message": message, "seconds": seconds, "mib": int(peak) // 1024}


def main() -> None:
    """Runs the trials of the files whose numbers are on stdin."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for flag in ("--seed", "--files", "--max-mib"):
        parser.add_argument(flag, type=int, required=True)
    arguments = parser.parse_args()
    run_trials(arguments.seed, arguments.files, json.load(sys.stdin), arguments.max_mib)


if __name__ == "__main__":
    main()
