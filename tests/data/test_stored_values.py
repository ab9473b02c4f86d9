"""What is noted about the values of a file: depth that was lost, range, and transparency."""

import io

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import decode
from vae_jax.data.frame_file import UNKNOWN_RANGE, ValueRange, make_frame, read_range
from vae_jax.data.intensity import (
    EIGHT_BITS,
    KIND,
    OPAQUE,
    OWN_RANGE,
    REDUCED,
    RESCALED,
    SHAPE,
    TRANSPARENCY,
    TRANSPARENT,
    WHITE,
    WINDOWED,
    Intensity,
)
from vae_jax.data.stored_values import measure_levels
from vae_jax.errors import UserError


def encode(image, image_format="PNG", **options):
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def measure(encoded):
    return measure_levels(decode.open_upright(encoded))


def make_alpha(values):
    pixels = np.full((4, 4, 4), 90, np.uint8)
    pixels[..., 3] = np.resize(values, (4, 4))
    return encode(Image.fromarray(pixels, "RGBA"))


@pytest.mark.parametrize(
    ("alpha", "kind"),
    [
        ([255], OPAQUE),
        ([0, 255], SHAPE),
        ([0], TRANSPARENT),
        ([254, 255], TRANSPARENT),
        ([0, 100, 255], TRANSPARENT),
    ],
)
def test_transparency_is_classified_by_its_values(alpha, kind):
    assert measure(make_alpha(alpha)) == (*EIGHT_BITS[:-1], kind)


def test_a_transparent_colour_of_a_palette_is_a_shape():
    image = Image.new("P", (4, 4), 1)
    image.putpixel((0, 0), 0)
    image.putpalette([0, 0, 0, 51, 51, 51])
    assert measure(encode(image, transparency=0))[TRANSPARENCY] == SHAPE
    assert measure(encode(image)) == EIGHT_BITS


def test_deep_colours_of_a_ppm_are_known_to_be_reduced():
    values = np.full((2, 2, 3), 4095, ">u2").tobytes()
    levels = measure(b"P6 2 2 65535\n" + values)
    assert levels == (16 * 257, 16 * 257, 0, 65_535, REDUCED, OPAQUE)
    assert measure(b"P6 2 2 255\n" + bytes(12)) == EIGHT_BITS


def test_deep_colours_of_a_jpeg_2000_are_known_to_be_reduced():
    encoded = encode(Image.new("RGB", (8, 8), (90, 60, 30)), "JPEG2000")
    assert measure(encoded) == EIGHT_BITS
    deep = bytearray(encoded)
    start = encoded.find(b"\xff\x4f\xff\x51") + 42
    for band in range(3):
        assert deep[start + 3 * band] == 7
        deep[start + 3 * band] = 15  # bits, less one
    levels = measure(bytes(deep))
    assert (levels[WHITE], levels[KIND]) == (65_535, REDUCED)


def encode_frame(values, value_range):
    return make_frame(values, value_range).encoded


FRAME = np.array([[-1024.0, 0.0], [40.5, 3071.0]])


@pytest.mark.parametrize("value_range", [ValueRange(-160, 240, True), ValueRange(3071, -1024)])
def test_a_frame_keeps_its_values_and_its_range(value_range):
    encoded = encode_frame(FRAME, value_range)
    image = decode.open_upright(encoded)
    np.testing.assert_array_equal(np.asarray(image), FRAME)
    kind = WINDOWED if value_range.is_window else RESCALED
    assert measure_levels(image) == (-1024, 3071, *value_range[:2], kind, OPAQUE)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_frame_is_mapped_through_its_range_or_through_the_window(channels):
    def levels(value_range, intensity):
        encoded = encode_frame(FRAME, value_range)
        decoded = decode.decode_image(encoded, 2, channels, 1.0, intensity)
        assert decoded.shape == (2, 2, channels)
        return decoded[..., -1].ravel().tolist()

    window = Intensity("window", 0, 81)
    assert levels(ValueRange(-160, 240, True), Intensity()) == [0, 102, 128, 255]
    assert levels(ValueRange(-160, 240, True), window) == [0, 0, 128, 255]
    # Low values are bright, as in MONOCHROME1.
    assert levels(ValueRange(240, -160, True), Intensity()) == [255, 153, 127, 0]
    assert levels(ValueRange(240, -160, True), window) == [255, 255, 128, 0]
    assert levels(UNKNOWN_RANGE, window) == [0, 0, 128, 255]
    assert levels(UNKNOWN_RANGE, OWN_RANGE) == [0, 64, 66, 255]


def test_fractions_without_a_range_are_refused_unless_a_window_is_given():
    with pytest.raises(
        UserError, match=r"from -1024 to 3071, and its file does not say.*window:LOW"
    ):
        decode.decode_image(encode_frame(FRAME, UNKNOWN_RANGE), 2, 1, 1.0)


def test_a_constant_frame_has_its_own_range():
    encoded = encode_frame(np.full((4, 4), 7.5), UNKNOWN_RANGE)
    assert (decode.decode_image(encoded, 4, 1, 1.0, OWN_RANGE) == 0).all()


def test_other_images_of_fractions_are_no_frames():
    encoded = encode(Image.fromarray(FRAME.astype(np.float32)), "TIFF")
    assert read_range(Image.open(io.BytesIO(encoded))) is None
    with pytest.raises(ValueError, match="floating-point"):
        decode.check_image(encoded)
