"""Images whose number of bits differs from what the grey levels of a run were made for."""

from jaxtyping import Float64
from numpy import ndarray

from vae_jax.data.intensity import HIGHEST, KIND, WHITE, WHOLE, Intensity

_MAX_EIGHT_BITS = 255
_MIN_SHARE = 1 / 4  # of the range, which the values of an image with more than 8 bits must use


def has_other_depth(levels: Float64[ndarray, "6"], intensity: Intensity) -> bool:
    """Returns whether an image would be nearly black or white everywhere, because of its number of bits.

    A window of values of 16 bits does not fit an image of 8 bits, and the other way round. Without a
    window, an image of 16 bits that uses a small share of its range does not fit.

    Args:
        levels: a row of `Examples.stored_levels`.
        intensity: the map from stored values to grey levels.
    """
    if levels[KIND] != WHOLE:
        return False
    is_deep = levels[WHITE] > _MAX_EIGHT_BITS
    if intensity.kind == "window":
        return bool(is_deep != (intensity.high > _MAX_EIGHT_BITS))
    return bool(is_deep and levels[HIGHEST] < _MIN_SHARE * levels[WHITE])
