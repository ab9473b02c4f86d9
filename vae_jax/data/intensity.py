"""How the stored values of an image become grey levels in [0, 1]: `data.intensity`.

N images.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float, Int64

from vae_jax.errors import UserError
from vae_jax.field_syntax import split_intensity

# Columns of `Examples.stored_levels`.
LOWEST, HIGHEST, TYPE_MAX, IS_REDUCED = range(4)
# Row of `Examples.stored_levels` for an image with 8 bits, whose values are not measured.
EIGHT_BITS = (0, 255, 255, 0)

_MIN_SHARE = 1 / 4  # of the range of the type, which deeper images must use


@dataclasses.dataclass(frozen=True)
class Intensity:
    """The map from stored values to grey levels; it is the same for every image of a run.

    Attributes:
        kind: full (from 0 to the largest value of the type) | window | percentile.
        low: stored value that becomes black; for a percentile the share of values below it, percent.
        high: stored value that becomes white; for a percentile the share of values below it, percent.
    """

    kind: str = "full"
    low: int | float = 0
    high: int | float = 0

    @property
    def key(self) -> str:
        """Part of a file name; different maps have different keys."""
        return (
            "full" if self.kind == "full" else f"{self.kind}{_spell(self.low)},{_spell(self.high)}"
        )

    def map_values(
        self, values: Float[np.ndarray, "*shape"], type_max: int
    ) -> Float[np.ndarray, "*shape"]:
        """Returns grey levels in [0, 255], which are not rounded.

        Args:
            values: stored values.
            type_max: largest value of the type in which they are stored.

        Raises:
            ValueError: if percentiles have not become a window yet.
        """
        if self.kind == "percentile":
            raise ValueError("percentiles must become a window before an image is decoded")
        low, high = (0, type_max) if self.kind == "full" else (self.low, self.high)
        return 255 * np.clip((values - low) / (high - low), 0, 1)


FULL = Intensity()


def parse_intensity(text: str) -> Intensity:
    """Returns the map that `data.intensity` names; the text is checked by `split_intensity`."""
    return Intensity(*split_intensity(text))


class Histogram:
    """Counts of stored values, over all images that have been added."""

    def __init__(self) -> None:
        self._values, self._counts = np.empty(0, np.int64), np.empty(0, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Adds the stored values of one image."""
        values, counts = np.unique(values, return_counts=True)
        merged, places = np.unique(
            np.concatenate([self._values, values.astype(np.int64)]), return_inverse=True
        )
        self._counts = np.bincount(
            places, np.concatenate([self._counts, counts]), len(merged)
        ).astype(np.int64)
        self._values = merged

    def find_window(self, percentiles: Intensity) -> Intensity:
        """Returns the window between two percentiles of the values.

        Raises:
            UserError: if both percentiles are the same value.
        """
        ranks = np.cumsum(self._counts)
        places = [
            np.searchsorted(ranks, max(1, math.ceil(share / 100 * ranks[-1])))
            for share in (percentiles.low, percentiles.high)
        ]
        low, high = self._values[places].tolist()
        if low == high:
            raise UserError(
                f"data.intensity={_spell_intensity(percentiles)}: both percentiles of the training images "
                f"are the value {low}; choose percentiles that are further apart"
            )
        return Intensity("window", low, high)


def check_levels(
    levels: Int64[np.ndarray, "N 4"],
    train_levels: Int64[np.ndarray, "M 4"],
    intensity: Intensity,
    dataset: str,
) -> None:
    """Checks that the grey levels of images with more than 8 bits do not collapse into a few.

    Args:
        levels: `Examples.stored_levels` of all images.
        train_levels: those of the training images, which alone decide whether the range fits.
        intensity: the map from stored values to grey levels.
        dataset: name of the dataset, for messages.

    Raises:
        UserError: if the training images use less than a quarter of the range of their type, lie outside
            the window, or the window has another meaning for some of the images.
    """
    deep = levels[:, TYPE_MAX] > 255
    if not deep.any():
        return
    reduced = levels[:, IS_REDUCED] > 0
    if intensity.kind != "full":
        if reduced.any():
            raise UserError(
                f"{dataset}: {reduced.sum()} images have colours with 16 bits per channel, of which only "
                f"the upper 8 can be read, so data.intensity={_spell_intensity(intensity)} cannot work; "
                "store them with 8 bits per channel or as grey images with 16 bits, or set "
                "data.intensity=full"
            )
        if len(np.unique(levels[:, TYPE_MAX])) > 1:
            raise UserError(
                f"{dataset}: {deep.sum()} of {len(levels)} images have more than 8 bits, and the types "
                f"of the images differ, so data.intensity={_spell_intensity(intensity)} means another "
                "brightness for some of them; store all images with the same number of bits, or set "
                "data.intensity=full"
            )
    train_levels = train_levels[train_levels[:, TYPE_MAX] > 255]
    if not len(train_levels):
        return
    lowest, highest = train_levels[:, LOWEST].min(), train_levels[:, HIGHEST].max()
    if intensity.kind == "window":
        if highest <= intensity.low or lowest >= intensity.high:
            raise UserError(
                f"{dataset}: the training images have values from {lowest} to {highest}, all of which are "
                f"outside data.intensity={_spell_intensity(intensity)}; set another window"
            )
        return
    share = (train_levels[:, HIGHEST] / train_levels[:, TYPE_MAX]).max()
    if share >= _MIN_SHARE and lowest >= 0:
        return
    problem = (
        f"the training images have more than 8 bits, and their largest value is {highest}, "
        f"{100 * share:.2g} % of the range of their type ({train_levels[:, TYPE_MAX].max()})"
        if lowest >= 0
        else f"the training images have negative values, down to {lowest}"
    )
    if (train_levels[:, IS_REDUCED] > 0).any():
        advice = (
            "store colours with 8 bits per channel, because only the upper 8 of 16 bits can be read"
        )
    else:
        advice = (
            f"say which values are black and white with --config.data.intensity=window:{min(lowest, 0)},"
            f"{highest} (fixed; take the range of your sensor, for example 0,1023 for 10 bits), or with "
            "--config.data.intensity=percentile:0.1,99.9 (of the training images)"
        )
    raise UserError(f"{dataset}: {problem}, so few grey levels would be left; {advice}")


def _spell_intensity(intensity: Intensity) -> str:
    return f"{intensity.kind}:{_spell(intensity.low)},{_spell(intensity.high)}"


def _spell(number: int | float) -> str:
    return f"{number:.12g}"  # exact for whole numbers of 32 bits
