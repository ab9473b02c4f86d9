"""The main job as one of several processes, on images that record which of them are read.

`python one_of_several.py RECORD FLAG...` trains the first epoch, goes on from its checkpoint, evaluates,
and writes to RECORD which rows of each role were asked for, call by call.
"""

import json
import pathlib
import sys

import numpy as np

from vae_jax import main, train
from vae_jax.data import pipeline

_ROLES = ("train", "val", "calibration", "test")


def _recorded(images: np.ndarray, asked: list[list[int]]) -> np.ndarray:
    class Recorded(np.ndarray):
        def __getitem__(self, rows):
            if self.shape == images.shape:  # what is made of it, as by reshape, is read already
                asked.append(np.unique(np.arange(len(images))[rows]).tolist())
            return np.asarray(self)[rows]

    return images.view(Recorded)


def _record(asked: dict[str, list[list[int]]]) -> None:
    load = pipeline.load_dataset

    def load_recorded(data, seed):
        dataset = load(data, seed)
        for role in _ROLES:
            examples = getattr(dataset, role)
            object.__setattr__(examples, "images", _recorded(examples.images, asked[role]))
        return dataset

    pipeline.load_dataset = load_recorded


def _train_in_two_parts() -> None:
    whole = train.train

    def in_parts(config, workdir, dataset):
        first = config.copy_and_resolve_references()
        first.train.epochs = 1
        whole(first, workdir, dataset)
        return whole(config, workdir, dataset)

    train.train = in_parts


if __name__ == "__main__":
    asked = {role: [] for role in _ROLES}
    _record(asked)
    _train_in_two_parts()
    status = main.main(["main", *sys.argv[2:]])
    pathlib.Path(sys.argv[1]).write_text(json.dumps(asked))
    sys.exit(status)
