import numpy as np
import pytest

from vae_jax.metrics import clusters


def test_groups_are_numbered_in_the_order_of_their_first_image():
    assert clusters.number_groups(["c", "a", "c", "b"], 4).tolist() == [0, 1, 0, 2]
    assert clusters.number_groups(None, 3).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="found 2 groups for 3 images"):
        clusters.number_groups(["a", "b"], 3)


@pytest.mark.parametrize(("correlation", "worth"), [(0.0, 1.0), (0.5, 1 / 2.5), (1.0, 1 / 4)])
def test_images_are_worth_as_many_as_the_design_effect_says(correlation, worth):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(400), 4)
    shared = rng.normal(size=400)[groups]
    scores = correlation**0.5 * shared + (1 - correlation) ** 0.5 * rng.normal(size=1600)
    assert clusters.effective_size(scores, groups) == pytest.approx(1600 * worth, rel=0.08)


def test_one_group_is_worth_one_image_and_groups_of_one_are_worth_all():
    scores = np.arange(5.0)
    assert clusters.effective_size(scores, np.zeros(5, int)) == pytest.approx(1)
    assert clusters.effective_size(scores, np.arange(5)) == 5
    assert clusters.effective_size(np.zeros(6), np.repeat([0, 1], 3)) == pytest.approx(2)
