import collections

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vae_jax.data import splits
from vae_jax.errors import UserError

FRACTIONS = splits.Fractions(val=0.08, calibration=0.12, test=0.15)


def test_an_unknown_class_is_refused_with_the_closest_known():
    with pytest.raises(UserError, match=r"no class 'polyp'.*did you mean polyps"):
        splits.resolve_class_names(("polyp",), ("polyps", "normal-cecum"), {}, "kvasir")


def test_an_alias_becomes_the_own_name():
    known, aliases = ("normal-cecum",), {"cecum": "normal-cecum"}
    assert splits.resolve_class_names(("cecum", "normal-cecum"), known, aliases, "kvasir") == known


@pytest.mark.parametrize(
    ("normal", "anomaly", "labels"),
    [
        ((), (), [0, 0, 0]),
        ((), ("b",), [0, 1, 0]),
        (("b",), (), [1, 0, 1]),
        (("a",), ("b",), [0, 1, -1]),
        (("a", "absent"), ("b",), [0, 1, -1]),
    ],
)
def test_an_empty_list_means_the_complement(normal, anomaly, labels):
    assert splits.label_images(["a", "b", "c"], normal, anomaly, "x").tolist() == labels


@pytest.mark.parametrize(
    ("normal", "anomaly", "message"),
    [
        (("absent",), (), "normal_classes=absent.*classes with images: a, b"),
        ((), ("absent",), "anomaly_classes=absent"),
        ((), ("a", "b"), "no image of data.normal_classes"),
        (("a",), ("a",), "a is in both"),
    ],
)
def test_a_protocol_without_images_is_refused(normal, anomaly, message):
    with pytest.raises(UserError, match=message):
        splits.label_images(["a", "b"], normal, anomaly, "x")


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
def test_the_laws_of_the_split_hold(collection, official):
    labels, groups, seed = collection
    names = np.array(groups)
    in_test = np.random.default_rng(seed).random(len(labels)) < 0.2 if official else None
    roles = _try_assign(labels, groups, in_test, FRACTIONS, seed)

    everyone = np.concatenate(list(roles.values()))
    assert len(set(everyone.tolist())) == len(everyone)
    of_role = {role: set(names[indices]) for role, indices in roles.items()}
    for a in splits.ROLES:
        for b in splits.ROLES:
            assert a == b or not of_role[a] & of_role[b]
    for role in ("train", "val", "calibration"):
        assert (labels[roles[role]] == 0).all()
    assert (labels[everyone] >= 0).all()
    if official:
        assert roles["test"].tolist() == np.flatnonzero(in_test & (labels >= 0)).tolist()
    else:
        assert set(everyone.tolist()) == set(np.flatnonzero(labels >= 0).tolist())


@settings(deadline=None, max_examples=60)
@given(_collections())
def test_fractions_are_met_to_within_a_small_group(collection):
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


def test_a_big_group_does_not_wreck_the_fractions():
    groups = ["big"] * 200 + [str(i) for i in range(400)]
    for seed in range(20):
        roles = splits.assign_roles(np.zeros(600, int), groups, None, FRACTIONS, seed)
        assert {r: len(i) for r, i in roles.items()} == {
            "train": 390,
            "val": 48,
            "calibration": 72,
            "test": 90,
        }


def test_the_split_depends_on_the_seed_and_on_nothing_else():
    groups = [str(i) for i in range(500)]
    labels = np.zeros(500, int)
    first = splits.assign_roles(labels, groups, None, FRACTIONS, 0)
    again = splits.assign_roles(labels, groups, None, FRACTIONS, 0)
    other = splits.assign_roles(labels, groups, None, FRACTIONS, 1)
    for role in splits.ROLES:
        assert first[role].tolist() == again[role].tolist()
        assert first[role].tolist() != other[role].tolist()


def test_a_few_more_images_move_few_others():
    groups = [str(i) for i in range(1010)]
    few = splits.assign_roles(np.zeros(1000, int), groups[:1000], None, FRACTIONS, 0)
    more = splits.assign_roles(np.zeros(1010, int), groups, None, FRACTIONS, 0)
    role_few = {i: role for role, indices in few.items() for i in indices}
    role_more = {i: role for role, indices in more.items() for i in indices}
    assert sum(role_few[i] != role_more[i] for i in role_few) <= 20


def test_a_group_with_an_anomaly_goes_to_test_whole():
    groups = ["mixed"] * 10 + [str(i) for i in range(200)]
    labels = np.array([1] + [0] * 209)
    roles = splits.assign_roles(labels, groups, None, FRACTIONS, 0)
    assert set(range(10)) <= set(roles["test"].tolist())
    assert len(roles["test"]) - 1 == round(0.15 * 209)  # those nine normals count


def test_training_normals_of_a_group_in_the_official_test_split_are_dropped():
    groups = ["shared"] * 6 + [str(i) for i in range(100)]
    in_test = np.array([True] * 3 + [False] * 83 + [True] * 20)
    labels = np.zeros(106, int)
    labels[-5:] = 1
    roles = splits.assign_roles(labels, groups, in_test, FRACTIONS, 0)
    everyone = set(np.concatenate(list(roles.values())).tolist())
    assert not everyone & {3, 4, 5}
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


def test_balance_thins_out_the_larger_side_only():
    labels = np.array([0] * 30 + [1] * 8)
    files = [str(i) for i in range(38)]
    test = splits.balance_test(np.arange(38), labels, files, seed=0)
    assert (labels[test] == 1).sum() == (labels[test] == 0).sum() == 8
    assert test.tolist() == sorted(set(test.tolist()))
    assert test.tolist() == splits.balance_test(np.arange(38), labels, files, seed=0).tolist()
    assert test.tolist() != splits.balance_test(np.arange(38), labels, files, seed=1).tolist()


def test_balance_without_anomalies_changes_nothing():
    test = np.arange(5)
    assert splits.balance_test(test, np.zeros(5, int), list("abcde"), 0).tolist() == test.tolist()


def test_what_may_only_be_tested_on_takes_its_group_along_and_no_share_of_the_normals():
    groups = [f"g{i // 4}" for i in range(400)]
    labels = np.zeros(400, int)
    test_only = np.arange(400) >= 200
    test_only[203] = False  # of a group that is bound otherwise
    roles = splits.assign_roles(labels, groups, None, splits.Fractions(0.1, 0.1, 0.2), 0, test_only)
    assert set(np.flatnonzero(test_only)) | {203} <= set(roles["test"])
    assert len(roles["test"]) == pytest.approx(200 + 0.2 * 200, abs=4)
    official = np.arange(400) < 40
    roles = splits.assign_roles(
        labels, groups, official, splits.Fractions(0.1, 0.1, 0.0), 0, test_only
    )
    assert set(roles["test"]) == set(range(40)) | set(range(200, 400))
