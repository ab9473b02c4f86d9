"""Observers: functions from images to observations, and a key that says which function it is.

B batch, H W image, C channels.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import ml_collections
from jaxtyping import Array, Float, UInt8

from vae_jax.data.batches import to_unit
from vae_jax.observation import bands, features
from vae_jax.observation.weights import Weights, load_weights

# Changes when an observer computes other values, so that stored observations are computed again.
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Observer:
    """A function from images to arrays.

    Attributes:
        name: name of the observation.
        key: text that differs between two observers if they compute different values.
        batch_size: number of images per call.
        compute: uint8 images [B, H, W, C] -> name of an array -> float16 array with B rows.
        weights: the weights of its network; None if it has none.
    """

    name: str
    key: str
    batch_size: int
    compute: Callable[[UInt8[Array, "B H W C"]], dict[str, Float[Array, "B ..."]]]
    weights: Weights | None = None


def make_observers(
    model_config: ml_collections.ConfigDict, weights: Weights | None = None
) -> list[Observer]:
    """Returns one observer for each observation of the model except pixels.

    Args:
        model_config: the `model` group of the config.
        weights: weights of the feature network; None loads those that `model.feature_weights` names.

    Raises:
        UserError: if the weights of the feature network are missing or damaged.
    """
    makers: dict[str, Callable[[], Observer]] = {
        "features": lambda: _make_feature_observer(
            model_config, weights or load_weights(model_config.feature_weights)
        ),
        "bands": lambda: _make_band_observer(model_config),
    }
    return [makers[name]() for name in model_config.observations if name in makers]


def _make_feature_observer(model_config: ml_collections.ConfigDict, weights: Weights) -> Observer:
    size, grid = model_config.feature_size, model_config.grid

    @jax.jit
    def compute(params, images):
        o, pooled = features.compute_features(params, to_unit(images), size, grid)
        return {"features": o.astype(jnp.float16), "pooled": pooled.astype(jnp.float16)}

    return Observer(
        name="features",
        key=_hash(("features", _VERSION, size, grid, weights.digest)),
        batch_size=max(1, 16 * 224**2 // size**2),
        compute=lambda images: compute(weights.params, images),
        weights=weights,
    )


def _make_band_observer(model_config: ml_collections.ConfigDict) -> Observer:
    size = model_config.band_size

    @jax.jit
    def compute(images):
        return {"bands": bands.compute_bands(to_unit(images), size).astype(jnp.float16)}

    return Observer("bands", _hash(("bands", _VERSION, size)), 64, compute)


def _hash(parts: Sequence[object]) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
