import io

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import decode


def _encode(image, image_format="PNG", **options):
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def _gradient(width=40, height=30):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 6, y * 8, x + y], -1).astype(np.uint8)


def test_an_image_of_the_requested_size_is_not_changed():
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    decoded = decode.decode_image(_encode(Image.fromarray(pixels)), 28, 1, 1.0)
    np.testing.assert_array_equal(decoded[..., 0], pixels)


def test_crop_keeps_the_central_square_of_the_shorter_side():
    pixels = _gradient()
    decoded = decode.decode_image(_encode(Image.fromarray(pixels)), 15, 3, 0.5)
    np.testing.assert_array_equal(decoded, pixels[7:22, 12:27])


def test_resizing_averages_so_that_fine_patterns_become_grey():
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    decoded = decode.decode_image(_encode(Image.fromarray(board)), 16, 1, 1.0)
    assert np.ptp(decoded[2:-2, 2:-2]) < 10
    assert abs(decoded.mean() - 127.5) < 2


def test_resizing_uses_no_pixel_outside_the_crop():
    pixels = np.full((40, 40), 255, np.uint8)
    pixels[10:30, 10:30] = 7
    decoded = decode.decode_image(_encode(Image.fromarray(pixels)), 8, 1, 0.5)
    assert (decoded == 7).all()


def test_small_images_are_enlarged():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    assert decode.decode_image(_encode(Image.fromarray(pixels)), 32, 1, 1.0).shape == (32, 32, 1)


# Orientation -> how an upright image is turned before it is stored with this tag.
STORED_TURN = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
# Formats that hold an orientation, with options under which grey levels hardly change.
TURNED_FORMATS = [
    ("JPEG", {"quality": 100, "subsampling": 0}),
    ("MPO", {"quality": 100, "subsampling": 0}),
    ("PNG", {}),
    ("WEBP", {"lossless": True}),
    ("AVIF", {"quality": 100}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "jpeg", "quality": 100}),
]


def _encode_turned(upright, orientation, image_format, **options):
    """Stores an image so that it is upright again after it is turned as its tag requires."""
    turn = STORED_TURN[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _encode(
        upright if turn is None else upright.transpose(turn), image_format, exif=exif, **options
    )


@pytest.mark.parametrize("orientation", STORED_TURN)
@pytest.mark.parametrize(("image_format", "options"), TURNED_FORMATS)
def test_an_image_and_its_mask_are_turned_once_in_every_format(orientation, image_format, options):
    upright = Image.fromarray(_gradient(40, 32))
    marked = np.zeros((32, 40), np.uint8)
    marked[:8, 16:28] = 255
    image = _encode_turned(upright, orientation, image_format, **options)
    decoded = decode.decode_image(image, 32, 3, 1.0)
    np.testing.assert_allclose(decoded.astype(int), np.asarray(upright)[:, 4:36], atol=12)
    mask = _encode_turned(Image.fromarray(marked), orientation, image_format, **options)
    np.testing.assert_array_equal(decode.decode_mask(mask, 32, 1.0), marked[:, 4:36] > 127)

    # Both may be turned by different tags: what counts is that the upright sizes agree.
    decode.check_mask(mask, image)
    decode.check_mask(_encode(Image.fromarray(marked)), image)
    decode.check_mask(mask, _encode(upright))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize(("image_format", "options"), TURNED_FORMATS)
def test_a_mask_that_is_not_turned_like_its_image_is_refused(orientation, image_format, options):
    stored_size = _encode(Image.new("L", (32, 40), 255))
    image = _encode_turned(Image.fromarray(_gradient(40, 32)), orientation, image_format, **options)
    with pytest.raises(ValueError, match="32x40 pixels, but its image has 40x32"):
        decode.check_mask(stored_size, image)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_stored_mode_gives_the_same_grey(mode, channels):
    grey = 0 if mode == "1" else 51  # a web-safe grey, which palettes hold exactly
    if mode == "I;16":
        image = Image.fromarray(np.full((16, 16), grey * 257, np.uint16))
    else:
        image = Image.new("RGB", (16, 16), (grey,) * 3).convert(mode)
    image_format = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    decoded = decode.decode_image(_encode(image, image_format), 16, channels, 1.0)
    assert decoded.shape == (16, 16, channels)
    assert decoded.dtype == np.uint8
    assert (abs(decoded.astype(int) - grey) <= 1).all()


def decode_all(image, background, channels=3, **options):
    encoded = _encode(image, **options)
    return decode.decode_image(encoded, 8, channels, 1.0, background=background)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("background", "level"), [("black", 0), ("white", 255)])
def test_the_background_shines_through_transparent_pixels(background, level, channels):
    rng = np.random.default_rng(0)
    for mode in ("LA", "RGBA"):
        pixels = rng.integers(0, 256, (8, 8, len(mode)), np.uint8)
        decoded = decode_all(Image.fromarray(pixels, mode), background, channels)
        colours, alpha = pixels[..., :-1].astype(float), pixels[..., -1:] / 255
        expected = np.broadcast_to(colours * alpha + level * (1 - alpha), (8, 8, len(mode) - 1))
        if mode == "RGBA" and channels == 1:
            expected = expected @ np.array([[0.299], [0.587], [0.114]])
        np.testing.assert_allclose(decoded, np.broadcast_to(expected, decoded.shape), atol=2)


@pytest.mark.parametrize(("background", "level"), [("black", 0), ("white", 255)])
def test_a_transparent_colour_is_replaced_by_the_background(background, level):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 51, 51, 51])
    decoded = decode_all(image, background, transparency=bytes([0, 128]))
    np.testing.assert_allclose(decoded, (51 * 128 + level * 127) / 255, atol=1)
    for mode, colour in (("L", 7), ("RGB", (7, 8, 9)), ("1", 0)):
        pixels = Image.new(mode, (8, 8), 1 if mode == "1" else 99)
        pixels.paste(colour, (0, 0, 8, 4))
        decoded = decode_all(pixels, background, transparency=colour)
        assert (decoded[:4] == level).all()
        np.testing.assert_array_equal(decoded[4:], decode_all(pixels, background)[4:])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_opaque_pixels_do_not_depend_on_the_background(mode):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, len(mode)), np.uint8)
    pixels[..., -1] = 255
    image = Image.fromarray(pixels, mode)
    for background in ("black", "white"):
        decoded = decode_all(image, background)
        np.testing.assert_array_equal(decoded, np.broadcast_to(pixels[..., :-1], decoded.shape))


def test_a_mask_is_cropped_and_resized_like_its_image():
    pixels = np.zeros((30, 40), np.uint8)
    pixels[10:20, 12:20] = 255
    encoded = _encode(Image.fromarray(pixels))
    image = decode.decode_image(encoded, 20, 1, 0.8)[..., 0]
    mask = decode.decode_mask(encoded, 20, 0.8)
    assert set(np.unique(mask)) == {0, 1}
    assert np.mean((image > 127) == (mask == 1)) > 0.95


def test_a_one_bit_mask_is_read():
    mask = np.zeros((10, 10), bool)
    mask[:5] = True
    decoded = decode.decode_mask(_encode(Image.fromarray(mask)), 10, 1.0)
    np.testing.assert_array_equal(decoded, mask.astype(np.uint8))


def test_a_whole_mask_keeps_its_size_and_marks_pixels_brighter_than_half():
    grey = np.array([[0, 127, 128], [255, 100, 200]], np.uint8)
    mask = decode.decode_whole_mask(_encode(Image.fromarray(grey)))
    assert mask.tolist() == [[0, 0, 1], [1, 0, 1]]


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.95])
def test_the_check_detects_a_truncated_file(image_format, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    encoded = _encode(Image.fromarray(noise), image_format)
    assert decode.check_image(encoded) == (64, 64)
    with pytest.raises(Exception, match=r"."):
        decode.check_image(encoded[: int(share * len(encoded))])


@pytest.mark.parametrize("size", [(7, 100), (100, 7), (1, 1), (5, 5), (8, 3), (9, 17)])
def test_a_jpeg_of_any_size_passes_the_check(size):
    image = Image.new("RGB", size, (90, 60, 30))
    assert decode.check_image(_encode(image, "JPEG")) == size
    assert decode.decode_image(_encode(image, "JPEG"), 8, 3, 1.0).shape == (8, 8, 3)


@pytest.mark.parametrize("content", [b"", b"hello", bytes(1000)])
def test_the_check_refuses_a_file_that_is_not_an_image(content):
    with pytest.raises(OSError, match="cannot identify"):
        decode.check_image(content)


def test_the_check_refuses_pixels_whose_range_is_unknown():
    with pytest.raises(ValueError, match="floating-point"):
        decode.check_image(_encode(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"))


def test_the_check_refuses_colours_that_cannot_be_converted():
    image = Image.new("LAB", (4, 4), (100, 0, 0))
    with pytest.raises(
        ValueError, match=r"^colours of the kind LAB cannot be converted; store it as"
    ):
        decode.check_image(_encode(image, "TIFF"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I"])
def test_the_check_accepts_every_mode_that_can_be_decoded(mode):
    image_format = "TIFF" if mode in ("CMYK", "YCbCr", "I") else "PNG"
    encoded = _encode(Image.new(mode, (4, 4)), image_format)
    assert decode.check_image(encoded) == (4, 4)
    assert decode.decode_image(encoded, 4, 3, 1.0).shape == (4, 4, 3)


def test_a_mask_may_be_black():
    decode.check_mask(
        _encode(Image.new("1", (40, 30), 0)), _encode(Image.fromarray(_gradient(40, 30)))
    )


def test_a_mask_of_another_size_than_its_image_is_refused():
    image, mask = Image.fromarray(_gradient(40, 30)), Image.new("L", (30, 40), 255)
    with pytest.raises(ValueError, match="30x40 pixels, but its image has 40x30"):
        decode.check_mask(_encode(mask), _encode(image))
