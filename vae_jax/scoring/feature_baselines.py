"""The baselines `padim` and `patchcore`: classical rules on the same features that the model explains.

They show what the features give without a VAE. Each has a map of places, whose mean and whose highest value
are scores; the highest value is that of the map smoothed by one place.

N images, n training normals, h w places of the grid, j places that count, K channels.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae_jax.data.batches import map_rows
from vae_jax.data.row_draw import draw_rows
from vae_jax.scoring.patchcore import fit_patch_memory, measure_nearest_patches
from vae_jax.scoring.place_gaussian import fit_place_gaussian, measure_place_distances
from vae_jax.scoring.place_maps import GRID_AGGREGATES, Region
from vae_jax.scoring.view import MAX_RESIDUALS

_BATCH = 32  # images that are measured at the same time

AGGREGATES = ("mean", "max")


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule that compares each place of an observation with training normals.

    Attributes:
        fit: (observations of training normals, seed) -> what the rule keeps of them, a tree of arrays.
        measure: (fit, observations) -> how abnormal each place is.
    """

    fit: Callable[[Float[np.ndarray, "n h w K"], int], Any]
    measure: Callable[[Any, Float[Array, "N h w K"]], Float[Array, "N h w"]]


RULES: dict[str, Rule] = {
    "padim": Rule(lambda o, seed: fit_place_gaussian(o), measure_place_distances),
    "patchcore": Rule(lambda o, seed: fit_patch_memory(o, seed=seed), measure_nearest_patches),
}


class FeatureBaselines:
    """The baselines on features; each is fitted when it is first needed.

    The map of an image is computed once, however often it is asked for.

    Args:
        train: features of training normals, standardised, without augmented copies.
        region: places that count; None if all of them do.
        seed: seed of the random choice of training normals and of their patches.
    """

    def __init__(self, train: Float[np.ndarray, "n h w K"], region: Region, seed: int):
        self._train, self._region, self._seed = train, region, seed
        self._fits: dict[str, Any] = {}
        # Name of a rule -> digest of the features of an image -> the map of the image.
        self._maps: dict[str, dict[bytes, np.ndarray]] | None = {name: {} for name in RULES}

    @classmethod
    def from_fits(cls, fits: Mapping[str, Any], region: Region) -> "FeatureBaselines":
        """Returns baselines that were fitted before.

        They keep no map, so that any number of images can be scored.

        Args:
            fits: name of a rule -> the result of `get_fit`.
            region: places that count; None if all of them do.
        """
        height, width = (0, 0) if region is None else region.shape
        baselines = cls(np.empty((0, height, width, 0), np.float32), region, 0)
        baselines._fits = jax.tree.map(jnp.asarray, dict(fits))
        baselines._maps = None
        return baselines

    def compute_score(self, name: str, o: Float[np.ndarray, "N h w K"]) -> Float[np.ndarray, "N"]:
        """Computes the named baseline, for example `padim_max`, of the features of each image."""
        rule, aggregate = name.split("_")
        maps = jnp.asarray(self.compute_maps(rule, o))
        # Neither of the two aggregates reads the share.
        return np.asarray(GRID_AGGREGATES[aggregate](maps, 1.0, self._region), np.float64)

    def compute_maps(
        self, rule: str, o: Float[np.ndarray, "N h w K"]
    ) -> Float[np.ndarray, "N h w"]:
        """Computes how abnormal each place of each image is, zero outside the region.

        Args:
            rule: name in RULES.
            o: features of the images, standardised.
        """
        if self._maps is None:
            return self._measure(rule, o)
        known = self._maps[rule]
        digests = [hashlib.blake2b(image.tobytes()).digest() for image in o]
        new = {digest: row for row, digest in enumerate(digests) if digest not in known}
        if new:
            known.update(zip(new, self._measure(rule, o[list(new.values())]), strict=True))
        return np.stack([known[digest] for digest in digests])

    def get_fit(self, rule: str) -> Any:
        """Returns what a rule keeps of the training normals, a tree of arrays."""
        if rule not in self._fits:
            rows = draw_rows(len(self._train), MAX_RESIDUALS, self._seed, in_order=True)
            fit = RULES[rule].fit(self._select(self._train[rows]), self._seed)
            self._fits[rule] = jax.tree.map(jnp.asarray, fit)
        return self._fits[rule]

    def _measure(self, rule: str, o: Float[np.ndarray, "N h w K"]) -> Float[np.ndarray, "N h w"]:
        measure = functools.partial(_measure_batch, rule, self.get_fit(rule))
        values = map_rows(measure, _BATCH, self._select(o))
        if self._region is None:
            return values
        maps = np.zeros(o.shape[:3], np.float32)
        maps[:, self._region] = values[:, 0]
        return maps

    def _select(self, o: Float[np.ndarray, "N h w K"]) -> Float[np.ndarray, "N i j K"]:
        """Returns the places that count, in one row for each image; without a region all, unchanged."""
        return o if self._region is None else o[:, self._region][:, None]


@functools.partial(jax.jit, static_argnames="rule")
def _measure_batch(rule: str, fit: Any, o: Float[Array | np.ndarray, "N h w K"]) -> Array:
    return RULES[rule].measure(fit, o.astype(jnp.float32))
