"""The error of every place, for each measure that has one, and how errors become one number per image.

A place is a pixel, or a cell of a grid of features or bands. `scoring.aggregate` selects how the errors of
all places become one number: `mean`; `max`, the error of the worst place; `top_k`, the mean over the worst
places, for small anomalies, with the share `scoring.top_k`; or `contrast`, how far the worst place is above
the other places of the same image. The name of a score may end in an aggregate of its own. On a grid, maps
are smoothed by one cell before `max` and `contrast`.

With `scoring.samples`, errors are averaged over reconstructions from that many posterior samples.

B batch, H W places, C channels, h w the places that have an error.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.metrics import image_quality
from vae_jax.scoring.place_gaussian import measure_place_distances
from vae_jax.scoring.place_maps import GRID_AGGREGATES, average_highest_places, compare_highest
from vae_jax.scoring.view import View

Errors = Float[Array, "B h w C"]
Raw = Float[Array, "B H W P"]

_MIN_PROBABILITY = 1e-6  # reconstructed values are kept this far from 0 and 1 in the cross-entropy
_MIN_NORM = 1e-6  # a vector that is shorter has no direction


# Name of an aggregate -> function of the errors of pixels and of `scoring.top_k`, to one number per image.
AGGREGATES: dict[str, Callable[[Errors, float], Float[Array, "B"]]] = {
    "mean": lambda errors, share: jnp.mean(errors, axis=(1, 2, 3)),
    "max": lambda errors, share: jnp.max(jnp.mean(errors, axis=3), axis=(1, 2)),
    "top_k": lambda errors, share: average_highest_places(jnp.mean(errors, axis=3), share),
    "contrast": lambda errors, share: compare_highest(
        jnp.mean(errors, axis=3).reshape(len(errors), -1)
    ),
}


def squared_error(view: View, raw: Raw) -> Errors:
    """Squared error of the reconstruction."""
    return jnp.square(view.x - view.compute_mean(raw))


def absolute_error(view: View, raw: Raw) -> Errors:
    """Absolute error of the reconstruction."""
    return jnp.abs(view.x - view.compute_mean(raw))


def cross_entropy(view: View, raw: Raw) -> Errors:
    """Binary cross-entropy of the image and its reconstruction, nats."""
    x_hat = jnp.clip(view.compute_mean(raw), _MIN_PROBABILITY, 1 - _MIN_PROBABILITY)
    return -(view.x * jnp.log(x_hat) + (1 - view.x) * jnp.log1p(-x_hat))


def dissimilarity(view: View, raw: Raw) -> Errors:
    """One minus SSIM of every pixel.

    A pixel near the edge, around which the window does not fit, gets the value of the nearest pixel around
    which it fits.
    """
    inner = 1 - image_quality.ssim_map(view.x, view.compute_mean(raw))
    rows, columns = ((a - b) // 2 for a, b in zip(view.x.shape[1:3], inner.shape[1:3], strict=True))
    return jnp.pad(inner, ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode="edge")


def cosine_distance(view: View, raw: Raw) -> Float[Array, "B H W 1"]:
    """One minus the cosine of the angle between the channels of a place and those of its reconstruction."""
    x, x_hat = view.x, view.compute_mean(raw)
    product = jnp.sum(x * x_hat, axis=3, keepdims=True)
    norms = jnp.linalg.norm(x, axis=3, keepdims=True) * jnp.linalg.norm(
        x_hat, axis=3, keepdims=True
    )
    return 1 - product / jnp.maximum(norms, _MIN_NORM)


def place_nll(view: View, raw: Raw) -> Float[Array, "B H W 1"]:
    """-log p(x | z) of every place, nats, summed over its channels."""
    model = view.bound.model
    log_prob = model.likelihood.log_prob(view.x, raw, model.sigma)
    return -jnp.sum(log_prob, axis=3, keepdims=True)


def place_gaussian(view: View, raw: Raw) -> Float[Array, "B H W 1"]:
    """Squared Mahalanobis distance of the residual of a place from those of training normals.

    The residual is the observation minus its reconstruction. Every place has its own Gaussian over all
    channels; the distance is divided by the number of channels.
    Source: Defard et al. 2021, "PaDiM", there for features, here for what the model leaves unexplained.
    """
    residual = view.x - view.compute_mean(raw)
    return measure_place_distances(view.fits["place_gaussian"], residual)[..., None]


# Measure -> function of the view and of the decoder's output, to the errors of every place.
ERROR_MAPS: dict[str, Callable[[View, Raw], Errors]] = {
    "mse": squared_error,
    "l1": absolute_error,
    "bce": cross_entropy,
    "ssim": dissimilarity,
    "cosine": cosine_distance,
    "place_nll": place_nll,
    "place_gaussian": place_gaussian,
}


def compute_errors(view: View, measure: str) -> Errors:
    """Computes the errors of every place, averaged over the samples of `scoring.samples`."""
    return view.average_over_reconstructions(lambda raw: ERROR_MAPS[measure](view, raw))


def compute_map(view: View, measure: str) -> Float[Array, "B H W"]:
    """Computes the mean error of every place over channels, zero outside the region of interest.

    Its unit is that of the score under `mean`, except for `bce`, which is in nats per value.
    """
    errors = view.bound.model.zero_outside_region(compute_errors(view, measure))
    return jnp.mean(errors, axis=3)


def aggregate_errors(view: View, errors: Errors, aggregate: str = "") -> Float[Array, "B"]:
    """Returns one number per image from the errors in the region of interest.

    Args:
        view: the batch.
        errors: errors of every place.
        aggregate: name in AGGREGATES; "" takes `scoring.aggregate`.
    """
    aggregate = aggregate or view.scoring_config.aggregate
    share, model = view.scoring_config.top_k, view.bound.model
    if view.on_grid:
        mask = None if model.region is None else model.region.mask
        return GRID_AGGREGATES[aggregate](jnp.mean(errors, axis=3), share, mask)
    return AGGREGATES[aggregate](model.select_region(errors), share)
