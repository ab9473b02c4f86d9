"""Chooses the images that an exploration shows or measures.

The choice depends on the seed and the labels only, never on the result of the model.

N images, M chosen images, P pairs.
"""

import numpy as np
from jaxtyping import Int, UInt8

from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.image_store import join_images
from vae_jax.data.row_draw import draw_rows
from vae_jax.errors import UserError


def choose_classes_in_turn(examples: Examples, count: int, seed: int) -> Int[np.ndarray, "M"]:
    """Returns random rows, so that no class has a second image before every class has its first.

    Within each turn the normal classes come before the anomalies.

    Args:
        examples: images to choose from.
        count: maximum number of rows.
        seed: seed for the random choice within each class.
    """
    last_turn: dict[str, int] = {}
    keys = []
    for row in np.random.default_rng(seed).permutation(len(examples.images)):
        name = examples.classes[row]
        last_turn[name] = last_turn.get(name, -1) + 1
        keys.append((last_turn[name], int(examples.labels[row]), name, int(row)))
    return np.array([row for *_, row in sorted(keys)[:count]], np.int64)


def split_unseen_normals(
    dataset: Dataset, max_images: int, seed: int
) -> tuple[UInt8[np.ndarray, "N H W C"], UInt8[np.ndarray, "N H W C"]]:
    """Returns two sets of normal images of equal size that share no group.

    The images come from the roles val, calibration and test, so no network was trained on them.

    Args:
        dataset: dataset with the roles of the run.
        max_images: maximum number of images in each set.
        seed: seed for the random choice of the groups and the images of each set.
    """
    roles = [
        role.take(np.flatnonzero(role.labels == 0))
        for role in (dataset.val, dataset.calibration, dataset.test)
    ]
    images = join_images([role.images for role in roles])
    groups = np.array([group for role in roles for group in role.groups])
    shuffled_groups = np.random.default_rng(seed).permutation(np.unique(groups))
    in_first_set = np.isin(groups, shuffled_groups[::2])
    sets = np.flatnonzero(in_first_set), np.flatnonzero(~in_first_set)
    count = min(max_images, *(len(rows) for rows in sets))
    first, second = (
        images[rows[draw_rows(len(rows), count, seed, in_order=True)]] for rows in sets
    )
    return first, second


def choose_pairs(test: Examples, count: int, seed: int) -> Int[np.ndarray, "P 2"]:
    """Returns rows of pairs of test images, as far as possible of two different classes.

    Only normal images are used if they have at least two classes, otherwise all images.

    Args:
        test: images to choose from.
        count: maximum number of pairs.
        seed: seed for the random choice.

    Raises:
        UserError: if there is only one image.
    """
    candidates = np.flatnonzero(test.labels == 0)
    if len({test.classes[row] for row in candidates}) < 2:
        candidates = np.arange(len(test.images))
    rows = candidates[choose_classes_in_turn(test.take(candidates), 2 * count, seed)]
    if len(rows) < 2:
        raise UserError(f"interpolation needs at least two test images; found {len(rows)}")
    return rows[: len(rows) // 2 * 2].reshape(-1, 2)
