"""Which images are looked at: drawn by the seed, never by what came of them.

N images, M of them.
"""

import numpy as np
from jaxtyping import Int, UInt8

from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.image_store import join_images
from vae_jax.data.row_draw import draw_rows
from vae_jax.errors import UserError


def classes_in_turn(examples: Examples, count: int, seed: int) -> Int[np.ndarray, "M"]:
    """Returns rows of one image of each class, normal ones first, then of a second one, and so on."""
    turns: dict[str, int] = {}
    keys = []
    for row in np.random.default_rng(seed).permutation(len(examples.images)):
        name = examples.classes[row]
        turns[name] = turns.get(name, -1) + 1
        keys.append((turns[name], int(examples.labels[row]), name, int(row)))
    return np.array([row for *_, row in sorted(keys)[:count]], np.int64)


def halves(
    dataset: Dataset, most: int, seed: int
) -> tuple[UInt8[np.ndarray, "N H W C"], UInt8[np.ndarray, "N H W C"]]:
    """Returns two sets of normals that nothing has learnt from, as many in each; they share no group.

    They are of the roles val, calibration and test.

    Args:
        dataset: in the roles of the run.
        most: images in each set.
        seed: of which group is in which set, and which images are taken.
    """
    roles = [
        role.take(np.flatnonzero(role.labels == 0))
        for role in (dataset.val, dataset.calibration, dataset.test)
    ]
    images = join_images([role.images for role in roles])
    groups = np.array([group for role in roles for group in role.groups])
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    side = np.isin(groups, names[::2])
    sides = np.flatnonzero(side), np.flatnonzero(~side)
    count = min(most, *(len(rows) for rows in sides))
    first, second = (
        images[rows[draw_rows(len(rows), count, seed, in_order=True)]] for rows in sides
    )
    return first, second


def pairs(test: Examples, count: int, seed: int) -> Int[np.ndarray, "P 2"]:
    """Returns pairs of rows: of two normal classes where there are two, else of what there is.

    Raises:
        UserError: if there is only one image.
    """
    usable = np.flatnonzero(test.labels == 0)
    if len({test.classes[row] for row in usable}) < 2:
        usable = np.arange(len(test.images))
    rows = usable[classes_in_turn(test.take(usable), 2 * count, seed)]
    if len(rows) < 2:
        raise UserError("a way leads from one test image to another, and there is one; add images")
    return rows[: len(rows) // 2 * 2].reshape(-1, 2)
