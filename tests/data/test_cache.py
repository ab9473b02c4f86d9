import os
import time

import numpy as np
import pytest

from vae_jax.data import cache


def rows(count, masks, first=0):
    return {
        "images": np.full((count, 2, 2, 1), 10 + first, np.uint8),
        "masks": np.ones((count, 2, 2), np.uint8) if masks else np.zeros((count, 0, 0), np.uint8),
        "files": np.array([f"{first + i}.png" for i in range(count)], "<U9"),
    }


@pytest.fixture
def parts():
    """Images without a mask before, between and after those with one, and a record that gave none."""
    return [rows(2, False), rows(1, True, 2), rows(0, False), rows(3, False, 3), rows(1, True, 6),
            rows(1, False, 7)]  # fmt: skip


@pytest.mark.parametrize("mapped", [False, True])
def test_what_is_read_is_what_was_written(tmp_path, parts, mapped):
    cache.write(tmp_path / "a", iter(parts))
    found, expected = cache.read(tmp_path / "a", mapped), cache.joined(parts)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    assert isinstance(found["images"], np.memmap) is mapped
    assert found["masks"].any((1, 2)).tolist() == [i in (2, 6) for i in range(8)]


def test_no_masks_take_no_place(tmp_path):
    cache.write(tmp_path / "a", [rows(3, False)])
    assert cache.read(tmp_path / "a")["masks"].shape == (3, 0, 0)


def test_no_images_at_all_are_a_cache_too(tmp_path):
    cache.write(tmp_path / "a", [])
    assert len(cache.read(tmp_path / "a", mapped=True)["images"]) == 0


@pytest.mark.parametrize("file", ["images.u8", "masks.u8"])
def test_a_changed_byte_is_found_and_a_missing_one_also_where_pixels_stay_on_disk(
    tmp_path, parts, file, caplog
):
    cache.write(tmp_path / "a", parts)
    path = tmp_path / "a" / file
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)
    assert cache.read(tmp_path / "a") is None
    path.write_bytes(content[:-1])
    assert cache.read(tmp_path / "a", mapped=True) is None
    assert "damaged" in caplog.text


def test_a_writer_that_fails_leaves_what_was_there(tmp_path, parts):
    cache.write(tmp_path / "a", parts)

    def broken():
        yield parts[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        cache.write(tmp_path / "a", broken())
    assert len(cache.read(tmp_path / "a")["images"]) == 8
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_of_two_writers_the_first_stays_and_neither_leaves_a_draft(tmp_path, parts):
    def slow():
        yield parts[0]
        cache.write(tmp_path / "a", parts)

    cache.write(tmp_path / "a", slow())
    assert len(cache.read(tmp_path / "a")["images"]) == 8
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_draft_that_a_killed_process_left_goes_after_a_day(tmp_path, parts):
    for name, age in (("a.old.part", 2 * 86_400), ("a.young.part", 60)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    cache.write(tmp_path / "a", parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.young.part"]


def test_a_discarded_cache_is_gone(tmp_path, parts):
    cache.write(tmp_path / "a", parts)
    cache.discard(tmp_path / "a")
    cache.discard(tmp_path / "a")
    assert not list(tmp_path.iterdir())
