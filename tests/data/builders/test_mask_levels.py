import io

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import decode
from vae_jax.data.builders import mask_levels
from vae_jax.errors import UserError
from vae_jax.field_syntax import check_mask_rule

LEVELS = np.repeat(np.array([0, 1, 85, 127, 128, 170, 255], np.uint8), 4).reshape(4, 7, order="F")
MARKS = LEVELS > 0


def encode(image, form="PNG", **options):
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, form, **options)
    return file.getvalue()


def mark(encoded, rule="auto"):
    """Returns the pixels that count as abnormal when the stored mask is decoded."""
    return decode.decode_whole_mask(mask_levels.standardise_masks([encoded], rule).encoded) == 1


def paint(colour, mode="RGB", background=(0, 0, 0, 0)):
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.where(MARKS[..., None], np.uint8(colour), np.uint8(background[:bands]))
    return Image.fromarray(pixels, mode)


def paint_palette():
    image = Image.fromarray(MARKS.astype(np.uint8) * 2, "P")
    image.putpalette([0, 0, 0, 9, 9, 9, 128, 0, 0])
    return image


@pytest.mark.parametrize(
    "image",
    [
        LEVELS,
        LEVELS.astype(np.uint16),
        LEVELS.astype(np.uint16) * 257,
        LEVELS.astype(np.int32),
        MARKS,
        paint((255, 0, 0)),
        paint((0, 0, 1)),
        paint((0, 0, 128, 255), "RGBA"),
        paint((255, 255, 255, 255), "RGBA", (255, 255, 255, 0)),
        paint((40, 255), "LA"),
        paint_palette(),
    ],
)
def test_every_value_above_0_is_abnormal(image):
    form = "TIFF" if getattr(image, "dtype", None) == np.int32 else "PNG"
    np.testing.assert_array_equal(mark(encode(image, form)), MARKS)


def test_noise_of_lossy_compression_is_not_abnormal():
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 255
    encoded = encode(mask, "JPEG", quality=60)
    assert (np.asarray(Image.open(io.BytesIO(encoded)))[mask == 0] > 0).any()
    np.testing.assert_array_equal(mark(encoded), mask > 0)


def test_several_levels_in_a_lossy_file_are_refused():
    mask = np.zeros((64, 64), np.uint8)
    mask[:16], mask[16:32], mask[48:50] = 85, 170, 255
    with pytest.raises(ValueError, match=r"several levels in a file with lossy .*store it as PNG"):
        mask_levels.standardise_masks([encode(mask, "JPEG")], "auto")


@pytest.mark.parametrize("rule", ["auto", "half"])
def test_a_lossy_or_smooth_mask_without_a_bright_pixel_is_refused(rule):
    encoded = encode(np.full((8, 8), 90, np.uint8), "JPEG")
    with pytest.raises(ValueError, match=r"no pixel is brighter than half \(highest value 90\)"):
        mask_levels.standardise_masks([encoded], rule)


def test_a_mask_that_only_differs_in_its_transparency_is_refused():
    image = paint((0, 0, 0, 255), "RGBA")
    with pytest.raises(ValueError, match="only their transparency differs; store"):
        mask_levels.standardise_masks([encode(image)], "auto")


@pytest.mark.parametrize(
    ("rule", "marks"),
    [
        ("half", LEVELS > 127),
        ("above:0", LEVELS > 0),
        ("above:127", LEVELS > 127),
        ("below:128", LEVELS < 128),
        ("below:1", LEVELS == 0),
    ],
)
def test_a_rule_names_the_abnormal_values(rule, marks):
    check_mask_rule("auto" if rule == "half" else rule)
    np.testing.assert_array_equal(mark(encode(LEVELS), rule), marks)


def test_a_mask_that_is_already_black_and_white_stays_as_it_is_stored():
    encoded = encode(MARKS.astype(np.uint8) * 255)
    mask = mask_levels.standardise_masks([encoded], "auto")
    assert mask.encoded == mask.content == encoded
    assert (mask.num_marked, mask.num_pixels) == (24, 28)


def test_the_content_of_a_mask_differs_if_and_only_if_its_marks_differ():
    contents = {
        rule: mask_levels.standardise_masks([encode(LEVELS)], rule).content
        for rule in ("auto", "above:0", "above:1")
    }
    assert contents["auto"] == contents["above:0"] != contents["above:1"]


def test_masks_of_different_sizes_are_not_united():
    masks = [encode(np.zeros(shape, np.uint8)) for shape in ((4, 6), (6, 4))]
    with pytest.raises(ValueError, match="several masks with "):
        mask_levels.standardise_masks(masks, "auto")


def test_masks_that_mark_most_pixels_are_refused_with_the_field_that_says_what_is_abnormal():
    mask_levels.check_share(50, 100)
    mask_levels.check_share(0, 0)
    with pytest.raises(UserError, match=r"^51% of the pixels.*--config\.data\.mask_values.*below"):
        mask_levels.check_share(51, 100)
