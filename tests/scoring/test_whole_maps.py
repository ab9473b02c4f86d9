import dataclasses
import tracemalloc

import numpy as np
import pytest

from vae_jax.data.examples import Examples
from vae_jax.data.tiling import compute_boxes, lay_out_tiles
from vae_jax.data.whole_images import list_tiles_of_images, take_whole_images
from vae_jax.metrics.localisation import Localisation
from vae_jax.scoring.anomaly_maps import make_baseline_mapper, measure_scale
from vae_jax.scoring.baselines import Baselines
from vae_jax.scoring.stitching import WholeMaps
from vae_jax.scoring.whole_maps import blend_whole_maps, measure_whole_images

SIDE = 8
SIZES = [(20, 13), (8, 8), (8, 30), (17, 17), (12, 8), (30, 20)]


def blend_by_hand(tiles, boxes, width, height):
    """The weighted mean at each pixel; the weight is the product of the distances to the borders."""
    whole = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            total = weights = 0.0
            for tile, (left, top, side) in zip(tiles, boxes, strict=True):
                u, v = x - left, y - top
                if 0 <= u < side and 0 <= v < side:
                    weight = min(u + 1, side - u) * min(v + 1, side - v)
                    total += weight * tile[v, u]
                    weights += weight
            whole[y, x] = total / weights
    return whole


@pytest.mark.parametrize(
    ("size", "stride"), [((20, 13), 0), ((8, 8), 0), ((9, 30), 3), ((17, 17), 8)]
)
def test_blended_maps_agree_with_a_loop_over_pixels(size, stride):
    boxes = compute_boxes(*size, SIDE, stride)
    tiles = np.random.default_rng(0).normal(size=(len(boxes), SIDE, SIDE))
    whole = WholeMaps(lay_out_tiles(boxes, SIDE))
    whole.add(0, {"map": tiles, "colours": np.repeat(tiles[..., None], 3, 3)})
    assert whole.covered.all()
    maps = dict(whole.take_maps())
    expected = blend_by_hand(tiles, boxes, *size)
    np.testing.assert_allclose(maps["map"], expected, atol=2e-6)
    np.testing.assert_array_equal(maps["colours"], np.repeat(maps["map"][..., None], 3, 2))
    assert dict(whole.take_maps()) == {}


def test_equal_tiles_blend_into_themselves_without_a_seam():
    rng = np.random.default_rng(1)
    scene = rng.normal(size=(13, 20))
    boxes = compute_boxes(20, 13, SIDE)
    whole = WholeMaps(lay_out_tiles(boxes, SIDE))
    whole.add(0, {"map": np.stack([scene[y : y + s, x : x + s] for x, y, s in boxes])})
    np.testing.assert_allclose(dict(whole.take_maps())["map"], scene, atol=1e-6)


def test_a_place_that_no_tile_covers_is_told():
    boxes = compute_boxes(20, 13, SIDE)[1:]  # without the one in the upper left corner
    whole = WholeMaps(lay_out_tiles(boxes, SIDE))
    whole.add(0, {"map": np.ones((len(boxes), SIDE, SIDE))})
    covered = whole.covered
    values = dict(whole.take_maps())["map"]
    assert not covered[0, 0]
    np.testing.assert_array_equal(values, np.where(covered, np.float32(1), np.float32(0)))


@pytest.fixture
def make_covering_tiles():
    """Returns a function that makes tiles of images of grey noise; the last ones have a bright square."""

    def make(name, count, seed, num_anomalous=0):
        rng = np.random.default_rng(seed)
        columns = {key: [] for key in ("images", "masks", "boxes", "image", "size")}
        for number in range(count):
            width, height = SIZES[number % len(SIZES)]
            image = rng.integers(60, 100, (height, width, 1), np.uint8)
            mask = np.zeros((height, width), np.uint8)
            if number >= count - num_anomalous:
                mask[2:4, 3:5] = 1
                image[mask > 0] = 255
            for left, top, side in compute_boxes(width, height, SIDE):
                place = np.s_[top : top + side, left : left + side]
                values = image[place], mask[place], (left, top, side), number, (width, height, 99)
                for column, value in zip(columns.values(), values, strict=True):
                    column.append(value)
        numbers = np.array(columns["image"])
        files = [f"{name}/{number}.png" for number in numbers]
        return Examples(
            images=np.stack(columns["images"]),
            labels=(numbers >= count - num_anomalous).astype(np.int32),
            classes=["tile"] * len(files),
            files=files,
            groups=files,
            stored_size=np.array(columns["size"], np.int32),
            masks=np.stack(columns["masks"]),
            has_mask=np.ones(len(files), bool),
            boxes=np.array(columns["boxes"], np.int32),
        )

    return make


@pytest.fixture
def tiled(make_setup, make_covering_tiles):
    """A setup whose roles are tiles that cover images, and its baselines."""
    setup = make_setup(
        train=make_covering_tiles("train", 12, 0),
        val=make_covering_tiles("val", 6, 1),
        calibration=make_covering_tiles("calibration", 8, 2),
        test=make_covering_tiles("test", 12, 3, num_anomalous=6),
    )
    return setup, Baselines(setup.dataset.train, 4, 0)


def test_blending_does_not_depend_on_the_batch_size(tiled):
    setup, baselines = tiled
    mapper, test = make_baseline_mapper(baselines), setup.dataset.test
    for rows in list_tiles_of_images(test, np.array([0, 5, 11])):
        first, second = (
            dict(blend_whole_maps(mapper, test, rows, size).take_maps()) for size in (3, 100)
        )
        for name, values in first.items():
            np.testing.assert_allclose(values, second[name], rtol=1e-4, atol=1e-6)


def test_pixels_are_measured_on_blended_whole_images(tiled):
    setup, baselines = tiled
    measures = measure_whole_images(setup, ("mse",), baselines, {})
    assert set(measures) == {"mse", "pca", "band_pca"}
    mapper, test = make_baseline_mapper(baselines), setup.dataset.test
    scale, expected = measure_scale(mapper, setup), Localisation()
    for rows in list_tiles_of_images(test, np.arange(12)):
        boxes = test.boxes[rows]
        width, height = test.stored_size[rows[0], :2]
        values = blend_by_hand(scale.apply(mapper(test.take(rows)))["pca"], boxes, width, height)
        mask = np.zeros((height, width), np.uint8)
        for tile_mask, (left, top, side) in zip(test.masks[rows], boxes, strict=True):
            mask[top : top + side, left : left + side] |= tile_mask
        expected.update(values[None], mask[None])
    for name, value in expected.result().items():
        if name != "intervals":
            assert measures["pca"][name] == pytest.approx(value, abs=1e-3)
    assert measures["pca"]["pixel_auroc"] > 0.9


def test_without_a_marked_pixel_nothing_is_localised(tiled):
    setup, baselines = tiled
    test = setup.dataset.test
    unmarked = dataclasses.replace(test, masks=np.zeros_like(test.masks))
    setup = dataclasses.replace(setup, dataset=dataclasses.replace(setup.dataset, test=unmarked))
    assert measure_whole_images(setup, ("mse",), baselines, {}) == {}


def test_an_abnormal_image_without_a_mask_is_not_measured(tiled):
    setup, baselines = tiled
    test = setup.dataset.test
    last = take_whole_images(test).files[-1]
    without = np.array([file == last for file in test.files])
    masks = np.where(without[:, None, None], np.uint8(0), test.masks)
    some = dataclasses.replace(test, masks=masks, has_mask=~without)
    results = []
    for examples in (some, test.take(np.flatnonzero(~without))):
        dataset = dataclasses.replace(setup.dataset, test=examples)
        some_setup = dataclasses.replace(setup, dataset=dataset)
        results.append(measure_whole_images(some_setup, ("mse",), baselines, {}))
    assert results[0] == results[1]


def test_memory_holds_one_map_of_a_large_image_and_the_maps_of_one_batch():
    width, height, side, batch = 1500, 1000, 64, 8
    boxes = compute_boxes(width, height, side)
    examples = Examples(
        images=np.broadcast_to(np.uint8(7), (len(boxes), side, side, 1)),
        labels=np.zeros(len(boxes), np.int32),
        classes=["good"] * len(boxes),
        files=["large.png"] * len(boxes),
        groups=["large"] * len(boxes),
        stored_size=np.tile(np.int32([width, height, 1]), (len(boxes), 1)),
        has_mask=np.zeros(len(boxes), bool),
        boxes=boxes,
    )
    tracemalloc.start()
    whole = blend_whole_maps(
        lambda tiles: {"map": tiles.images[..., 0].astype(np.float64)},
        examples,
        np.arange(len(boxes)),
        batch,
    )
    [(_, values)] = whole.take_maps()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_allclose(values, 7, rtol=1e-5)
    one_map = 4 * width * height
    assert len(boxes) * side * side * 8 > 5 * one_map  # the maps of all tiles would not fit
    # The map, the sum of the weights, and these without zeros.
    assert peak < 3.5 * one_map + 3 * 8 * batch * side * side
