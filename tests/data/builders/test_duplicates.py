import io

import numpy as np
from PIL import Image

from vae_jax.data.builders import duplicates
from vae_jax.data.builders.reading import SourceImage


def encoded(level, form="PNG", mode="L", size=(6, 4)):
    stream = io.BytesIO()
    Image.fromarray(np.full(size[::-1], level, np.uint8)).convert(mode).save(stream, form)
    return stream.getvalue()


def groups(splits):
    return {
        item.file: item.group
        for listed in duplicates.merge_groups(splits).values()
        for item in listed
    }


def item(image, file, group=None):
    return SourceImage(image, "a", file, group or file)


def test_equal_pixels_are_one_group_in_any_encoding_and_across_splits():
    found = groups(
        {
            "train": [
                item(encoded(9), "1"),
                item(encoded(9, "BMP", "RGB"), "2"),
                item(encoded(8), "3"),
            ],
            "test": [item(encoded(9, "GIF"), "4")],
        }
    )
    assert found == {"1": "1", "2": "1", "3": "3", "4": "1"}


def test_groups_that_share_an_image_are_joined_with_all_their_images():
    listed = [
        item(encoded(1), "1", "c"),
        item(encoded(2), "2", "c"),
        item(encoded(2), "3", "b"),
        item(encoded(3), "4", "b"),
        item(encoded(3), "5", "a"),
        item(encoded(5), "6", "d"),
    ]
    found = groups({"train": listed})
    assert found == {"1": "a", "2": "a", "3": "a", "4": "a", "5": "a", "6": "d"}


def test_the_same_bytes_in_another_shape_are_another_image():
    listed = [item(encoded(7), "1"), item(encoded(7, size=(4, 6)), "2")]
    assert groups({"train": listed}) == {"1": "1", "2": "2"}


def test_unreadable_images_stay_for_the_preparation_to_tell():
    whole = encoded(7)
    listed = [
        item(b"nothing", "1"),
        item(b"nothing", "2"),
        item(whole[:45], "3"),
        item(whole, "4"),
    ]
    assert groups({"train": listed}) == {"1": "1", "2": "2", "3": "3", "4": "4"}


def test_order_and_splits_stay(tmp_path):
    (tmp_path / "x.png").write_bytes(encoded(7))
    splits = {"test": [item(tmp_path / "x.png", "1")], "train": [item(encoded(7), "2")], "none": []}
    joined = duplicates.merge_groups(splits)
    assert {split: [i.file for i in listed] for split, listed in joined.items()} == {
        "test": ["1"],
        "train": ["2"],
        "none": [],
    }
    assert joined["train"][0].group == "1"


def test_images_of_sixteen_bits_are_told_apart_beyond_the_first_eight():
    def deep(level):
        stream = io.BytesIO()
        Image.fromarray(np.full((4, 6), level, np.uint16)).save(stream, "PNG")
        return stream.getvalue()

    found = groups({"train": [item(deep(300), "1"), item(deep(400), "2"), item(deep(300), "3")]})
    assert found == {"1": "1", "2": "2", "3": "1"}
