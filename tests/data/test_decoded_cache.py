import os
import time
import zlib

import numpy as np
import pytest

from vae_jax.data.decoded_cache import discard_cache, join_arrays, open_cache, write_cache


def make_columns(count, masks, first=0):
    return {
        "images": np.full((count, 2, 2, 1), 10 + first, np.uint8),
        "masks": np.ones((count, 2, 2), np.uint8) if masks else np.zeros((count, 0, 0), np.uint8),
        "files": np.array([f"{first + i}.png" for i in range(count)], "<U9"),
    }


@pytest.fixture
def parts():
    """Images without a mask before, between and after those with one, and a record without a crop."""
    return [
        make_columns(2, masks=False),
        make_columns(1, masks=True, first=2),
        make_columns(0, masks=False),
        make_columns(3, masks=False, first=3),
        make_columns(1, masks=True, first=6),
        make_columns(1, masks=False, first=7),
    ]


@pytest.mark.parametrize("mapped", [False, True])
def test_columns_are_read_as_they_were_written(tmp_path, parts, mapped):
    write_cache(tmp_path / "a", iter(parts))
    cache, expected = open_cache(tmp_path / "a"), join_arrays(parts)
    columns = cache.columns | (cache.map_pixels() if mapped else cache.load_pixels())
    assert columns.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(columns[name], array)
    assert isinstance(columns["images"], np.memmap) is mapped
    assert columns["masks"].any((1, 2)).tolist() == [i in (2, 6) for i in range(8)]


def test_the_cache_knows_size_and_checksum_of_its_pixels(tmp_path, parts):
    write_cache(tmp_path / "a", parts)
    cache = open_cache(tmp_path / "a")
    contents = {name: (tmp_path / "a" / f"{name}.u8").read_bytes() for name in ("images", "masks")}
    assert cache.num_pixel_bytes == sum(map(len, contents.values())) == 2 * 8 * 4
    assert cache.checksums == {name: zlib.crc32(content) for name, content in contents.items()}


def test_images_without_any_mask_take_no_space_for_masks(tmp_path):
    write_cache(tmp_path / "a", [make_columns(3, masks=False)])
    cache = open_cache(tmp_path / "a")
    assert cache.load_pixels()["masks"].shape == cache.map_pixels()["masks"].shape == (3, 0, 0)
    assert (tmp_path / "a" / "masks.u8").stat().st_size == 0


def test_a_cache_may_hold_no_image(tmp_path):
    write_cache(tmp_path / "a", [])
    cache = open_cache(tmp_path / "a")
    assert len(cache.map_pixels()["images"]) == len(cache.load_pixels()["images"]) == 0


def test_a_folder_that_does_not_exist_is_not_a_damaged_cache(tmp_path, caplog):
    assert open_cache(tmp_path / "a") is None
    assert not caplog.records


@pytest.mark.parametrize("file", ["images.u8", "masks.u8"])
def test_loading_detects_a_changed_byte_and_opening_a_missing_one(tmp_path, parts, file, caplog):
    write_cache(tmp_path / "a", parts)
    path = tmp_path / "a" / file
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)
    assert open_cache(tmp_path / "a").load_pixels() is None
    assert f"damaged and will be made again ({file} has changed" in caplog.text
    path.write_bytes(content[:-1])
    assert open_cache(tmp_path / "a") is None
    assert f"({file} has 31 bytes instead of 32)" in caplog.text


def test_a_writer_that_fails_leaves_the_earlier_cache(tmp_path, parts):
    write_cache(tmp_path / "a", parts)

    def fail():
        yield parts[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_cache(tmp_path / "a", fail())
    assert len(open_cache(tmp_path / "a").columns["files"]) == 8
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_of_two_writers_the_first_one_wins_and_none_leaves_a_draft(tmp_path, parts):
    def write_slowly():
        yield parts[0]
        write_cache(tmp_path / "a", parts)

    write_cache(tmp_path / "a", write_slowly())
    assert len(open_cache(tmp_path / "a").columns["files"]) == 8
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_draft_of_a_killed_process_is_removed_after_a_day(tmp_path, parts):
    for name, age in (("a.old.part", 2 * 86_400), ("a.young.part", 60)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    write_cache(tmp_path / "a", parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.young.part"]


def test_a_cache_can_be_discarded_twice(tmp_path, parts):
    write_cache(tmp_path / "a", parts)
    discard_cache(tmp_path / "a")
    assert not list(tmp_path.iterdir())
    discard_cache(tmp_path / "a")
    assert not list(tmp_path.iterdir())
