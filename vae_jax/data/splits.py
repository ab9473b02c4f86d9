"""Assigns each image its role: train, val, calibration or test.

Normal images are split by group; an anomaly is only ever in the test split. Groups are ordered by a hash of
the seed and the group's name, so the role of an image hardly depends on which other images exist.

N images; a label is 0 (normal), 1 (anomaly) or -1 (`NO_LABEL`: no role takes the image).
"""

import collections
import dataclasses
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int

from vae_jax.data.examples import NO_LABEL
from vae_jax.errors import UserError

ROLES = ("train", "val", "calibration", "test")

_MAX_NAMED = 3  # groups that an error names; it only counts the others

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Fractions:
    """Fractions of the normal images that three roles get; the remaining images are for training."""

    val: float
    calibration: float
    test: float


def assign_roles(
    labels: Int[np.ndarray, "N"],
    groups: Sequence[str],
    official_test: Bool[np.ndarray, "N"] | None,
    fractions: Fractions,
    seed: int,
    test_only: Bool[np.ndarray, "N"] | None = None,
    files: Sequence[str] | None = None,
) -> dict[str, Int[np.ndarray, "M"]]:
    """Assigns each image with a label its role.

    Without an official test split, normal images are split by group according to `fractions`, and a group
    that contains an anomaly belongs to test as a whole. An official test split becomes the test role, and
    the other normal images are split into the other roles; other anomalies are not used.

    Args:
        labels: label of each of N images.
        groups: group of each image; no group is in two roles.
        official_test: which images belong to the official test split; None if there is no such split.
        fractions: fractions of the normal images; `test` is used only without an official test split.
        seed: seed of the split.
        test_only: images that may only be in test, with all images of their groups. They do not count as
            normal images of which `fractions` are taken. None if there are no such images.
        files: name of each image, for messages; None names groups only.

    Returns:
        Role -> indices of its images, ascending.

    Raises:
        UserError: if a role would have no normal image.
    """
    names = np.asarray(groups, dtype=object)
    if test_only is None:
        test_only = np.zeros(len(labels), bool)
    labelled = labels != NO_LABEL
    normal = (labels == 0) & ~test_only
    # Groups that are in test whatever the seed is.
    bound_to_test = set(names[test_only | (labels == 1) if official_test is None else test_only])
    in_test = np.array([group in bound_to_test for group in names], dtype=bool)
    if official_test is not None:
        in_test |= official_test
    test_groups = set(names[in_test & labelled])
    free = normal & ~in_test & np.array([group not in test_groups for group in names], dtype=bool)

    if official_test is not None:
        num_unused = int(((labels == 1) & ~in_test).sum())
        if num_unused:
            _log.info("%d abnormal images outside the official test split are not used", num_unused)

    group_sizes = collections.Counter(names[free])
    num_normal = int(free.sum()) if official_test is not None else int(normal.sum())
    targets = {
        "val": fractions.val * num_normal,
        "calibration": fractions.calibration * num_normal,
    }
    if official_test is None:
        targets["test"] = max(fractions.test * num_normal - int((normal & in_test).sum()), 0.0)
    role_of_group = assign_groups(group_sizes, targets, make_hash_order(seed))
    role_of = np.array([role_of_group.get(group) for group in names], dtype=object)
    roles = {role: np.flatnonzero(free & (role_of == role)) for role in ROLES}
    roles["test"] = np.union1d(np.flatnonzero(in_test & labelled), roles["test"])
    blocked = normal & ~free & ~official_test if official_test is not None else normal & ~free
    shared = _name_shared_groups(names, files, blocked, in_test & labelled & ~blocked)
    _check_filled(roles, labels, official_test is not None, shared)
    _check_disjoint(roles, labels, names)
    return roles


def balance_test(
    test: Int[np.ndarray, "M"], labels: Int[np.ndarray, "N"], files: Sequence[str], seed: int
) -> Int[np.ndarray, "K"]:
    """Drops images of the test role, so that it has as many normal images as anomalies.

    Args:
        test: indices of the images in the test role.
        labels: label of each of N images.
        files: unique name of each image.
        seed: seed for the choice of images that are dropped.

    Returns:
        Indices of the images that stay, ascending; all of them if there are no anomalies.
    """
    order = make_hash_order(seed)
    normal, abnormal = (
        sorted(test[labels[test] == label], key=lambda index: order(files[index]))
        for label in (0, 1)
    )
    count = min(len(normal), len(abnormal))
    if count == 0:
        return test
    return np.sort(np.array([*normal[:count], *abnormal[:count]], dtype=test.dtype))


def make_hash_order(seed: int) -> Callable[[str], bytes]:
    """Returns a sort key for names that puts them in a random order."""
    return lambda name: hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=16).digest()


def assign_groups(
    sizes: Mapping[str, int], targets: Mapping[str, float], order: Callable[[str], bytes]
) -> dict[str, str]:
    """Assigns whole groups to roles until the targets are met; the remaining groups are for training.

    A group that is larger than half of the smallest target would overshoot it. Such groups are assigned
    first, in order of size, each to the role that lacks most images, which is usually training.

    Args:
        sizes: group -> number of its images.
        targets: role, except train -> number of images that it should get.
        order: sort key of the random order in which groups are assigned.

    Returns:
        Group -> role.
    """
    missing = {"train": sum(sizes.values()) - sum(targets.values()), **targets}
    max_size = max(1.0, 0.5 * min((t for t in targets.values() if t > 0), default=1.0))
    role_of = {}
    for group in sorted(sizes, key=lambda group: (-sizes[group], order(group))):
        if sizes[group] <= max_size:
            break
        role = max(missing, key=lambda role: missing[role])
        role_of[group] = role
        missing[role] -= sizes[group]
    small_groups = sorted((group for group in sizes if group not in role_of), key=order)
    for role in targets:
        for group in small_groups:
            if missing[role] <= 0:
                break
            # Only groups that bring the role closer to its target.
            if group not in role_of and sizes[group] < 2 * missing[role]:
                role_of[group] = role
                missing[role] -= sizes[group]
    return role_of | {group: "train" for group in small_groups if group not in role_of}


def _name_shared_groups(
    groups: np.ndarray,
    files: Sequence[str] | None,
    blocked: Bool[np.ndarray, "N"],
    tested: Bool[np.ndarray, "N"],
) -> str:
    """Returns a text that names the first few groups that keep normal images out of training.

    `blocked` are normal images that their group keeps out of training, `tested` the images in test.
    """
    first_tested: dict[str, int] = {}
    for row in np.flatnonzero(tested):
        first_tested.setdefault(groups[row], row)
    first_blocked: dict[str, int] = {}
    for row in np.flatnonzero(blocked):
        if groups[row] in first_tested:
            first_blocked.setdefault(groups[row], row)
    texts = [
        f"{files[row]} and {files[first_tested[group]]} are in the group {group}"
        if files
        else group
        for group, row in first_blocked.items()
    ]
    more = f"; and {len(texts) - _MAX_NAMED} more groups" if len(texts) > _MAX_NAMED else ""
    return "; ".join(texts[:_MAX_NAMED]) + more


def _check_filled(
    roles: Mapping[str, np.ndarray], labels: np.ndarray, has_official_test: bool, shared: str
) -> None:
    """Raises a UserError that says what to change if a role has no normal image."""
    counts = {role: int((labels[indices] == 0).sum()) for role, indices in roles.items()}
    listed = ", ".join(f"{role} {count}" for role, count in counts.items())
    for role, count in counts.items():
        if count:
            continue
        if not any(counts[other] for other in ROLES if other != "test"):
            advice = _advise_on_groups(has_official_test, shared)
        elif role == "train":
            advice = "lower data.val_fraction, data.calibration_fraction or data.test_fraction"
        elif role == "test" and has_official_test:
            advice = (
                "the official test split has no image of data.normal_classes; name other classes"
            )
        else:
            advice = f"raise data.{role}_fraction"
        raise UserError(f"no normal image is left for {role} ({listed}); {advice}, or add images")


def _advise_on_groups(has_official_test: bool, shared: str) -> str:
    if not shared:
        return "name data.normal_classes that have images outside the official test split"
    if has_official_test:
        return (
            "every normal image outside the official test split shares its group with a test image "
            f"({shared}); move these test images to train, or give them other groups"
        )
    return (
        f"every normal image shares its group with an image that may only be in test ({shared}); give "
        "them other groups"
    )


def _check_disjoint(
    roles: Mapping[str, np.ndarray], labels: np.ndarray, groups: np.ndarray
) -> None:
    """Raises a RuntimeError if the split breaks its own rules, which would be a bug of this module."""
    role_of: dict[str, str] = {}
    for role, indices in roles.items():
        if role != "test" and np.any(labels[indices] != 0):
            raise RuntimeError(f"an image that is not normal is in {role}")
        for group in set(groups[indices]):
            if role_of.setdefault(group, role) != role:
                raise RuntimeError(f"group {group} is in both {role_of[group]} and {role}")
    indices = np.concatenate(list(roles.values()))
    if len(np.unique(indices)) != len(indices):
        raise RuntimeError("an image has two roles")
