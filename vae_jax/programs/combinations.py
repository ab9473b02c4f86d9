"""The scores that combine other scores, as functions that JAX can trace.

They compute what `scoring.combinations` computes with NumPy.

B batch, m validation normals.
"""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae_jax.score_names import FUSIONS, select_member_names
from vae_jax.scoring.combinations import combine_scores
from vae_jax.scoring.fusion import fit_surprise

Columns = Mapping[str, Float[Array, "B"]]
Combination = Callable[[Columns], Float[Array, "B"]]


def make_combination(
    name: str, members: Sequence[str], normals: Mapping[str, Float[np.ndarray, "m"]]
) -> Combination:
    """Returns a function from the scores that a combination reads to the combination.

    Args:
        name: name in `score_names.COMBINATIONS`.
        members: `scoring.fusion`; a score that is missing in `normals` is left out.
        normals: scores of the validation normals, by name.
    """
    if name == "hedge":
        mean, highest = (_make_fusion(part, members, normals) for part in FUSIONS[1:3])
        return lambda columns: jnp.maximum(mean(columns), highest(columns))
    if name == "harmonic":
        surprises = [_make_surprise_of_fusion(part, members, normals) for part in FUSIONS[1:]]
        return lambda columns: _join_harmonically(jnp.stack([s(columns) for s in surprises]))
    return _make_fusion(name, members, normals)


def _make_fusion(
    name: str, members: Sequence[str], normals: Mapping[str, Float[np.ndarray, "m"]]
) -> Combination:
    names = [member for member in select_member_names(name, members) if member in normals]
    surprises = {member: _make_surprise(normals[member]) for member in names}
    return lambda columns: jnp.mean(
        jnp.stack([surprise(columns[member]) for member, surprise in surprises.items()]), axis=0
    )


def _make_surprise_of_fusion(
    name: str, members: Sequence[str], normals: Mapping[str, Float[np.ndarray, "m"]]
) -> Combination:
    fuse = _make_fusion(name, members, normals)
    surprise = _make_surprise(combine_scores(name, members, normals, normals))
    return lambda columns: surprise(fuse(columns))


def _make_surprise(
    normals: Float[np.ndarray, "m"],
) -> Callable[[Float[Array, "B"]], Float[Array, "B"]]:
    """Returns `scoring.fusion.surprise` for these normals."""
    scale = fit_surprise(normals)
    values, logits = (jnp.asarray(a, jnp.float32) for a in (scale.values, scale.logits))
    highest, unit = np.float32(scale.highest), np.float32(scale.unit)

    def surprise(scores):
        excess = jnp.maximum(scores - highest, 0) / unit
        return _interpolate(scores, values, logits) + jnp.log1p(excess)

    return surprise


def _interpolate(
    x: Float[Array, "B"], places: Float[Array, "m"], values: Float[Array, "m"]
) -> Float[Array, "B"]:
    """Returns `jnp.interp(x, places, values)` without its loop, which ONNX files cannot hold."""
    x = jnp.clip(x, places[0], places[-1])
    is_below = places[None] <= x[:, None]
    right = jnp.clip(jnp.sum(is_below, axis=1, dtype=jnp.int32), 1, max(len(places) - 1, 1))
    left = right - 1
    right = jnp.minimum(right, len(places) - 1)  # a single normal is its own neighbour
    width = places[right] - places[left]
    share = jnp.where(width > 0, (x - places[left]) / jnp.where(width > 0, width, 1), 0)
    return values[left] + share * (values[right] - values[left])


def _join_harmonically(surprises: Float[Array, "parts B"]) -> Float[Array, "B"]:
    """Returns log(mean_i (1 + exp(s_i))), see `scoring.rule_fusion.harmonic`."""
    minus_log_p = jax.nn.softplus(surprises)
    return jax.nn.logsumexp(minus_log_p, axis=0) - np.float32(np.log(len(surprises)))
