"""The distance of each place of an observation to the nearest of many training patches, as in PatchCore.

A patch is the vector of K channels at one place of one training normal. Unlike a Gaussian per place, this
rule compares a patch with the patches of all places, so it suits images in which things move. The memory
is a coreset: a few patches that are chosen such that every other patch is near one of them.

n training normals, B batch, h w places, K channels, p candidate patches, D projected channels, m patches in
the memory.
"""

import jax
import numpy as np
from jaxtyping import Array, Float, Int
from threadpoolctl import threadpool_limits

from vae_jax.data.row_draw import draw_rows
from vae_jax.scoring.nearest import trace_nearest

DEFAULT_MAX_PATCHES = 2_000
# The memory is chosen among so many patches, drawn at random. This bounds the time of the choice.
_MAX_CANDIDATES = 20_000
# The patches are chosen by their distances after a random projection to so many channels.
_PROJECTED_CHANNELS = 64
# Squared distances below this share of the largest squared length are float32 rounding errors.
_ROUNDING = 1e-6

_BATCH = 8  # images that are compared with the memory at the same time


def fit_patch_memory(
    o: Float[np.ndarray, "n h w K"], max_patches: int = DEFAULT_MAX_PATCHES, seed: int = 0
) -> Float[np.ndarray, "m K"]:
    """Chooses the training patches that are kept.

    Args:
        o: observations of training normals, standardised.
        max_patches: number of patches; fewer are kept if there are fewer different patches.
        seed: seed of the candidates, of the projection and of the first patch.

    Returns:
        The chosen patches, float32, in the order of the choice.

    Source: Roth et al. 2022, "Towards total recall in industrial anomaly detection", algorithm 1.
    """
    rng = np.random.default_rng(seed)
    channels = o.shape[3]
    rows = draw_rows(o[..., 0].size, _MAX_CANDIDATES, rng, in_order=True)
    places = np.unravel_index(rows, o.shape[:3])
    candidates = o[places].astype(np.float32)  # [p, K]
    projected = candidates - candidates.mean(axis=0)
    if channels > _PROJECTED_CHANNELS:
        projection = rng.normal(size=(channels, _PROJECTED_CHANNELS)).astype(np.float32)
        projected = projected @ (projection / np.float32(np.sqrt(_PROJECTED_CHANNELS)))
    first = int(rng.integers(len(candidates)))
    with threadpool_limits(
        1
    ):  # several threads would wait for each other in each of many short steps
        return candidates[choose_centres(projected, max_patches, first)]


def choose_centres(
    points: Float[np.ndarray, "p D"], max_centres: int, first: int
) -> Int[np.ndarray, "m"]:
    """Chooses points such that every point is near one of them (greedy k-centre).

    Each next centre is the point that is farthest from the centres so far. Its largest distance of a point
    to its centre is at most twice the best possible one.

    Args:
        points: the points, float32, with a mean near 0.
        max_centres: number of centres. There are fewer if no point is left that differs from a centre.
        first: index of the first centre.

    Returns:
        The indices of the centres, in the order of the choice.

    Source: Gonzalez 1985; Sener and Savarese 2018, algorithm 1.
    """
    squares = np.sum(np.square(points), axis=1)
    smallest = _ROUNDING * squares.max()
    to_centre = np.full(len(points), np.inf, np.float32)  # squared distance to the nearest centre
    centres = [first]
    while len(centres) < max_centres:
        latest = centres[-1]
        to_latest = squares + squares[latest] - 2 * (points @ points[latest])
        np.minimum(to_centre, to_latest, out=to_centre)
        farthest = int(np.argmax(to_centre))
        if to_centre[farthest] <= smallest:
            break
        centres.append(farthest)
    return np.array(centres)


def measure_nearest_patches(
    memory: Float[Array, "m K"], o: Float[Array, "B h w K"]
) -> Float[Array, "B h w"]:
    """Computes the Euclidean distance of each place to the nearest patch of the memory.

    The images are compared a few at a time, so the memory that this needs does not grow with the batch.
    """
    return jax.lax.map(lambda image: trace_nearest(memory, image), o, batch_size=_BATCH)
