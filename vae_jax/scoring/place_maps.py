"""Maps of places: from one value per place of a grid to one number per image, or to a map of pixels.

A place is a cell of the grid of an observation. `max` and `contrast` look at the highest value of the map
after it was smoothed by one cell, so that a single place does not decide alone.

B batch, N images, h w places, j places that count.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

Region = Bool[np.ndarray, "h w"] | None

_SMOOTHING = 1.0  # standard deviation of the smoothing, places
# Lower limit of the interquartile range, as a share of the largest absolute value of the map. A smaller one
# is a rounding error of a flat map.
_FLAT = 1e-4

_EXACT = jax.lax.Precision.HIGHEST


def average_places(
    maps: Float[Array, "B h w"], share: float, region: Region = None
) -> Float[Array, "B"]:
    """Returns the mean over the places that count. It suits diffuse anomalies; `share` is not used."""
    del share
    return jnp.mean(_select(maps, region), axis=1)


def find_highest(
    maps: Float[Array, "B h w"], share: float, region: Region = None
) -> Float[Array, "B"]:
    """Returns the highest value of the smoothed map. It suits small anomalies; `share` is not used."""
    del share
    return jnp.max(_select(smooth_maps(maps, region), region), axis=1)


def average_highest_places(
    maps: Float[Array, "B h w"], share: float, region: Region = None
) -> Float[Array, "B"]:
    """Returns the mean of the highest values of the map; their share of the places is `share`."""
    places = _select(maps, region)
    highest, _ = jax.lax.top_k(places, max(1, round(share * places.shape[1])))
    return jnp.mean(highest, axis=1)


def measure_contrast(
    maps: Float[Array, "B h w"], share: float, region: Region = None
) -> Float[Array, "B"]:
    """Returns how far the highest value of the smoothed map is above the median of the same map.

    (highest - median) / interquartile range, so it does not depend on the level of the map: on a texture,
    light and material differ from piece to piece and move the whole map. Elsewhere it is harmful, because
    an anomaly that fills the image raises the median, too. `share` is not used.
    """
    del share
    return compare_highest(_select(smooth_maps(maps, region), region))


def compare_highest(places: Float[Array, "B j"]) -> Float[Array, "B"]:
    """Returns (highest - median) / interquartile range of the places of each image."""
    quarter, median, three_quarters = jnp.quantile(places, jnp.array([0.25, 0.5, 0.75]), axis=1)
    lowest_range = _FLAT * jnp.max(jnp.abs(places), axis=1)
    tiny = jnp.finfo(places.dtype).tiny
    spread = jnp.maximum(jnp.maximum(three_quarters - quarter, lowest_range), tiny)
    return (jnp.max(places, axis=1) - median) / spread


# Name of an aggregate -> function of maps [B, h, w], of `scoring.top_k` and, as a keyword, of the region of
# places that count (None if all count), to one number per image.
GRID_AGGREGATES: dict[str, Callable[..., Float[Array, "B"]]] = {
    "mean": average_places,
    "max": find_highest,
    "top_k": average_highest_places,
    "contrast": measure_contrast,
}


def smooth_maps(maps: Float[Array, "B h w"], region: Region = None) -> Float[Array, "B h w"]:
    """Smooths maps by a Gaussian with a standard deviation of one place.

    Each value is the weighted mean of the places that exist and that count. So neither the edge of the map
    nor a place outside the region changes a value inside it. A place outside the region gets 0.
    """
    _, height, width = maps.shape
    counts = np.ones((height, width), bool) if region is None else region
    rows, columns = _make_weights(height), _make_weights(width)
    weight = rows @ counts @ columns.T
    scale = np.where(counts, 1 / np.where(counts, weight, 1), 0)
    inside = jnp.where(counts[None], maps, 0)
    sums = jnp.einsum(
        "hi,bij,wj->bhw",
        jnp.asarray(rows, maps.dtype),
        inside,
        jnp.asarray(columns, maps.dtype),
        precision=_EXACT,
    )
    return sums * jnp.asarray(scale, maps.dtype)[None]


def upsample_maps(maps: Float[Array, "N h w"], size: int) -> Float[Array, "N size size"]:
    """Enlarges maps of places to maps of size x size pixels, bilinearly.

    A value of a place belongs to the centre of its cell. Beyond the centres of the outer cells the values
    continue without change.
    """
    return jax.image.resize(maps, (maps.shape[0], size, size), "linear")


def _make_weights(length: int) -> Float[np.ndarray, "length length"]:
    """Returns the weight of each place (column) in the smoothed value of each place (row)."""
    places = np.arange(length)
    return np.exp(-0.5 * np.square((places[:, None] - places[None]) / _SMOOTHING))


def _select(maps: Float[Array, "B h w"], region: Region) -> Float[Array, "B j"]:
    """Returns the values of the places that count, in one row per image."""
    places = maps.reshape(maps.shape[0], -1)
    return places if region is None else places[:, np.flatnonzero(region)]
