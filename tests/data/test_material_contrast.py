import dataclasses

import numpy as np
import pytest

from vae_jax.data.examples import Examples
from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.data.material_contrast import (
    DEVIATION,
    MEAN,
    fit_material_levels,
    normalise_materials,
)
from vae_jax.errors import UserError

TRAIN = np.array([0, 1, 2, 3, 6, 7, 8, 9])


def make_examples(images, materials):
    num = len(images)
    return Examples(
        images=images,
        labels=np.zeros(num, np.int32),
        classes=["roll"] * num,
        files=[str(i) for i in range(num)],
        groups=[str(i) for i in range(num)],
        stored_size=np.zeros((num, 3), np.int32),
        has_mask=np.zeros(num, bool),
        materials=materials,
    )


@pytest.fixture
def fabrics():
    """Six dark images, then six light ones with less contrast; the last of each is brighter."""
    rng = np.random.default_rng(0)
    dark, light = rng.normal(60, 15, (6, 16, 16, 1)), rng.normal(170, 6, (6, 16, 16, 1))
    dark[5] += 40
    light[5] += 10
    images = np.concatenate([dark, light]).clip(0, 255).astype(np.uint8)
    return make_examples(images, ["02"] * 6 + ["04"] * 6)


def normalise(examples, train_rows):
    return normalise_materials(examples, fit_material_levels(examples, train_rows, "aitex"))


def test_training_images_of_each_material_get_the_same_mean_and_deviation(fabrics):
    images = normalise(fabrics, TRAIN).images / 255
    for rows in (TRAIN[:4], TRAIN[4:]):
        assert images[rows].mean() == pytest.approx(MEAN, abs=0.002)
        assert images[rows].std() == pytest.approx(DEVIATION, rel=0.02)


def test_a_test_image_that_is_brighter_than_its_material_stays_brighter(fabrics):
    images = normalise(fabrics, TRAIN).images / 255
    assert images[5].mean() > images[4].mean() + 0.2
    assert images[11].mean() > images[10].mean() + 0.2


def test_other_images_than_training_images_have_no_influence(fabrics):
    before = normalise(fabrics, TRAIN).images
    fabrics.images[[4, 5, 10, 11]] = 0
    after = normalise(fabrics, TRAIN).images
    np.testing.assert_array_equal(before[TRAIN], after[TRAIN])


def test_a_brighter_pixel_never_becomes_darker(fabrics):
    images = normalise(fabrics, TRAIN).images
    order = np.argsort(fabrics.images[:6], axis=None)
    assert (np.diff(images[:6].ravel()[order].astype(int)) >= 0).all()


def test_images_of_one_grey_level_are_not_divided_by_zero():
    flat = make_examples(np.full((2, 4, 4, 1), 90, np.uint8), ["02", "02"])
    assert (normalise(flat, np.array([0])).images == 128).all()


def test_only_the_images_change(fabrics):
    normalised = normalise(fabrics, TRAIN)
    for field in dataclasses.fields(Examples):
        if field.name != "images":
            assert getattr(normalised, field.name) is getattr(fabrics, field.name)


def test_a_material_without_training_images_is_refused(fabrics):
    with pytest.raises(UserError, match=r"no training image has the material 04"):
        fit_material_levels(fabrics, TRAIN[:4], "aitex")


def test_a_dataset_without_materials_is_refused(fabrics):
    with pytest.raises(UserError, match=r"materials of the images of kvasir are unknown"):
        fit_material_levels(make_examples(fabrics.images, None), TRAIN, "kvasir")


def test_images_that_stay_on_disk_are_refused(fabrics):
    on_disk = make_examples(ImagesOnDisk.from_parts([fabrics.images]), fabrics.materials)
    with pytest.raises(UserError, match=r"stay on disk; set data.cache=host"):
        normalise(on_disk, TRAIN)
