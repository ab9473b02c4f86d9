import math

import numpy as np
import pytest

from vae_jax import noise
from vae_jax.training import plans as plans_lib


def make_plans(num_images, batch_size, steps_per_call, *, seed=0, epoch=0):
    classes = np.arange(num_images, dtype=np.int32) % 3
    return list(plans_lib.make_plans(seed, epoch, classes, batch_size, steps_per_call))


SIZES = pytest.mark.parametrize(
    ("num_images", "batch_size", "steps_per_call"),
    [(70, 16, 64), (70, 16, 2), (64, 16, 2), (5, 16, 64), (7, 1, 3)],
)


@SIZES
def test_every_image_counts_exactly_once_in_the_order_of_the_epoch(
    num_images, batch_size, steps_per_call
):
    plans = make_plans(num_images, batch_size, steps_per_call, seed=3, epoch=5)
    rows = np.concatenate([plan.rows[plan.mask == 1] for plan, _ in plans])
    np.testing.assert_array_equal(rows, noise.draw_permutation(3, 5, num_images))


@SIZES
def test_steps_that_are_run_hold_images_and_the_others_only_padding(
    num_images, batch_size, steps_per_call
):
    plans = make_plans(num_images, batch_size, steps_per_call)
    assert sum(num_steps for _, num_steps in plans) == math.ceil(num_images / batch_size)
    for plan, num_steps in plans:
        assert plan.mask[:num_steps, 0].all()
        assert not plan.mask[num_steps:].any()


@SIZES
def test_all_plans_of_an_epoch_have_one_shape(num_images, batch_size, steps_per_call):
    plans = make_plans(num_images, batch_size, steps_per_call)
    assert len({plan.rows.shape for plan, _ in plans}) == 1
    for plan, _ in plans:
        assert plan.rows.shape == plan.mask.shape == plan.index.shape == plan.class_index.shape


def test_padding_repeats_an_image_and_every_image_has_its_index_and_class():
    for plan, _ in make_plans(70, 16, 2):
        assert np.isin(plan.rows, np.arange(70)).all()
        np.testing.assert_array_equal(plan.index, plan.rows)
        np.testing.assert_array_equal(plan.class_index, plan.rows % 3)


def test_the_order_depends_on_seed_and_epoch():
    orders = [
        make_plans(70, 70, 1, seed=seed, epoch=epoch)[0][0].rows.tolist()
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))
    ]
    assert orders[0] == orders[3]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]
