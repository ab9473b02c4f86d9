import numpy as np
import pytest
from PIL import Image

from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.tiling import compute_boxes
from vae_jax.data.whole_images import (
    assemble_image,
    assemble_mask,
    lay_out_rows,
    list_tiles_of_images,
    separate_tiles,
    shrink_whole_images,
    take_whole_images,
    view_whole_images,
)

SIDE = 8
SIZES = [(20, 13), (8, 8), (8, 30), (17, 17)]


def cut(array, boxes):
    return np.stack([array[y : y + side, x : x + side] for x, y, side in boxes])


@pytest.fixture
def wholes():
    """Images and masks of several sizes, before they are cut into tiles."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (h, w, 3), np.uint8) for w, h in SIZES]
    masks = [(rng.random((h, w)) < 0.05).astype(np.uint8) for w, h in SIZES]
    return images, masks


@pytest.fixture
def tiles(wholes):
    """All tiles at native scale; those of different images alternate."""
    images, masks = wholes
    boxes = [compute_boxes(*size, SIDE) for size in SIZES]
    image_of_tile = np.repeat(np.arange(len(SIZES)), list(map(len, boxes)))
    examples = Examples(
        images=np.concatenate([cut(*pair) for pair in zip(images, boxes, strict=True)]),
        labels=(image_of_tile % 2).astype(np.int32),
        classes=[f"class {i}" for i in image_of_tile],
        files=[f"{i}.png" for i in image_of_tile],
        groups=[f"group {i}" for i in image_of_tile],
        stored_size=np.array([(*SIZES[i], 99) for i in image_of_tile], np.int32),
        has_mask=np.ones(len(image_of_tile), bool),
        masks=np.concatenate([cut(*pair) for pair in zip(masks, boxes, strict=True)]),
        boxes=np.concatenate(boxes),
    )
    order = np.random.default_rng(1).permutation(len(examples))
    return examples.take(order)


def test_every_whole_image_has_one_row(tiles):
    images = take_whole_images(tiles)
    assert images.files == list(dict.fromkeys(tiles.files))
    assert images.boxes is None
    assert images.names == images.files
    for row, file in enumerate(images.files):
        number = int(file[0])
        assert images.classes[row] == f"class {number}"
        assert images.labels[row] == number % 2
    assert take_whole_images(images) is images


def test_tiles_of_an_image_are_found_in_any_order(tiles):
    files = take_whole_images(tiles).files
    images = np.array([2, 0])
    for image, rows in zip(images, list_tiles_of_images(tiles, images), strict=True):
        assert rows.tolist() == [row for row, f in enumerate(tiles.files) if f == files[image]]


def test_assembled_tiles_are_the_image_and_the_mask(tiles, wholes):
    files = take_whole_images(tiles).files
    for image, rows in enumerate(list_tiles_of_images(tiles, np.arange(len(files)))):
        number = int(files[image][0])
        layout = lay_out_rows(tiles, rows)
        np.testing.assert_array_equal(assemble_image(tiles.images[rows], layout), wholes[0][number])
        np.testing.assert_array_equal(assemble_mask(tiles.masks[rows], layout), wholes[1][number])


def test_a_place_without_a_tile_is_white_and_unmarked(tiles):
    rows = next(r for r in list_tiles_of_images(tiles, np.arange(4)) if len(r) > 6)
    inner = np.array([row for row in rows if tiles.boxes[row, :2].any()])
    layout = lay_out_rows(tiles, inner)
    image = assemble_image(tiles.images[inner], layout)
    covered = np.zeros(layout.shape, bool)
    for tile in range(len(inner)):
        covered[layout.place(tile)] = True
    assert not covered.all()
    assert (image[~covered] == 255).all()
    assert not assemble_mask(tiles.masks[inner], layout)[~covered].any()


def test_small_copies_are_those_of_the_whole_images(tiles, wholes):
    small = shrink_whole_images(tiles, 4)
    for image, file in enumerate(take_whole_images(tiles).files):
        whole = Image.fromarray(wholes[0][int(file[0])])
        expected = np.asarray(whole.resize((4, 4), Image.Resampling.BOX))
        np.testing.assert_array_equal(small[image], expected)


def test_a_dataset_of_whole_images_has_one_row_per_image_in_every_role(tiles):
    images = take_whole_images(tiles)
    dataset = Dataset("x", "f", SIDE, 3, tiles, tiles, images, tiles)
    view = view_whole_images(dataset)
    assert [len(e) for e in (view.train, view.val, view.calibration, view.test)] == [4] * 4
    assert view.calibration is images


def test_separate_tiles_are_images_with_names_of_their_own(tiles):
    separate = separate_tiles(tiles)
    assert separate.boxes is None
    assert len(set(separate.files)) == len(tiles)
    assert len(take_whole_images(separate)) == len(tiles)
