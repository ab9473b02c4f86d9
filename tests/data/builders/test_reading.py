import hashlib
import io
import re

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import decode
from vae_jax.data.builders.reading import (
    SourceImage,
    describe_lost_class,
    describe_unreadable,
    read_images,
)


def encode(width, height, form="PNG"):
    file = io.BytesIO()
    Image.new("L", (width, height), 255).save(file, form)
    return file.getvalue()


@pytest.fixture
def source(tmp_path):
    """Returns a function: (content of the image file, content of the mask or None) -> a source image."""

    def make(image, mask=None, number=0):
        path, mask_path = tmp_path / f"{number}.png", tmp_path / f"{number}_mask.png"
        path.write_bytes(image)
        if isinstance(mask, bytes):
            mask_path.write_bytes(mask)
        return SourceImage(path, "a", path.name, path.name, mask_path if mask is not None else None)

    return make


def test_an_image_is_returned_as_it_is_stored_with_its_size_and_digest(source):
    image, mask = encode(6, 4, "BMP"), encode(6, 4)
    (checked,) = read_images([source(image, mask)])
    assert (checked.image, checked.mask, checked.size) == (image, mask, (6, 4))
    assert checked.digest == hashlib.sha256(image + mask).hexdigest()


def test_many_images_keep_their_order(source):
    sizes = np.random.default_rng(0).integers(1, 9, (50, 2)).tolist()
    images = [source(encode(*size), number=number) for number, size in enumerate(sizes)]
    assert [list(checked.size) for checked in read_images(images)] == sizes


def test_bytes_with_a_known_size_are_not_decoded():
    (checked,) = read_images([SourceImage(b"no image", "a", "0", "0", size=(8, 8))])
    assert (checked.image, checked.size, checked.mask) == (b"no image", (8, 8), b"")


def test_the_reason_why_an_image_cannot_be_read_is_one_line(source):
    images = [
        source(b"text", number=0),
        source(encode(60, 40, "BMP")[:200], number=1),
        source(encode(6, 4), b"text", number=2),
        source(encode(6, 4), encode(4, 6), number=3),
    ]
    reasons = list(read_images(images))
    assert all(isinstance(reason, str) and "\n" not in reason for reason in reasons)
    assert reasons[0] == "not an image"
    assert reasons[2] == "its mask 2_mask.png: not an image"
    assert reasons[3].startswith("its mask 3_mask.png: 4x6 pixels, but its image has 6x4")


def test_the_reason_names_a_mask_that_was_united_from_several_files(tmp_path):
    (tmp_path / "0.png").write_bytes(encode(6, 4))
    image = SourceImage(tmp_path / "0.png", "a", "0.png", "0.png", mask=encode(4, 6))
    (reason,) = read_images([image])
    assert reason.startswith("its united mask: 4x6 pixels")


def test_several_masks_of_one_image_are_united(tmp_path):
    pixels = np.zeros((2, 4, 6), np.uint8)
    pixels[0, 1, :2], pixels[1, 2:, 5] = 255, 1
    paths = tuple(tmp_path / f"{i}.png" for i in range(2))
    for path, mask in zip(paths, pixels, strict=True):
        Image.fromarray(mask).save(path)
    (tmp_path / "image.png").write_bytes(encode(6, 4))
    image = SourceImage(tmp_path / "image.png", "a", "image.png", "image.png", mask=paths)
    (checked,) = read_images([image])
    np.testing.assert_array_equal(decode.decode_whole_mask(checked.mask), pixels.any(axis=0))
    assert (checked.num_marked, checked.num_mask_pixels) == (4, 24)


@pytest.mark.parametrize(
    ("reasons", "message"),
    [
        ({"a.png": "cut"}, r"^1 unreadable image: a\.png \(cut\); replace them"),
        (
            {f"{i}.png": "cut" for i in range(7)},
            r"^7 unreadable images: 0\.png \(cut\); .*4\.png \(cut\); and 2 more; replace them",
        ),
    ],
)
def test_the_message_names_five_unreadable_images_and_counts_the_others(reasons, message):
    assert re.match(message, describe_unreadable(reasons))


@pytest.mark.parametrize(
    ("unreadable", "message"),
    [
        ("", ""),
        ("ac", ""),
        ("cd", "no image of the class bad could be read; 2 unreadable images: c (cut); d (cut); "),
        ("abcd", "no image could be read; 4 unreadable images: a (cut); b (cut); "),
    ],
)
def test_the_message_names_a_class_of_which_no_image_can_be_read(unreadable, message):
    images = [
        SourceImage(b"", class_name, file, file)
        for class_name, files in (("good", "ab"), ("bad", "cd"))
        for file in files
    ]
    described = describe_lost_class(images, dict.fromkeys(unreadable, "cut"))
    assert described.startswith(message)
    assert bool(described) == bool(message)
