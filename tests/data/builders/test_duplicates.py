import io

import numpy as np
from PIL import Image

from vae_jax.data.builders import duplicates
from vae_jax.data.builders.reading import SourceImage


def encoded(level, form="PNG", mode="L", size=(6, 4)):
    stream = io.BytesIO()
    Image.fromarray(np.full(size[::-1], level, np.uint8)).convert(mode).save(stream, form)
    return stream.getvalue()


def merged_groups(splits):
    return {
        image.file: image.group
        for images in duplicates.merge_groups(splits).values()
        for image in images
    }


def source_image(encoded_image, file, group=None):
    return SourceImage(encoded_image, "a", file, group or file)


def test_equal_pixels_are_one_group_in_any_encoding_and_across_splits():
    groups = merged_groups(
        {
            "train": [
                source_image(encoded(9), "1"),
                source_image(encoded(9, "BMP", "RGB"), "2"),
                source_image(encoded(8), "3"),
            ],
            "test": [source_image(encoded(9, "GIF"), "4")],
        }
    )
    assert groups == {"1": "1", "2": "1", "3": "3", "4": "1"}


def test_groups_that_share_an_image_are_joined_with_all_their_images():
    images = [
        source_image(encoded(1), "1", "c"),
        source_image(encoded(2), "2", "c"),
        source_image(encoded(2), "3", "b"),
        source_image(encoded(3), "4", "b"),
        source_image(encoded(3), "5", "a"),
        source_image(encoded(5), "6", "d"),
    ]
    groups = merged_groups({"train": images})
    assert groups == {"1": "a", "2": "a", "3": "a", "4": "a", "5": "a", "6": "d"}


def test_images_with_the_same_bytes_but_another_shape_are_different():
    images = [source_image(encoded(7), "1"), source_image(encoded(7, size=(4, 6)), "2")]
    assert merged_groups({"train": images}) == {"1": "1", "2": "2"}


def test_an_unreadable_image_stays_in_its_group():
    whole = encoded(7)
    images = [
        source_image(b"nothing", "1"),
        source_image(b"nothing", "2"),
        source_image(whole[:45], "3"),
        source_image(whole, "4"),
    ]
    assert merged_groups({"train": images}) == {"1": "1", "2": "2", "3": "3", "4": "4"}


def test_the_order_of_the_images_and_their_splits_stay_the_same(tmp_path):
    (tmp_path / "x.png").write_bytes(encoded(7))
    splits = {
        "test": [source_image(tmp_path / "x.png", "1")],
        "train": [source_image(encoded(7), "2")],
        "none": [],
    }
    joined = duplicates.merge_groups(splits)
    assert {split: [image.file for image in images] for split, images in joined.items()} == {
        "test": ["1"],
        "train": ["2"],
        "none": [],
    }
    assert joined["train"][0].group == "1"


def test_images_of_sixteen_bits_are_compared_with_all_their_bits():
    def deep(level):
        stream = io.BytesIO()
        Image.fromarray(np.full((4, 6), level, np.uint16)).save(stream, "PNG")
        return stream.getvalue()

    groups = merged_groups(
        {
            "train": [
                source_image(deep(300), "1"),
                source_image(deep(400), "2"),
                source_image(deep(300), "3"),
            ]
        }
    )
    assert groups == {"1": "1", "2": "2", "3": "1"}
