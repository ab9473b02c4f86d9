"""The baselines that may decide, as functions of their stored arrays that JAX can trace.

They compute what `scoring.baselines` computes with NumPy and scikit-learn, from the arrays of
`scoring.stored_baselines.collect_arrays`.

B batch, H W image, C channels, n training normals, F features, h w cells of a grid, K channels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8
from scipy import ndimage

from vae_jax.data.batches import to_unit
from vae_jax.observation.bands import NUM_BANDS, compute_bands
from vae_jax.score_names import FEATURE_BASELINES
from vae_jax.scoring.band_pca import SMOOTHING
from vae_jax.scoring.feature_baselines import RULES
from vae_jax.scoring.nearest import trace_nearest
from vae_jax.scoring.place_gaussian import PlaceGaussian
from vae_jax.scoring.place_maps import GRID_AGGREGATES

Arrays = Mapping[str, Any]  # name -> array, or another such dict

_EXACT = jax.lax.Precision.HIGHEST  # on a GPU, TF32 would choose a wrong neighbour


def score_baselines(
    names: Sequence[str],
    arrays: Arrays,
    images: UInt8[Array, "B H W C"],
    features: Float[Array, "B h w K"] | None,
    region: Bool[np.ndarray, "h w"] | None,
) -> dict[str, Float[Array, "B"]]:
    """Computes the named baselines of each image.

    Args:
        names: names in `score_names.BASELINES`.
        arrays: arrays of these baselines.
        images: images as the model sees them.
        features: their standardised features; None if the model does not observe features.
        region: cells of the features that count; None if all of them do.
    """
    flat = to_unit(images).reshape(images.shape[0], -1)
    scores = {}
    if "pca" in names:
        scores["pca"] = jnp.mean(_square_residuals(arrays["pca"], flat), axis=1)
    if "nearest_neighbour" in names:
        neighbours = to_unit(arrays["nearest_neighbour"]["images"])
        neighbours = neighbours.reshape(neighbours.shape[0], -1)
        distance = trace_nearest(neighbours, flat)
        scores["nearest_neighbour"] = distance / np.float32(np.sqrt(neighbours.shape[1]))
    if "band_energy" in names or "band_pca" in names:
        scores |= _score_bands(names, arrays, compute_bands(to_unit(images), images.shape[1]))
    for name in (name for name in FEATURE_BASELINES if name in names):
        rule, aggregate = name.split("_")
        maps = _measure_places(rule, arrays[rule], features.astype(jnp.float32), region)
        scores[name] = GRID_AGGREGATES[aggregate](maps, 1.0, region)
    return scores


def _score_bands(
    names: Sequence[str], arrays: Arrays, bands: Float[Array, "B h w K"]
) -> dict[str, Float[Array, "B"]]:
    count, _height, _width, _ = bands.shape
    scores = {}
    if "band_energy" in names:
        space = arrays["band_energy"]["space"]
        energies = _standardise(space, bands[..., :NUM_BANDS].reshape(count, -1))
        components = _transform(space["pca"], energies)
        scores["band_energy"] = trace_nearest(arrays["band_energy"]["train"], components)
    if "band_pca" in names:
        space = arrays["band_pca"]
        errors = _square_residuals(space["pca"], _standardise(space, bands.reshape(count, -1)))
        maps = errors.reshape(bands.shape).sum(axis=3)
        scores["band_pca"] = jnp.max(blur_maps(maps, SMOOTHING), axis=(1, 2))
    return scores


def blur_maps(maps: Float[Array, "B h w"], sigma: float) -> Float[Array, "B h w"]:
    """Returns `scipy.ndimage.gaussian_filter` of each map, as two products with matrices."""
    rows, columns = (
        jnp.asarray(ndimage.gaussian_filter1d(np.eye(n), sigma, axis=0), jnp.float32)
        for n in maps.shape[1:]
    )
    return jnp.einsum("hi,bij,wj->bhw", rows, maps, columns, precision=_EXACT)


def _standardise(space: Arrays, features: Float[Array, "B F"]) -> Float[Array, "B F"]:
    return (features - space["mean"][None]) / space["deviation"][None]


def _transform(pca: Arrays, x: Float[Array, "B F"]) -> Float[Array, "B components"]:
    return jnp.matmul(x - pca["mean_"][None], pca["components_"].T, precision=_EXACT)


def _square_residuals(pca: Arrays, x: Float[Array, "B F"]) -> Float[Array, "B F"]:
    """Returns the squared difference of each value and its reconstruction from the components."""
    components = _transform(pca, x)
    back = jnp.matmul(components, pca["components_"], precision=_EXACT) + pca["mean_"][None]
    return jnp.square(x - back)


def _measure_places(
    rule: str, fit: Arrays, o: Float[Array, "B h w K"], region: Bool[np.ndarray, "h w"] | None
) -> Float[Array, "B h w"]:
    """Computes how abnormal each place is, zero outside the region; see `FeatureBaselines`."""
    stored = PlaceGaussian(**fit) if rule == "padim" else fit["memory"]
    if region is None:
        return RULES[rule].measure(stored, o)
    places = np.nonzero(region)
    values = RULES[rule].measure(stored, o[:, *places][:, None])
    maps = jnp.zeros(o.shape[:3], jnp.float32)
    return maps.at[:, *places].set(values[:, 0])
