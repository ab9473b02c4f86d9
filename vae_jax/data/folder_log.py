"""What the log says about images: their labels, what is out of view, and how they were read."""

import collections
import logging

import ml_collections
import numpy as np

from vae_jax.data.examples import NO_LABEL, Examples
from vae_jax.data.intensity import (
    BLACK,
    KIND,
    OPAQUE,
    REDUCED,
    SHAPE,
    TRANSPARENCY,
    WHITE,
    WINDOWED,
)

_log = logging.getLogger(__name__)


def log_labels(examples: Examples, dataset: str) -> None:
    """Logs which classes of the user's own images are normal, abnormal or not used."""
    for label, meaning in ((0, "normal"), (1, "abnormal"), (NO_LABEL, "not used")):
        counts = collections.Counter(np.array(examples.classes)[examples.labels == label].tolist())
        if counts:
            listed = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
            _log.info("%s: %s: %s", dataset, meaning, listed)


def log_cropping(examples: Examples, data_config: ml_collections.ConfigDict) -> None:
    """Logs how much of the user's own images the model does not see because they are not square."""
    short, long = np.sort(examples.stored_size[:, :2]).T
    if data_config.framing == "crop" and (short < long).any():
        _log.info(
            "%s: %d of %d images are not square; the model sees their centre, on average %.0f %% of the "
            "longer side; data.framing=stretch or pad shows them whole",
            data_config.dataset, (short < long).sum(), len(short),
            100 * np.mean(data_config.crop * short / long),
        )  # fmt: skip


def log_stored_values(examples: Examples, data_config: ml_collections.ConfigDict) -> None:
    """Logs how images were read whose values or transparency do not say by themselves how to read them."""
    levels, dataset = examples.stored_levels, data_config.dataset
    transparent = levels[:, TRANSPARENCY] != OPAQUE
    if transparent.any():
        _log.info(
            "%s: %d of %d images have transparent pixels, which are %s (data.background)",
            dataset, transparent.sum(), len(levels), data_config.background,
        )  # fmt: skip
    shapes = np.flatnonzero(levels[:, TRANSPARENCY] == SHAPE)
    if len(shapes):
        _log.warning(
            "%s: the pixels of %d images are either opaque or fully transparent, so that they show a "
            "shape, for example in %s; it is treated as transparency on %s, not as a mask; if it is a "
            "mask, store it as a file of its own below a folder ground_truth",
            dataset, len(shapes), examples.files[shapes[0]], data_config.background,
        )  # fmt: skip
    reduced = (levels[:, KIND] == REDUCED).sum()
    if reduced:
        _log.info(
            "%s: %d images have 16 bits per channel, of which the upper 8 are read",
            dataset,
            reduced,
        )
    windows = np.unique(levels[levels[:, KIND] == WINDOWED][:, [BLACK, WHITE]], axis=0)
    if len(windows) > 1 and data_config.intensity == "full":
        _log.warning(
            "%s: the medical files have %d different windows, so equal values have different grey levels; "
            "--config.data.intensity=window:LOW,HIGH gives all of them the same window",
            dataset, len(windows),
        )  # fmt: skip
