import collections

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vae_jax.data import splits
from vae_jax.errors import UserError

FRACTIONS = splits.Fractions(val=0.08, calibration=0.12, test=0.15)


@st.composite
def _collections(draw):
    sizes = draw(st.lists(st.integers(1, 9), min_size=60, max_size=120))
    sizes += draw(st.lists(st.integers(10, 60), max_size=3))
    groups = [f"g{i}" for i, size in enumerate(sizes) for _ in range(size)]
    seed = draw(st.integers(0, 2**31))
    share = draw(st.sampled_from([0.0, 0.05, 0.3]))
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, -1], len(groups), p=[0.95 - share, share, 0.05])
    order = rng.permutation(len(groups))
    return labels[order], [groups[i] for i in order], seed


def _try_assign(*args):
    try:
        return splits.assign_roles(*args)
    except UserError:
        assume(False)


@settings(deadline=None, max_examples=60)
@given(_collections(), st.booleans())
def test_roles_are_disjoint_and_share_no_group_and_only_test_has_anomalies(collection, official):
    labels, groups, seed = collection
    names = np.array(groups)
    in_test = np.random.default_rng(seed).random(len(labels)) < 0.2 if official else None
    roles = _try_assign(labels, groups, in_test, FRACTIONS, seed)

    indices_of_all = np.concatenate(list(roles.values()))
    assert len(set(indices_of_all.tolist())) == len(indices_of_all)
    groups_of = {role: set(names[indices]) for role, indices in roles.items()}
    for a in splits.ROLES:
        for b in splits.ROLES:
            assert a == b or not groups_of[a] & groups_of[b]
    for role in ("train", "val", "calibration"):
        assert (labels[roles[role]] == 0).all()
    assert (labels[indices_of_all] >= 0).all()
    if official:
        assert roles["test"].tolist() == np.flatnonzero(in_test & (labels >= 0)).tolist()
    else:
        assert set(indices_of_all.tolist()) == set(np.flatnonzero(labels >= 0).tolist())


@settings(deadline=None, max_examples=60)
@given(_collections())
def test_the_fractions_are_met_up_to_the_size_of_a_small_group(collection):
    labels, groups, seed = collection
    labels = np.where(labels == 1, 0, labels)  # anomalies would force groups into test
    roles = _try_assign(labels, groups, None, FRACTIONS, seed)
    normals = (labels == 0).sum()
    sizes = collections.Counter(np.array(groups)[labels == 0])
    limit = max(1.0, 0.5 * FRACTIONS.val * normals)
    small = max((size for size in sizes.values() if size <= limit), default=0)
    for role in ("val", "calibration", "test"):
        target = getattr(FRACTIONS, role) * normals
        large = [s for s in sizes.values() if s > limit]
        if max(large, default=0) <= target / 2:
            assert abs(len(roles[role]) - target) <= max(1, small)


def test_a_large_group_does_not_change_the_fractions():
    groups = ["big"] * 200 + [str(i) for i in range(400)]
    for seed in range(20):
        roles = splits.assign_roles(np.zeros(600, int), groups, None, FRACTIONS, seed)
        assert {r: len(i) for r, i in roles.items()} == {
            "train": 390,
            "val": 48,
            "calibration": 72,
            "test": 90,
        }


def test_the_seed_determines_the_split():
    groups = [str(i) for i in range(500)]
    labels = np.zeros(500, int)
    first = splits.assign_roles(labels, groups, None, FRACTIONS, 0)
    again = splits.assign_roles(labels, groups, None, FRACTIONS, 0)
    other = splits.assign_roles(labels, groups, None, FRACTIONS, 1)
    for role in splits.ROLES:
        assert first[role].tolist() == again[role].tolist()
        assert first[role].tolist() != other[role].tolist()


def test_a_few_more_images_change_the_role_of_few_others():
    groups = [str(i) for i in range(1010)]
    before = splits.assign_roles(np.zeros(1000, int), groups[:1000], None, FRACTIONS, 0)
    after = splits.assign_roles(np.zeros(1010, int), groups, None, FRACTIONS, 0)
    role_before = {i: role for role, indices in before.items() for i in indices}
    role_after = {i: role for role, indices in after.items() for i in indices}
    assert sum(role_before[i] != role_after[i] for i in role_before) <= 20


def test_all_images_of_a_group_with_an_anomaly_are_in_test():
    groups = ["mixed"] * 10 + [str(i) for i in range(200)]
    labels = np.array([1] + [0] * 209)
    roles = splits.assign_roles(labels, groups, None, FRACTIONS, 0)
    assert set(range(10)) <= set(roles["test"].tolist())
    assert len(roles["test"]) - 1 == round(0.15 * 209)  # the nine normal images of the group count


def test_training_images_of_a_group_in_the_official_test_split_are_not_used():
    groups = ["shared"] * 6 + [str(i) for i in range(100)]
    in_test = np.array([True] * 3 + [False] * 83 + [True] * 20)
    labels = np.zeros(106, int)
    labels[-5:] = 1
    roles = splits.assign_roles(labels, groups, in_test, FRACTIONS, 0)
    used = set(np.concatenate(list(roles.values())).tolist())
    assert not used & {3, 4, 5}
    assert len(roles["val"]) == round(0.08 * 80)
    assert (labels[roles["test"]] == 1).sum() == 5


@pytest.mark.parametrize(
    ("fractions", "num", "advice"),
    [
        (splits.Fractions(0.01, 0.1, 0.1), 20, "for val .*raise data.val_fraction"),
        (splits.Fractions(0.1, 0.01, 0.1), 20, "raise data.calibration_fraction"),
        (splits.Fractions(0.1, 0.1, 0.0), 20, "raise data.test_fraction"),
        (splits.Fractions(0.4, 0.3, 0.29), 3, "for train .*lower data.val_fraction"),
    ],
)
def test_an_empty_role_names_the_fraction_to_change(fractions, num, advice):
    groups = [str(i) for i in range(num)]
    with pytest.raises(UserError, match=advice):
        splits.assign_roles(np.zeros(num, int), groups, None, fractions, 0)


def test_balancing_drops_images_of_the_larger_side_only():
    labels = np.array([0] * 30 + [1] * 8)
    files = [str(i) for i in range(38)]
    test = splits.balance_test(np.arange(38), labels, files, seed=0)
    assert (labels[test] == 1).sum() == (labels[test] == 0).sum() == 8
    assert test.tolist() == sorted(set(test.tolist()))
    assert test.tolist() == splits.balance_test(np.arange(38), labels, files, seed=0).tolist()
    assert test.tolist() != splits.balance_test(np.arange(38), labels, files, seed=1).tolist()


def test_balancing_without_anomalies_changes_nothing():
    test = np.arange(5)
    assert splits.balance_test(test, np.zeros(5, int), list("abcde"), 0).tolist() == test.tolist()


def test_images_for_test_only_take_their_group_along_and_do_not_count_in_the_fractions():
    groups = [f"g{i // 4}" for i in range(400)]
    labels = np.zeros(400, int)
    test_only = np.arange(400) >= 200
    test_only[203] = False  # but other images of its group may only be in test
    roles = splits.assign_roles(labels, groups, None, splits.Fractions(0.1, 0.1, 0.2), 0, test_only)
    assert set(np.flatnonzero(test_only)) | {203} <= set(roles["test"])
    assert len(roles["test"]) == pytest.approx(200 + 0.2 * 200, abs=4)
    official = np.arange(400) < 40
    roles = splits.assign_roles(
        labels, groups, official, splits.Fractions(0.1, 0.1, 0.0), 0, test_only
    )
    assert set(roles["test"]) == set(range(40)) | set(range(200, 400))
