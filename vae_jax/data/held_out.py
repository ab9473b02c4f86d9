"""Roles of normal images where nothing is tested: train, val and calibration.

M images of a role.
"""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from vae_jax.data.splits import Fractions, assign_groups, make_hash_order
from vae_jax.errors import UserError

ROLES = ("train", "val", "calibration")


def hold_out(
    groups: Sequence[str], fractions: Fractions, seed: int
) -> dict[str, Int[np.ndarray, "M"]]:
    """Assigns normal images their roles: `train`, `val` or `calibration`.

    Each role gets at least one group.

    Args:
        groups: group of each image; no group is in two roles.
        fractions: fractions of the images for `val` and `calibration`.
        seed: seed of the split.

    Returns:
        Role -> indices of its images, ascending.

    Raises:
        UserError: if there are fewer than three groups, or they are too large for the fractions.
    """
    sizes = collections.Counter(groups)
    fractions = dataclasses.asdict(fractions)
    targets = {role: max(1.0, fractions[role] * len(groups)) for role in ("val", "calibration")}
    role_of_group = assign_groups(sizes, targets, make_hash_order(seed))
    roles = np.array([role_of_group[group] for group in groups], dtype=object)
    rows_of_role = {role: np.flatnonzero(roles == role) for role in ROLES}
    if not all(len(rows) for rows in rows_of_role.values()):
        counts = ", ".join(f"{role} {len(rows)}" for role, rows in rows_of_role.items())
        raise UserError(
            f"{len(groups)} images in {len(sizes)} groups cannot be divided into roles, each of which "
            f"needs a group ({counts}); add groups, or change the calibration fraction"
        )
    return rows_of_role
