"""Runs `main` as one of several processes, and records which images the process reads.

`python one_of_several.py RECORD FLAG...` trains and evaluates, and writes to RECORD, as JSON, the rows that
were read in every call: role -> one list of rows per call. The first process does not draw the page of the
report, which takes longer than all the rest.
"""

import json
import pathlib
import sys

import numpy as np

from vae_jax import main
from vae_jax.data import pipeline
from vae_jax.report.evaluation import page

_ROLES = ("train", "val", "calibration", "test")


def _record_rows(images: np.ndarray, calls: list[list[int]]) -> np.ndarray:
    """Returns the images as an array that appends the rows of every access to `calls`."""

    class Recorded(np.ndarray):
        def __getitem__(self, rows):
            if self.shape == images.shape:  # a reshaped array has been read before
                calls.append(np.unique(np.arange(len(images))[rows]).tolist())
            return np.asarray(self)[rows]

    return images.view(Recorded)


def _record_datasets(calls: dict[str, list[list[int]]]) -> None:
    load = pipeline.load_dataset

    def load_recorded(data, seed):
        dataset = load(data, seed)
        for role in _ROLES:
            examples = getattr(dataset, role)
            object.__setattr__(examples, "images", _record_rows(examples.images, calls[role]))
        return dataset

    pipeline.load_dataset = load_recorded


if __name__ == "__main__":
    calls = {role: [] for role in _ROLES}
    _record_datasets(calls)
    page.write_page = lambda workdir, *_: workdir / "report.html"
    status = main.main(["main", *sys.argv[2:]])
    pathlib.Path(sys.argv[1]).write_text(json.dumps(calls))
    sys.exit(status)
