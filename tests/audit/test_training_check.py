import dataclasses
import logging

import numpy as np
import pytest

from vae_jax.audit.training_check import check_dataset
from vae_jax.errors import UserError


def copy_into_test(dataset, role):
    """Returns the dataset with the third image of a role as its first test image."""
    images = dataset.test.images.copy()
    images[0] = getattr(dataset, role).images[2]
    return dataclasses.replace(dataset, test=dataclasses.replace(dataset.test, images=images))


def test_a_clean_dataset_is_accepted_and_its_verdict_logged(dataset, config, caplog):
    caplog.set_level(logging.INFO)
    config.scoring.false_alarm_rate = 0.3
    check_dataset(dataset, config)
    assert "discs: short check of the images: " in caplog.text
    assert "refusal" not in caplog.text


@pytest.mark.parametrize("role", ["train", "val", "calibration"])
@pytest.mark.parametrize("stored", [False, True])
def test_a_copy_of_a_test_image_is_refused_with_both_names(dataset, config, on_disk, role, stored):
    copied = copy_into_test(dataset, role)
    if stored:
        copied = on_disk(copied)
    with pytest.raises(UserError, match=f"1 image in test .* \\(test/0.png = {role}/2.png\\)"):
        check_dataset(copied, config)


def test_copies_are_allowed_on_request_and_named_in_the_verdict(dataset, config, caplog):
    caplog.set_level(logging.INFO)
    config.data.allow_duplicates = True
    check_dataset(copy_into_test(dataset, "train"), config)
    assert "1 test image with a copy in training" in caplog.text


def test_an_image_that_differs_in_one_pixel_outside_the_sample_is_no_copy(config, dataset):
    def enlarge(examples):
        large = examples.images.repeat(8, axis=1).repeat(8, axis=2)
        return dataclasses.replace(examples, images=large)

    dataset = dataclasses.replace(
        copy_into_test(dataset, "train"),
        **{role: enlarge(getattr(dataset, role)) for role in ("train", "val", "calibration")},
    )
    dataset = dataclasses.replace(dataset, test=enlarge(dataset.test))
    with pytest.raises(UserError, match="equal pixels"):
        check_dataset(dataset, config)
    dataset.test.images[0, 1, 1] ^= 1
    check_dataset(dataset, config)


def test_copies_within_a_role_are_accepted(dataset, config):
    images = dataset.train.images.copy()
    images[1] = images[0]
    train = dataclasses.replace(dataset.train, images=images)
    check_dataset(dataclasses.replace(dataset, train=train), config)


def test_a_shortcut_and_empty_images_are_in_the_verdict(dataset, config, caplog):
    caplog.set_level(logging.INFO)
    sizes = dataset.test.stored_size.copy()
    sizes[dataset.test.labels == 1, 0] = 12
    images = dataset.train.images.copy()
    images[3] = 77
    dataset = dataclasses.replace(
        dataset,
        train=dataclasses.replace(dataset.train, images=images),
        test=dataclasses.replace(dataset.test, stored_size=sizes),
    )
    check_dataset(dataset, config)
    assert "width of the file (1.000)" in caplog.text
    assert "1 constant image" in caplog.text


def test_anomalies_without_a_marked_pixel_in_view_are_in_the_verdict(dataset, config, caplog):
    caplog.set_level(logging.INFO)
    out_of_view = np.arange(len(dataset.test)) == len(dataset.test) - 1
    test = dataclasses.replace(dataset.test, out_of_view=out_of_view)
    check_dataset(dataclasses.replace(dataset, test=test), config)
    assert "1 anomaly out of view" in caplog.text


def test_images_that_show_nothing_are_no_copies_of_each_other(dataset, config):
    images = {role: getattr(dataset, role).images.copy() for role in ("train", "test")}
    for pixels in images.values():
        pixels[0] = 0
    roles = {
        role: dataclasses.replace(getattr(dataset, role), images=pixels)
        for role, pixels in images.items()
    }
    check_dataset(dataclasses.replace(dataset, **roles), config)


def test_whole_images_are_compared_where_they_are_cut_into_tiles(dataset, config):
    def pair_up(examples):
        """Makes two rows the tiles of one image."""
        count = len(examples) // 2 * 2
        examples = examples.take(np.arange(count))
        return dataclasses.replace(
            examples,
            files=[file for file in examples.files[::2] for _ in range(2)],
            boxes=np.array([(8 * (i % 2), 0, 8) for i in range(count)], np.int32),
        )

    roles = {role: pair_up(getattr(dataset, role)) for role in ("train", "val", "calibration")}
    tiled = dataclasses.replace(dataset, **roles, test=pair_up(dataset.test))
    check_dataset(tiled, config)
    images = tiled.test.images
    images[0] = tiled.train.images[4]
    check_dataset(tiled, config)
    images[1] = tiled.train.images[5]
    with pytest.raises(UserError, match=r"test/0\.png = train/4\.png"):
        check_dataset(tiled, config)
