import dataclasses

import numpy as np
import pytest

from vae_jax.data.examples import Examples, join_examples
from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.observation.observed import ObservedImages


def make_examples(count, **columns):
    """Returns examples whose columns all contain the number of the row."""
    rows = np.arange(count)
    columns = {
        "images": np.broadcast_to(rows[:, None, None, None], (count, 4, 4, 3)).astype(np.uint8),
        "labels": (rows % 2).astype(np.int32),
        "classes": [f"class {row}" for row in rows],
        "files": [f"{row}.png" for row in rows],
        "groups": [f"group {row}" for row in rows],
        "stored_size": np.repeat(rows[:, None], 3, axis=1).astype(np.int32),
        "has_mask": rows % 3 == 0,
    } | columns
    return Examples(**columns)


def make_full_examples(count):
    """Returns examples that have every optional column of a dataset that is not yet observed."""
    rows = np.arange(count)
    return make_examples(
        count,
        masks=(rows[:, None, None] == np.zeros((4, 4))).astype(np.uint8),
        offsets=rows.astype(np.int32),
        boxes=np.repeat(rows[:, None], 3, axis=1).astype(np.int32),
        stored_levels=np.repeat(rows[:, None], 6, axis=1).astype(float),
        materials=[f"material {row}" for row in rows],
        official_test=rows > 2,
        out_of_view=rows > 1,
        unmarked=rows > 1,
        grey=np.full((count, 4, 4, 1), rows[:, None, None, None], np.uint8),
        mask_regions=np.repeat(rows[:, None], 2, axis=1).astype(np.int32),
        view_share=rows / 10,
    )


def assert_equal(examples, expected):
    for field in dataclasses.fields(Examples):
        column, values = getattr(examples, field.name), getattr(expected, field.name)
        assert type(column) is type(values), field.name
        if isinstance(values, ImagesOnDisk):
            column, values = column[:], values[:]
        np.testing.assert_array_equal(column, values)


def test_the_full_examples_of_these_tests_have_every_column_but_observations():
    examples = make_full_examples(4)
    empty = [f.name for f in dataclasses.fields(Examples) if getattr(examples, f.name) is None]
    assert empty == ["observed"]


def test_observations_are_taken_with_the_images():
    arrays = {"bands": np.arange(12, dtype=np.float16).reshape(6, 1, 1, 2)}
    observed = ObservedImages(arrays, np.arange(10, 16, dtype=np.int32))
    taken = make_examples(6, observed=observed).take(np.array([4, 0, 4])).observed
    assert len(taken) == 3
    assert taken.content_index.tolist() == [14, 10, 14]
    np.testing.assert_array_equal(taken[:]["bands"], arrays["bands"][[4, 0, 4]])


def test_rows_are_taken_from_every_column_in_the_given_order():
    taken = make_full_examples(6).take(np.array([4, 0, 4]))
    assert len(taken) == 3
    assert taken.images[:, 0, 0, 0].tolist() == [4, 0, 4]
    assert taken.labels.tolist() == [0, 0, 0]
    assert taken.classes == ["class 4", "class 0", "class 4"]
    assert taken.files == ["4.png", "0.png", "4.png"]
    assert taken.groups == ["group 4", "group 0", "group 4"]
    assert taken.stored_size[:, 1].tolist() == [4, 0, 4]
    assert taken.has_mask.tolist() == [False, True, False]
    assert taken.masks.any((1, 2)).tolist() == [False, True, False]
    assert taken.offsets.tolist() == [4, 0, 4]
    assert taken.materials == ["material 4", "material 0", "material 4"]
    assert taken.official_test.tolist() == [True, False, True]


def test_missing_columns_stay_missing():
    for examples in (
        make_examples(3).take(np.array([1])),
        join_examples([make_examples(3), make_examples(2)]),
    ):
        for name in ("masks", "offsets", "boxes", "materials", "official_test"):
            assert getattr(examples, name) is None


@pytest.mark.parametrize("on_disk", [False, True])
def test_joining_the_parts_restores_the_whole(on_disk):
    whole = make_full_examples(7)
    if on_disk:
        whole = dataclasses.replace(
            whole,
            images=ImagesOnDisk.from_parts([whole.images]),
            masks=ImagesOnDisk.from_parts([whole.masks]),
        )
    parts = [whole.take(rows) for rows in np.split(np.arange(7), [2, 3])]
    assert_equal(join_examples(parts), whole)
    assert_equal(join_examples(parts[:1]), parts[0])


@pytest.mark.parametrize("on_disk", [False, True])
def test_examples_without_masks_or_materials_get_empty_ones_where_others_have_them(on_disk):
    without, full = make_examples(2), make_full_examples(3)
    with_masks = make_examples(3, masks=full.masks, materials=full.materials)
    if on_disk:
        without = dataclasses.replace(without, images=ImagesOnDisk.from_parts([without.images]))
    joined = join_examples([without, with_masks])
    assert isinstance(joined.images, ImagesOnDisk) is on_disk
    assert joined.masks[:].any((1, 2)).tolist() == [False, False, True, False, False]
    assert joined.materials == ["", "", "material 0", "material 1", "material 2"]


@pytest.mark.parametrize("name", ["offsets", "boxes", "official_test"])
def test_a_column_without_neutral_value_must_be_in_all_parts_or_in_none(name):
    full = make_full_examples(3)
    part = make_examples(3, **{name: getattr(full, name)})
    with pytest.raises(ValueError, match=f"only some of the examples to join have {name}"):
        join_examples([make_examples(2), part])


def test_the_name_of_an_image_is_its_file_and_that_of_a_tile_also_has_its_offset():
    assert make_examples(2).names == ["0.png", "1.png"]
    offsets = np.array([0, 12], np.int32)
    tiles = make_examples(2, files=["a.png", "a.png"], offsets=offsets)
    assert tiles.names == ["a.png@0", "a.png@12"]
    boxes = np.array([[0, 0, 8], [12, 4, 8]], np.int32)
    tiles = make_examples(2, files=["a.png", "a.png"], boxes=boxes)
    assert tiles.names == ["a.png@0,0", "a.png@12,4"]
