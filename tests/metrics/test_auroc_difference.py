import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vae_jax.metrics.auroc_difference import subtract_aurocs
from vae_jax.metrics.delong import delong, delong_paired


def draw(seed, num_normals=60, num_anomalies=40, noise=0.3):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [num_normals, num_anomalies])
    scores = rng.normal(size=len(labels)) + labels
    return scores, scores + noise * rng.normal(size=len(labels)), labels


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 1)), max_size=12).map(
        lambda rows: np.array([*rows, (0, 0, 0), (1, 1, 1)])
    )
)
def test_the_interval_contains_its_value_and_the_reverse_has_the_other_sign(rows):
    a, b, labels = rows[:, 0].astype(float), rows[:, 1].astype(float), rows[:, 2]
    difference = subtract_aurocs(a, b, labels)
    assert difference["value"] == delong(a, labels)["value"] - delong(b, labels)["value"]
    assert -1 <= difference["low"] <= difference["value"] <= difference["high"] <= 1
    reverse = subtract_aurocs(b, a, labels)
    assert reverse["low"] == pytest.approx(-difference["high"], abs=1e-6)
    assert reverse["high"] == pytest.approx(-difference["low"], abs=1e-6)


def test_scores_that_order_all_images_alike_have_no_difference():
    scores, _, labels = draw(4)
    same = subtract_aurocs(scores, np.exp(scores), labels)
    assert same == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_the_interval_is_narrower_than_those_of_both_scores_and_contains_that_of_delong():
    a, b, labels = draw(5)
    difference, narrow = subtract_aurocs(a, b, labels), delong_paired(a, b, labels)
    assert difference["low"] <= narrow["low"] < narrow["high"] <= difference["high"]
    widths = [
        interval["high"] - interval["low"] for interval in (delong(a, labels), delong(b, labels))
    ]
    assert difference["high"] - difference["low"] < 0.7 * min(widths)


def test_two_scores_without_an_error_may_still_differ():
    # The other score is as uncertain as one AUROC of 1, by the quadratic equation of Newcombe, less what
    # correlated scores share.
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    a, b = (10 * labels + rng.normal(size=60) for _ in range(2))
    difference = subtract_aurocs(a, b, labels)
    assert difference["value"] == 0
    assert difference["high"] == pytest.approx(-difference["low"])
    assert difference["high"] == pytest.approx(1 - delong(a, labels)["low"], abs=0.02)
    related = subtract_aurocs(a, a + 0.01 * rng.normal(size=60), labels)
    assert 0 < related["high"] <= difference["high"]


def test_a_single_anomaly_has_a_wide_interval():
    difference = subtract_aurocs(np.arange(4.0), np.arange(4.0)[::-1], np.array([0, 0, 0, 1]))
    assert difference["value"] == difference["high"] == 1
    assert difference["low"] < 0.5


def test_copies_of_an_image_in_a_group_count_as_one_image():
    a, b, labels = draw(6)
    once = subtract_aurocs(a, b, labels)
    grouped = subtract_aurocs(*(np.repeat(v, 4) for v in (a, b, labels, np.arange(100))))
    for end in ("value", "low", "high"):
        assert grouped[end] == pytest.approx(once[end], abs=2e-3)


def test_many_images_have_the_interval_of_delong():
    a, b, labels = draw(7, 3000, 3000, noise=1.0)
    difference, narrow = subtract_aurocs(a, b, labels), delong_paired(a, b, labels)
    reach = stats.norm.ppf(0.975) * narrow["variance"] ** 0.5
    assert difference["high"] - difference["value"] == pytest.approx(reach, rel=0.1)
    assert difference["value"] - difference["low"] == pytest.approx(reach, rel=0.1)
