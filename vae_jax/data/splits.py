"""Who is train, val, calibration and test.

Normals are split by group, an anomaly is only ever in the test split. Groups are ordered by a hash of the
seed and their name, so the role of an image hardly depends on which other images there are.

Names: `N` images; labels are 0 normal, 1 anomaly, -1 left out.
"""

import collections
import dataclasses
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int

from vae_jax.errors import UserError, suggest_name

ROLES = ("train", "val", "calibration", "test")

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Fractions:
    """Shares of the normal images; the rest is for training."""

    val: float
    calibration: float
    test: float


def canonical(
    names: Sequence[str], known: Sequence[str], aliases: Mapping[str, str], where: str
) -> tuple[str, ...]:
    """Returns the dataset's own names of classes.

    Raises:
        UserError: names a class that the dataset does not know, and the closest that it does.
    """
    for name in names:
        if name not in known and name not in aliases:
            hint = suggest_name(name, [*known, *aliases], max_suggestions=3)
            message = f"{where} has no class {name!r}; valid: {', '.join(known)}"
            raise UserError(f"{message}; {hint}" if hint else message)
    return tuple(dict.fromkeys(aliases.get(name, name) for name in names))


def label(
    classes: Sequence[str], normal: Sequence[str], anomaly: Sequence[str], where: str
) -> Int[np.ndarray, "N"]:
    """Labels each image by its class; an empty list means every class that is not in the other.

    Both lists empty: all images are normal. Both given: classes in neither are left out.

    Raises:
        UserError: if a class is in both lists, or no image of a list is there.
    """
    both = sorted(set(normal) & set(anomaly))
    if both:
        raise UserError(
            f"class {both[0]} is in both data.normal_classes and data.anomaly_classes; take it out of one"
        )
    present = sorted(set(classes))
    for name in (*normal, *anomaly):
        if name not in present:
            _log.info("%s: no image of class %s is there, going on without it", where, name)
    normal_set = set(normal) or set(present) - set(anomaly)
    anomaly_set = set(anomaly) or (set(present) - set(normal) if normal else set())
    labels = np.array(
        [0 if name in normal_set else 1 if name in anomaly_set else -1 for name in classes],
        dtype=np.int64,
    )
    for value, field, wanted in ((0, "normal", normal), (1, "anomaly", anomaly)):
        if not np.any(labels == value) and (value == 0 or wanted):
            raise UserError(
                f"{where} has no image of data.{field}_classes={','.join(wanted) or '()'}; "
                f"classes with images: {', '.join(present)}"
            )
    return labels


def assign(
    labels: Int[np.ndarray, "N"],
    groups: Sequence[str],
    official_test: Bool[np.ndarray, "N"] | None,
    fractions: Fractions,
    seed: int,
    test_only: Bool[np.ndarray, "N"] | None = None,
) -> dict[str, Int[np.ndarray, "M"]]:
    """Gives the images their roles.

    Without an official test split, normals are split by group in `fractions`, and a group that holds an
    anomaly goes to test as a whole. With one, that is the test split, and the official training normals are
    split into the other roles; anomalies among the training images are not used.

    Args:
        labels: of N images.
        groups: of the same images; no group stands in two roles.
        official_test: which images belong to the official test split; None where there is none.
        fractions: of the normals that are split; `test` counts only without an official test split.
        seed: another one gives another split.
        test_only: images that with all their group may only be tested on; where they are normal, they are
            no part of the normals that `fractions` speaks of. None for no such image.

    Returns:
        Role -> indices of its images, ascending.

    Raises:
        UserError: if a role stays without normals.
    """
    names = np.asarray(groups, dtype=object)
    if test_only is None:
        test_only = np.zeros(len(labels), bool)
    normal = (labels == 0) & ~test_only
    fixed = set(names[test_only | (labels == 1) if official_test is None else test_only])
    in_test = np.array([group in fixed for group in names], dtype=bool)
    if official_test is not None:
        in_test |= official_test
        _log_shared(set(names[in_test & (labels >= 0)]) & set(names[~in_test & normal]))
    test_groups = set(names[in_test & (labels >= 0)])
    free = normal & ~in_test & np.array([group not in test_groups for group in names], dtype=bool)

    if official_test is not None:
        unused = int(((labels == 1) & ~in_test).sum())
        if unused:
            _log.info("%d abnormal images outside the official test split are not used", unused)

    sizes = collections.Counter(names[free])
    num = int(free.sum()) if official_test is not None else int(normal.sum())
    targets = {"val": fractions.val * num, "calibration": fractions.calibration * num}
    if official_test is None:
        targets["test"] = max(fractions.test * num - int((normal & in_test).sum()), 0.0)
    role_of = _roles_of_groups(sizes, targets, _hash_order(seed))
    roles = {
        role: np.flatnonzero(
            free & np.array([role_of.get(group) == role for group in names], dtype=bool)
        )
        for role in ROLES
    }
    roles["test"] = np.flatnonzero(
        (in_test & (labels >= 0)) | np.isin(np.arange(len(labels)), roles["test"])
    )
    _check_filled(roles, labels, official_test is not None)
    _check_disjoint(roles, labels, names)
    return roles


def balance(
    test: Int[np.ndarray, "M"], labels: Int[np.ndarray, "N"], files: Sequence[str], seed: int
) -> Int[np.ndarray, "K"]:
    """Thins out the larger side of the test split, so that normals and anomalies are as many.

    Where there are no anomalies, nothing changes.
    """
    order = _hash_order(seed)
    sides = [sorted(test[labels[test] == value], key=lambda i: order(files[i])) for value in (0, 1)]
    num = min(len(side) for side in sides)
    if num == 0:
        return test
    return np.sort(np.array([*sides[0][:num], *sides[1][:num]], dtype=test.dtype))


def _hash_order(seed: int) -> Callable[[str], bytes]:
    return lambda name: hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=16).digest()


def _roles_of_groups(
    sizes: Mapping[str, int], targets: Mapping[str, float], order: Callable[[str], bytes]
) -> dict[str, str]:
    """Fills the targets (numbers of images) with whole groups; what is left is for training.

    A group larger than half of the smallest target would wreck it: such groups are placed first, each where
    most is missing, which mostly is training.
    """
    missing = {"train": sum(sizes.values()) - sum(targets.values()), **targets}
    limit = max(1.0, 0.5 * min((t for t in targets.values() if t > 0), default=1.0))
    role_of = {}
    for group in sorted(sizes, key=lambda g: (-sizes[g], order(g))):
        if sizes[group] <= limit:
            break
        role = max(missing, key=lambda r: missing[r])
        role_of[group] = role
        missing[role] -= sizes[group]
    small = sorted((g for g in sizes if g not in role_of), key=order)
    for role in targets:
        for group in small:
            if missing[role] <= 0:
                break
            # Only while it brings the role closer to its target.
            if group not in role_of and sizes[group] < 2 * missing[role]:
                role_of[group] = role
                missing[role] -= sizes[group]
    return role_of | {group: "train" for group in small if group not in role_of}


def _log_shared(shared: set[str]) -> None:
    if shared:
        _log.info(
            "%d groups stand on both sides of the official split; their training images are left out",
            len(shared),
        )


def _check_filled(roles: Mapping[str, np.ndarray], labels: np.ndarray, official_test: bool) -> None:
    counts = {role: int((labels[indices] == 0).sum()) for role, indices in roles.items()}
    listed = ", ".join(f"{role} {count}" for role, count in counts.items())
    for role, count in counts.items():
        if count:
            continue
        if not any(counts[other] for other in ROLES if other != "test"):
            advice = (
                "take data.normal_classes of which there are images outside the test split"
                if official_test
                else "every normal image shares its group with one that is only tested on: part the groups"
            )
        elif role == "train":
            advice = "lower data.val_fraction, data.calibration_fraction or data.test_fraction"
        elif role == "test" and official_test:
            advice = (
                "the official test split has none of these classes; take other data.normal_classes"
            )
        else:
            advice = f"raise data.{role}_fraction"
        raise UserError(f"no normal image is left for {role} ({listed}); {advice}, or add images")


def _check_disjoint(
    roles: Mapping[str, np.ndarray], labels: np.ndarray, groups: np.ndarray
) -> None:
    """Raises if the laws of the split do not hold; that would be a mistake in this module."""
    role_of: dict[str, str] = {}
    for role, indices in roles.items():
        if role != "test" and np.any(labels[indices] != 0):
            raise RuntimeError(f"an image that is not normal got into {role}")
        for group in set(groups[indices]):
            if role_of.setdefault(group, role) != role:
                raise RuntimeError(f"group {group} is in both {role_of[group]} and {role}")
    everyone = np.concatenate(list(roles.values()))
    if len(np.unique(everyone)) != len(everyone):
        raise RuntimeError("an image has two roles")
