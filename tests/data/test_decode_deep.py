"""Images with more than 8 bits: their values survive until the resized image is rounded."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import decode
from vae_jax.data.intensity import EIGHT_BITS, FULL, OPAQUE, REDUCED, WHOLE, Intensity
from vae_jax.data.stored_values import measure_levels


def _encode(image, image_format="PNG", **options):
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def _encode_swapped(values):
    """Returns a TIFF whose numbers have their most significant byte first."""
    return _encode(
        Image.frombytes("I;16B", values.shape[::-1], values.astype(">u2").tobytes()), "TIFF"
    )


ENCODE = {
    "png": lambda values: _encode(Image.fromarray(values.astype(np.uint16))),
    "tiff": lambda values: _encode(Image.fromarray(values.astype(np.uint16)), "TIFF"),
    "lzw": lambda values: _encode(
        Image.fromarray(values.astype(np.uint16)), "TIFF", compression="tiff_lzw"
    ),
    "swapped": _encode_swapped,
    "int32": lambda values: _encode(Image.fromarray(values.astype(np.int32)), "TIFF"),
}


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("kind", ENCODE)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_window_maps_the_values_of_a_sensor_to_all_grey_levels(kind, bits, channels):
    levels = np.arange(256).reshape(16, 16)
    values = np.round(levels / 255 * (2**bits - 1))
    window = Intensity("window", 0, 2**bits - 1)
    decoded = decode.decode_image(ENCODE[kind](values), 16, channels, 1.0, window)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, np.repeat(levels[..., None], channels, axis=-1))


@pytest.mark.parametrize("kind", ["png", "tiff", "lzw", "swapped"])
def test_the_full_range_of_16_bits_is_rounded_to_the_nearest_grey_level(kind):
    values = np.random.default_rng(0).integers(0, 2**16, (16, 16))
    decoded = decode.decode_image(ENCODE[kind](values), 16, 1, 1.0)
    np.testing.assert_array_equal(decoded[..., 0], np.rint(values / 257))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("value", "grey"),
    [(0, 0), (1, 0), (128, 0), (129, 1), (13_107, 51), (13_235, 51), (13_236, 52), (30_000, 117),
     (32_767, 127), (32_768, 128), (65_406, 254), (65_407, 255), (65_535, 255)],
)  # fmt: skip
def test_a_value_of_16_bits_becomes_the_nearest_of_256_levels(value, grey, channels):
    decoded = decode.decode_image(ENCODE["png"](np.full((4, 4), value)), 4, channels, 1.0)
    assert decoded.shape == (4, 4, channels)
    assert (decoded == grey).all()


def test_values_are_rounded_after_the_image_is_resized():
    values = np.full((64, 64), 300)
    values[::2] = 301  # each half is less than a grey level apart
    window = Intensity("window", 300, 301)
    decoded = decode.decode_image(ENCODE["png"](values), 4, 1, 1.0, window)
    assert (abs(decoded[1:-1].astype(int) - 127) <= 1).all()
    values = np.full((64, 64), 127 * 257)
    values[::2] += 256  # the mean is above half of the way to the next level only before rounding
    assert (decode.decode_image(ENCODE["png"](values + 8), 4, 1, 1.0) == 128).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("framing", ["crop", "stretch", "pad"])
def test_deep_images_are_framed_like_images_with_8_bits(framing, channels):
    levels = np.random.default_rng(0).integers(0, 256, (20, 50), np.uint8)
    shallow = decode.decode_image(
        _encode(Image.fromarray(levels)), 24, channels, 0.9, FULL, framing
    )
    window = Intensity("window", 0, 255 * 16)
    deep = decode.decode_image(
        ENCODE["png"](levels.astype(int) * 16), 24, channels, 0.9, window, framing
    )
    assert deep.shape == shallow.shape == (24, 24, channels)
    np.testing.assert_allclose(deep.astype(int), shallow.astype(int), atol=1)


def test_values_outside_the_window_are_black_or_white():
    values = np.array([[0, 99, 100], [150, 200, 201], [1000, 65535, 120]])
    decoded = decode.decode_image(ENCODE["png"](values), 3, 1, 1.0, Intensity("window", 100, 200))
    assert decoded[..., 0].tolist() == [[0, 0, 0], [128, 255, 255], [255, 255, 51]]


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("L", 3), ("RGB", 3), ("RGBA", 3)])
def test_a_window_applies_to_8_bits_as_well(mode, channels):
    image = Image.new("RGB", (8, 8), (60, 60, 60)).convert(mode)
    decoded = decode.decode_image(_encode(image), 8, channels, 1.0, Intensity("window", 50, 70))
    assert decoded.shape == (8, 8, channels)
    assert (decoded == 128).all()


def test_a_full_range_does_not_change_8_bits():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    expected = (
        Image.fromarray(pixels).crop((0, 5, 30, 35)).resize((8, 8), Image.Resampling.BILINEAR)
    )
    decoded = decode.decode_image(_encode(Image.fromarray(pixels)), 8, 3, 1.0, FULL)
    np.testing.assert_array_equal(decoded, np.asarray(expected))


def test_the_levels_of_a_deep_image_are_measured():
    values = np.array([[3, 900], [7, 12]])
    for kind in ("png", "tiff", "lzw", "swapped"):
        image = decode.open_upright(ENCODE[kind](values))
        assert measure_levels(image) == (3, 900, 0, 65_535, WHOLE, OPAQUE)
    image = decode.open_upright(ENCODE["int32"](-values))
    assert measure_levels(image) == (-900, -3, 0, 2**31 - 1, WHOLE, OPAQUE)
    image = decode.open_upright(_encode(Image.new("RGB", (4, 4), (9, 9, 9))))
    assert measure_levels(image) == EIGHT_BITS


def _encode_ppm(magic, values):
    height, width = values.shape[:2]
    return f"{magic} {width} {height} 65535\n".encode() + values.astype(">u2").tobytes()


def test_a_deep_pgm_has_the_range_of_16_bits():
    values = np.array([[0, 300], [257, 65_535]])
    image = decode.open_upright(_encode_ppm("P5", values))
    assert measure_levels(image) == (0, 65_535, 0, 65_535, WHOLE, OPAQUE)
    assert decode.decode_image(image, 2, 1, 1.0)[..., 0].tolist() == [[0, 1], [1, 255]]


def _encode_deep_colour_png(values):
    """Returns a PNG with 16 bits per channel, which Pillow cannot write."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_colour_with_16_bits_per_channel_is_known_to_lose_its_lower_bits():
    values = np.full((4, 4, 3), 1023)
    values[0] = 0
    image = decode.open_upright(_encode_deep_colour_png(values))
    assert measure_levels(image) == (0, 3 * 257, 0, 65_535, REDUCED, OPAQUE)


def test_grey_of_which_only_the_upper_bits_are_read_is_known_as_well():
    encoded = _encode(Image.fromarray(np.full((4, 4), 3, np.uint8)), "SGI", bpc=2)
    image = decode.open_upright(encoded)
    assert measure_levels(image)[2:5] == (0, 65_535, REDUCED)


def test_the_check_refuses_unsigned_values_that_cannot_be_read():
    signed = _encode(Image.fromarray(np.full((4, 4), -5, np.int32)), "TIFF")
    assert decode.check_image(signed) == (4, 4)
    entry = struct.pack("<HHI", 339, 3, 1)  # the tag that says whether the numbers have a sign
    assert signed.count(entry + b"\2") == 1
    unsigned = signed.replace(entry + b"\2", entry + b"\1")
    with pytest.raises(ValueError, match="values above 2147483647 cannot be read"):
        decode.check_image(unsigned)
