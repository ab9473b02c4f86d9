import numpy as np
import pytest

from vae_jax.data import material_contrast
from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.data.table import Table
from vae_jax.errors import UserError


def table(images, materials):
    num = len(images)
    return Table(
        images=images,
        masks=None,
        has_mask=np.zeros(num, bool),
        stored_size=np.zeros((num, 3), np.int32),
        classes=["roll"] * num,
        files=[str(i) for i in range(num)],
        groups=[str(i) for i in range(num)],
        official_test=None,
        materials=materials,
    )


@pytest.fixture
def two():
    """Six images of a dark and six of a light fabric of less contrast; the last of each is brighter."""
    rng = np.random.default_rng(0)
    dark, light = rng.normal(60, 15, (6, 16, 16, 1)), rng.normal(170, 6, (6, 16, 16, 1))
    dark[5] += 40
    light[5] += 10
    images = np.concatenate([dark, light]).clip(0, 255).astype(np.uint8)
    return table(images, ["02"] * 6 + ["04"] * 6)


TRAIN = np.array([0, 1, 2, 3, 6, 7, 8, 9])


def test_training_images_of_each_material_come_to_one_mean_and_deviation(two):
    images = material_contrast.by_material(two, TRAIN, "aitex").images / 255
    for rows in (TRAIN[:4], TRAIN[4:]):
        assert images[rows].mean() == pytest.approx(material_contrast.MEAN, abs=0.002)
        assert images[rows].std() == pytest.approx(material_contrast.DEVIATION, rel=0.02)


def test_the_light_of_a_test_image_stays_in_it(two):
    images = material_contrast.by_material(two, TRAIN, "aitex").images / 255
    assert images[5].mean() > images[4].mean() + 0.2
    assert images[11].mean() > images[10].mean() + 0.2


def test_only_training_images_are_looked_at(two):
    before = material_contrast.by_material(two, TRAIN, "aitex").images
    two.images[[4, 5, 10, 11]] = 0
    after = material_contrast.by_material(two, TRAIN, "aitex").images
    np.testing.assert_array_equal(before[TRAIN], after[TRAIN])


def test_a_brighter_pixel_never_becomes_darker(two):
    images = material_contrast.by_material(two, TRAIN, "aitex").images
    order = np.argsort(two.images[:6], axis=None)
    assert (np.diff(images[:6].ravel()[order].astype(int)) >= 0).all()


def test_one_flat_material_does_not_divide_by_zero():
    flat = table(np.full((2, 4, 4, 1), 90, np.uint8), ["02", "02"])
    images = material_contrast.by_material(flat, np.array([0]), "aitex").images
    assert (images == 128).all()


def test_a_material_without_training_normals_is_refused(two):
    with pytest.raises(UserError, match=r"no training normal is of material 04"):
        material_contrast.by_material(two, TRAIN[:4], "aitex")


def test_a_dataset_without_materials_is_refused(two):
    with pytest.raises(UserError, match=r"kvasir does not say what"):
        material_contrast.by_material(table(two.images, None), TRAIN, "kvasir")


def test_images_that_stay_on_disk_are_refused(two):
    with pytest.raises(UserError, match=r"stay on disk; take data.cache=host"):
        material_contrast.by_material(
            table(ImagesOnDisk.whole([two.images]), two.materials), TRAIN, "aitex"
        )
