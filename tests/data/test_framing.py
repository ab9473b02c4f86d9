import io
import weakref

import numpy as np
import pytest
from PIL import Image

from vae_jax.config import default
from vae_jax.data import crops
from vae_jax.data.crops import cut_crops, read_visible_values
from vae_jax.data.framing import Framing
from vae_jax.data.intensity import parse_intensity
from vae_jax.data.region import Region
from vae_jax.data.squaring import locate_centre
from vae_jax.data.tiling import compute_boxes, compute_tile_offsets
from vae_jax.errors import UserError


def encode(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def strip():
    return np.random.default_rng(0).integers(0, 200, (8, 30), np.uint8)


@pytest.mark.parametrize(
    ("length", "side", "stride", "offsets"),
    [
        (24, 8, 8, [0, 8, 16]),
        (24, 8, 4, [0, 4, 8, 12, 16]),
        (25, 8, 8, [0, 8, 16, 17]),
        (30, 8, 5, [0, 5, 10, 15, 20, 22]),
        (8, 8, 3, [0]),
        (9, 8, 8, [0, 1]),
    ],
)
def test_tiles_start_every_stride_and_the_last_one_ends_with_the_image(
    length, side, stride, offsets
):
    assert compute_tile_offsets(length, side, stride) == offsets
    covered = np.zeros(length, bool)
    for offset in offsets:
        covered[offset : offset + side] = True
    assert covered.all()


def test_a_tile_is_the_part_of_the_stored_image_at_its_offset(strip):
    crops = cut_crops(encode(strip), None, Framing(8, 1, tile_stride=5))
    assert crops.offsets.tolist() == [0, 5, 10, 15, 20, 22]
    assert crops.masks is None
    for image, offset in zip(crops.images, crops.offsets, strict=True):
        np.testing.assert_array_equal(image[..., 0], strip[:, offset : offset + 8])


def test_an_image_that_is_higher_than_wide_is_cut_from_top_to_bottom(strip):
    wide = cut_crops(encode(strip), None, Framing(8, 1, tile_stride=5))
    high = cut_crops(encode(np.ascontiguousarray(strip.T)), None, Framing(8, 1, tile_stride=5))
    np.testing.assert_array_equal(high.offsets, wide.offsets)
    np.testing.assert_array_equal(high.images, wide.images.swapaxes(1, 2))


def test_masks_are_cut_like_their_image_and_smoothed_borders_do_not_count(strip):
    mask = np.zeros_like(strip)
    mask[2:4, 12:14], mask[4, 12:14] = 255, 127
    crops = cut_crops(encode(strip), encode(mask), Framing(8, 1, tile_stride=5))
    assert crops.has_defect.tolist() == [False, True, True, False, False, False]
    for tile_mask, offset in zip(crops.masks, crops.offsets, strict=True):
        np.testing.assert_array_equal(tile_mask, mask[:, offset : offset + 8] > 127)


def test_a_defect_that_is_smaller_than_a_pixel_keeps_one_pixel_of_its_tile(strip):
    mask = np.zeros_like(strip)
    mask[0, 0] = 255
    crops = cut_crops(encode(strip), encode(mask), Framing(2, 1, tile_stride=8))
    assert crops.masks.sum(axis=(1, 2)).tolist() == [1, 0, 0, 0]
    assert crops.has_defect.tolist() == [True, False, False, False]


def test_tiles_with_too_many_near_white_pixels_are_not_used(strip):
    strip[:, :7] = 255
    framing = Framing(8, 1, tile_stride=5, max_saturated=0.3)
    assert cut_crops(encode(strip), None, framing).offsets.tolist() == [5, 10, 15, 20, 22]
    strip[:] = 250
    crops = cut_crops(encode(strip), encode(strip), framing)
    assert crops.images.shape == (0, 8, 8, 1)
    assert crops.masks.shape == (0, 8, 8)
    assert len(crops.offsets) == len(crops.has_defect) == 0


def test_a_central_square_with_too_many_near_white_pixels_is_not_used(strip):
    strip[:, 11:19] = 255  # the central square
    assert len(cut_crops(encode(strip), None, Framing(8, 1, max_saturated=0.9)).images) == 0
    assert len(cut_crops(encode(strip), None, Framing(8, 1)).images) == 1


def test_tiles_are_scaled_to_the_size_that_the_model_sees(strip):
    crops = cut_crops(encode(strip), encode(strip), Framing(4, 3, tile_stride=8))
    assert crops.images.shape == (4, 4, 4, 3)
    assert crops.masks.shape == (4, 4, 4)


def test_a_stride_that_leaves_gaps_between_tiles_is_refused(strip):
    with pytest.raises(UserError, match=r"tile_stride is 9.*30x8.*at most 8"):
        cut_crops(encode(strip), None, Framing(8, 1, tile_stride=9))


def test_a_mask_that_differs_in_size_from_its_image_is_refused(strip):
    with pytest.raises(UserError, match=r"image of 30x8 pixels has a mask of 29x8"):
        cut_crops(encode(strip), encode(strip[:, 1:].copy()), Framing(8, 1, tile_stride=4))


def test_dropping_all_crops_keeps_the_size_of_a_crop(strip):
    crops = cut_crops(encode(strip), encode(strip), Framing(8, 1, tile_stride=5)).drop_all()
    assert crops.images.shape == (0, 8, 8, 1)
    assert crops.masks.shape == (0, 8, 8)
    assert len(crops.offsets) == len(crops.has_defect) == 0


@pytest.mark.parametrize("high", [False, True])
@pytest.mark.parametrize("framing", ["stretch", "pad"])
def test_an_anomaly_at_the_end_of_a_strip_is_seen_unless_the_strip_is_cropped(strip, framing, high):
    mask = np.zeros_like(strip)
    mask[:, -6:] = 255
    strip[:, -6:] = 255
    if high:
        strip, mask = strip.T.copy(), mask.T.copy()
    cropped = cut_crops(encode(strip), encode(mask), Framing(15, 1))
    whole = cut_crops(encode(strip), encode(mask), Framing(15, 1, framing=framing))
    assert not cropped.has_defect.any()
    assert not cropped.masks.any()
    assert whole.has_defect.tolist() == [True]
    assert whole.masks.any()
    assert whole.images[..., 0][whole.masks == 1].min() > whole.images[whole.masks == 0].mean()
    if framing == "pad":
        # What is added is black and is no anomaly, here a half and a bit of the square.
        black = whole.images[..., 0] == 0
        assert 0.5 < black.mean() < 0.8
        assert not whole.masks[black].any()


@pytest.mark.parametrize("framing", ["stretch", "pad"])
def test_a_defect_that_is_smaller_than_a_pixel_keeps_one_pixel(strip, framing):
    mask = np.zeros_like(strip)
    mask[0, 0] = 255
    crops = cut_crops(encode(strip), encode(mask), Framing(2, 1, framing=framing))
    assert crops.masks.sum() == 1
    assert crops.has_defect.tolist() == [True]


@pytest.mark.parametrize("framing", ["stretch", "pad"])
def test_near_white_pixels_are_counted_in_the_whole_image_without_what_is_added(strip, framing):
    strip[:, :10] = 255  # a third of the image, none of the central square
    for limit, count in ((0.3, 0), (0.4, 1)):
        crops = cut_crops(encode(strip), None, Framing(8, 1, framing=framing, max_saturated=limit))
        assert len(crops.images) == count
    assert len(cut_crops(encode(strip), None, Framing(8, 1, max_saturated=0.01)).images) == 1


def test_a_framing_takes_its_fields_from_the_data_group():
    data_config = default().data
    data_config.image_size, data_config.channels, data_config.tile_stride = 16, 3, 4
    assert Framing.from_config(data_config) == Framing(16, 3, tile_stride=4)
    data_config.tile_stride, data_config.framing = 0, "pad"
    assert Framing.from_config(data_config) == Framing(16, 3, framing="pad")


def test_tiles_and_a_crop_cannot_be_combined():
    with pytest.raises(UserError, match=r"data.crop is 0.5 and data.tile_stride is 4"):
        Framing(8, 1, crop=0.5, tile_stride=4)


@pytest.mark.parametrize("framing", ["stretch", "pad"])
def test_tiles_can_be_neither_stretched_nor_padded(framing):
    with pytest.raises(UserError, match=rf"data.framing is {framing} and data.tile_stride is 4"):
        Framing(8, 1, tile_stride=4, framing=framing)


def test_percentiles_and_a_limit_of_near_white_pixels_cannot_be_combined():
    with pytest.raises(UserError, match=r"percentile and data.max_saturated is 0.5"):
        Framing(8, 1, max_saturated=0.5, intensity=parse_intensity("percentile:1,99"))


@pytest.mark.parametrize(
    "framing",
    [
        Framing(8, 1, tile_stride=7),
        Framing(8, 1),
        Framing(30, 1, framing="pad"),  # the strip is 30 pixels long, so that nothing is resized
    ],
)
def test_visible_values_are_those_of_the_pixels_that_are_decoded(strip, framing):
    strip = np.maximum(strip, 1)  # 0 is the colour of padding
    values = read_visible_values(encode(strip), framing)
    assert set(values) == set(cut_crops(encode(strip), None, framing).images.ravel()) - {0}


@pytest.mark.parametrize("framing", ["stretch", "pad"])
def test_the_values_of_the_whole_image_count_for_percentiles_unless_it_is_cropped(strip, framing):
    np.testing.assert_array_equal(
        np.sort(read_visible_values(encode(strip), Framing(8, 1, framing=framing))),
        np.sort(strip.ravel()),
    )


def test_framings_with_different_crops_have_different_keys():
    framings = [
        Framing(8, 1),
        Framing(16, 1),
        Framing(8, 3),
        Framing(8, 1, crop=0.5),
        Framing(8, 1, framing="stretch"),
        Framing(8, 1, framing="pad"),
        Framing(8, 1, crop=0.5, framing="pad"),
        Framing(8, 1, tile_stride=4),
        Framing(8, 1, tile_stride=5),
        Framing(8, 1, max_saturated=0.5),
        Framing(8, 1, tile_stride=4, max_saturated=0.5),
        Framing(8, 1, tile_stride=4, max_saturated=0.25),
        Framing(8, 1, intensity=parse_intensity("window:0,1048575")),
        Framing(8, 1, intensity=parse_intensity("window:0,1048574")),
    ]
    assert len({framing.key for framing in framings}) == len(framings)
    assert Framing(8, 1).key == "8px-1c-crop1"  # the name of existing caches


@pytest.mark.parametrize("framing", ["crop", "stretch", "pad"])
def test_only_pixels_in_the_region_count_for_percentiles(framing):
    pixels = np.zeros((20, 40), np.uint8)
    pixels[6:14, 16:24] = np.arange(100, 164).reshape(8, 8)
    shown = cut_crops(encode(pixels), None, Framing(40, 1, framing=framing)).images[0, ..., 0]
    region = Region(shown >= 90)
    values = read_visible_values(encode(pixels), Framing(40, 1, framing=framing), region)
    assert values.min() >= 100 if framing != "crop" else values.max() == 163
    assert len(values) == pytest.approx(64, abs=16)


@pytest.fixture
def scene():
    return np.random.default_rng(1).integers(0, 256, (17, 23), np.uint8)


def test_tiles_that_cover_an_image_are_cut_in_both_directions(scene):
    mask = np.zeros_like(scene)
    mask[16, 22] = 255
    framing = Framing(8, 1, framing="tiles", tile_stride=5)
    crops = cut_crops(encode(scene), encode(mask), framing)
    np.testing.assert_array_equal(crops.boxes, compute_boxes(23, 17, 8, 5))
    for image, tile_mask, (left, top, side) in zip(
        crops.images, crops.masks, crops.boxes, strict=True
    ):
        place = np.s_[top : top + side, left : left + side]
        np.testing.assert_array_equal(image[..., 0], scene[place])
        np.testing.assert_array_equal(tile_mask, mask[place] > 0)
    assert crops.has_defect.tolist() == [box[:2].tolist() == [15, 9] for box in crops.boxes]


def test_the_side_of_a_tile_is_given_in_pixels_of_the_stored_image(scene):
    crops = cut_crops(encode(scene), None, Framing(4, 1, framing="tiles", tile_size=8))
    np.testing.assert_array_equal(crops.boxes, compute_boxes(23, 17, 8))
    first = Image.fromarray(scene[:8, :8]).resize((4, 4), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(crops.images[0, ..., 0], np.asarray(first))


def test_an_image_that_is_smaller_than_a_tile_is_enlarged(scene):
    crops = cut_crops(encode(scene), None, Framing(34, 1, framing="tiles"))
    assert crops.boxes.tolist() == [[0, 0, 17], [6, 0, 17]]
    first = Image.fromarray(scene[:, :17]).resize((34, 34), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(crops.images[0, ..., 0], np.asarray(first))


def test_a_crop_leaves_tiles_of_the_central_part(scene):
    framing = Framing(8, 1, framing="tiles", crop=0.6)
    crops = cut_crops(encode(scene), None, framing)
    left, top, width, height = locate_centre((23, 17), 0.6, "tiles")
    expected = compute_boxes(width, height, 8) + np.array([left, top, 0])
    np.testing.assert_array_equal(crops.boxes, expected)
    np.testing.assert_array_equal(crops.images[0, ..., 0], scene[top : top + 8, left : left + 8])


def test_saturated_tiles_of_an_image_are_left_out(scene):
    scene = np.minimum(scene, 200)
    scene[:8, :8] = 255
    crops = cut_crops(encode(scene), None, Framing(8, 1, framing="tiles", max_saturated=0.9))
    assert len(crops.boxes) == len(compute_boxes(23, 17, 8)) - 1
    assert [0, 0, 8] not in crops.boxes.tolist()


def test_every_value_of_a_tiled_image_counts_once(scene):
    values = read_visible_values(encode(scene), Framing(8, 1, framing="tiles"))
    np.testing.assert_array_equal(np.sort(values), np.sort(scene.ravel()))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"framing": "tiles", "tile_stride": 9}, "leaves gaps between tiles of 8 pixels"),
        ({"framing": "auto", "tile_stride": 9}, "leaves gaps between tiles of 8 pixels"),
        ({"tile_size": 8, "tile_stride": 4}, "a tile spans the whole shorter side"),
    ],
)
def test_fields_of_tiles_that_contradict_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        Framing(8, 1, **fields)


def test_different_tiles_have_different_keys():
    framings = [
        Framing(8, 1, framing="tiles", **fields)
        for fields in (
            {},
            {"tile_size": 16},
            {"tile_stride": 2},
            {"tile_size": 16, "tile_stride": 2},
        )
    ]
    assert len({framing.key for framing in (*framings, Framing(8, 1))}) == 5
    assert framings[0].key == Framing(8, 1, framing="tiles", tile_size=8).key


def test_one_tile_of_an_image_is_in_memory_at_a_time(scene, monkeypatch):
    pieces, highest = [], 0
    cut_piece = crops._cut_piece

    def record(image, box):
        nonlocal highest
        piece = cut_piece(image, box)
        pieces.append(weakref.ref(piece))
        highest = max(highest, sum(piece() is not None for piece in pieces))
        return piece

    monkeypatch.setattr(crops, "_cut_piece", record)
    cut_crops(encode(scene), encode(scene), Framing(4, 1, framing="tiles", max_saturated=0.9))
    assert len(pieces) > 40
    assert highest <= 3  # one tile, its mask, and the tile before it
