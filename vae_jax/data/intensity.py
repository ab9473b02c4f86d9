"""How the stored values of an image become grey levels in [0, 1]: `data.intensity`.

N images.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float, Float64

from vae_jax.errors import UserError
from vae_jax.field_syntax import split_intensity

# Columns of `Examples.stored_levels`: lowest and highest value; the values that are black and white with
# `full`; what the values are; transparency.
LOWEST, HIGHEST, BLACK, WHITE, KIND, TRANSPARENCY = range(6)
# What the values are: as they are stored; the upper 8 of 16 bits, because no more can be read; rescaled by
# a medical file; rescaled by a medical file that asks for a window.
WHOLE, REDUCED, RESCALED, WINDOWED = range(4)
# Transparency: none; of some pixels; each pixel is transparent or opaque, so it shows a shape.
OPAQUE, TRANSPARENT, SHAPE = range(3)
# Row of `Examples.stored_levels` for an opaque image with 8 bits, whose values are not measured.
EIGHT_BITS = (0, 255, 0, 255, WHOLE, OPAQUE)

_MIN_SHARE = 1 / 4  # of the range, which the values of images that are deeper than 8 bits must use
_SIGNIFICANT_BITS = 12  # of a fraction in a histogram


@dataclasses.dataclass(frozen=True)
class Intensity:
    """The map from stored values to grey levels; it is the same for every image of a run.

    Attributes:
        kind: full (the range of the type; of a medical file its window, if it has one) | window |
            percentile | own (the range of each image, if it has more than 8 bits; only to compare images).
        low: stored value that becomes black; for a percentile the share of values below it, percent.
        high: stored value that becomes white; for a percentile the share of values below it, percent.
    """

    kind: str = "full"
    low: int | float = 0
    high: int | float = 0

    @property
    def key(self) -> str:
        """Part of a file name; different maps have different keys."""
        if self.kind in ("full", "own"):
            return self.kind
        return f"{self.kind}{_spell(self.low)},{_spell(self.high)}"

    def map_values(
        self, values: Float[np.ndarray, "*shape"], black: int | float, white: int | float
    ) -> Float[np.ndarray, "*shape"]:
        """Returns grey levels in [0, 255], which are not rounded.

        Args:
            values: stored values.
            black: value that becomes black with `full`; it is above `white` in an image in which low values
                are bright, and not a number in an image without a range.
            white: value that becomes white with `full`.

        Raises:
            UserError: if the image has no range, and none is given.
            ValueError: if percentiles have not become a window yet.
        """
        if self.kind == "percentile":
            raise ValueError("percentiles must become a window before an image is decoded")
        if self.kind == "full" and math.isnan(black):
            raise UserError(
                f"the values of an image are fractions from {values.min():g} to {values.max():g}, and its "
                "file does not say which of them are black and white; say so with "
                "--config.data.intensity=window:LOW,HIGH or percentile:0.1,99.9"
            )
        if self.kind == "window" or (self.kind == "own" and white - black != 255):
            low, high = self.low, self.high
            if self.kind == "own":
                low, high = values.min(), max(values.max(), np.nextafter(values.min(), np.inf))
            black, white = (high, low) if black > white else (low, high)
        return 255 * np.clip((values - black) / (white - black), 0, 1)


FULL = Intensity()
OWN_RANGE = Intensity("own")


def parse_intensity(text: str) -> Intensity:
    """Returns the map that `data.intensity` names; the text is checked by `split_intensity`."""
    return Intensity(*split_intensity(text))


class Histogram:
    """Counts of stored values, over all images that have been added.

    Whole numbers are counted exactly. Fractions are rounded to 12 significant bits first, so that the
    number of different values, and with it the memory, stays small.
    """

    def __init__(self) -> None:
        self._values, self._counts = np.empty(0), np.empty(0, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Adds the stored values of one image."""
        values = values.astype(np.float64)
        if (values != np.rint(values)).any():
            fractions, exponents = np.frexp(values)
            scale = 2**_SIGNIFICANT_BITS
            values = np.ldexp(np.rint(fractions * scale) / scale, exponents)
        values, counts = np.unique(values, return_counts=True)
        merged, places = np.unique(np.concatenate([self._values, values]), return_inverse=True)
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
                f"are the value {low:g}; choose percentiles that are further apart"
            )
        return Intensity("window", low, high)


def check_levels(
    levels: Float64[np.ndarray, "N 6"],
    train_levels: Float64[np.ndarray, "M 6"],
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
        UserError: if the training images use less than a quarter of their range, lie outside the window, or
            the window has another meaning for some of the images.
    """
    if not _is_measured(levels).any():
        return
    if intensity.kind != "full":
        _check_units(levels, intensity, dataset)
    train_levels = train_levels[_is_measured(train_levels)]
    if not len(train_levels):
        return
    lowest, highest = train_levels[:, LOWEST].min(), train_levels[:, HIGHEST].max()
    if intensity.kind != "window":
        _check_share(train_levels, lowest, highest, dataset)
    elif highest <= intensity.low or lowest >= intensity.high:
        raise UserError(
            f"{dataset}: the training images have values from {_spell(lowest)} to {_spell(highest)}, all "
            f"of which are outside data.intensity={_spell_intensity(intensity)}; set another window"
        )


def _is_measured(levels: Float64[np.ndarray, "N 6"]) -> Bool[np.ndarray, "N"]:
    """Returns which images have another range than 8 bits."""
    return (levels[:, WHITE] > 255) | (levels[:, KIND] >= RESCALED)


def _check_units(levels: Float64[np.ndarray, "N 6"], intensity: Intensity, dataset: str) -> None:
    """Refuses one window for values that mean different things."""
    reduced = levels[:, KIND] == REDUCED
    if reduced.any():
        raise UserError(
            f"{dataset}: {reduced.sum()} images have colours with 16 bits per channel, of which only "
            f"the upper 8 can be read, so data.intensity={_spell_intensity(intensity)} cannot work; "
            "store them with 8 bits per channel or as grey images with 16 bits, or set "
            "data.intensity=full"
        )
    # Rescaled values, for example Hounsfield units, do not depend on the number of bits.
    units = np.where(levels[:, KIND] >= RESCALED, -1, levels[:, WHITE])
    if len(np.unique(units)) > 1:
        count = _is_measured(levels).sum()
        raise UserError(
            f"{dataset}: {count} of {len(levels)} images have more than 8 bits, and the types of the "
            f"images differ, so data.intensity={_spell_intensity(intensity)} means another "
            "brightness for some of them; store all images with the same number of bits, or set "
            "data.intensity=full"
        )


def _check_share(
    levels: Float64[np.ndarray, "N 6"], lowest: float, highest: float, dataset: str
) -> None:
    """Refuses images whose values use a small share of the range that `full` maps to grey levels."""
    rescaled = levels[:, KIND] >= RESCALED
    black, white = np.sort(levels[:, [BLACK, WHITE]], axis=1).T
    used = np.clip(levels[:, HIGHEST], black, white)
    used -= np.where(rescaled, np.clip(levels[:, LOWEST], black, white), black)
    shares = used / (white - black)
    share, negative = shares.max(), lowest < 0 and not rescaled.all()
    if share >= _MIN_SHARE and not negative:
        return
    row = shares.argmax()
    if negative:
        problem = f"the training images have negative values, down to {_spell(lowest)}"
    elif rescaled[row]:
        problem = (
            f"the training images have values from {_spell(lowest)} to {_spell(highest)}, "
            f"{100 * share:.2g} % of the range of the files ({_spell(black[row])} to {_spell(white[row])})"
        )
    else:
        problem = (
            f"the training images have more than 8 bits, and their largest value is {_spell(highest)}, "
            f"{100 * share:.2g} % of the range of their type ({_spell(white.max())})"
        )
    if (levels[:, KIND] == REDUCED).any():
        advice = (
            "store colours with 8 bits per channel, because only the upper 8 of 16 bits can be read"
        )
    else:
        example = (
            "for example -160,240 for soft tissue in CT"
            if rescaled[row]
            else "take the range of your sensor, for example 0,1023 for 10 bits"
        )
        advice = (
            "say which values are black and white with --config.data.intensity="
            f"window:{_spell(min(lowest, 0))},{_spell(highest)} (fixed; {example}), or with "
            "--config.data.intensity=percentile:0.1,99.9 (of the training images)"
        )
    raise UserError(f"{dataset}: {problem}, so few grey levels would be left; {advice}")


def _spell_intensity(intensity: Intensity) -> str:
    return f"{intensity.kind}:{_spell(intensity.low)},{_spell(intensity.high)}"


def _spell(number: int | float) -> str:
    return f"{number:.12g}"  # exact for whole numbers of 32 bits
