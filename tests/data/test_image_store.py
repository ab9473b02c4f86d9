import numpy as np
import pytest

from vae_jax.data.image_store import ImagesOnDisk, join_images, take, within


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (11, 4, 4, 3), np.uint8)


@pytest.fixture
def stored(pixels, tmp_path):
    """The same images in two files, of 4 and of 7."""
    parts = []
    for name, part in (("a", pixels[:4]), ("b", pixels[4:])):
        part.tofile(tmp_path / name)
        parts.append(np.memmap(tmp_path / name, np.uint8, "r", shape=part.shape))
    return ImagesOnDisk.whole(parts)


@pytest.mark.parametrize(
    "key",
    [0, -1, slice(2, 9, 3), slice(9, 20), np.array([10, 0, 3, 3, 4]), np.arange(11) % 2 == 0, []],
)
def test_indexing_reads_what_an_array_would_give(stored, pixels, key):
    key = np.array(key, int) if isinstance(key, list) else key
    found = stored[key]
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, pixels[key])


def test_it_describes_itself_as_the_array_would(stored, pixels):
    assert (stored.shape, stored.dtype, stored.nbytes, len(stored)) == (
        pixels.shape, pixels.dtype, pixels.nbytes, len(pixels),
    )  # fmt: skip
    np.testing.assert_array_equal(np.stack(list(stored)), pixels)
    with pytest.raises(IndexError):
        stored[11]


def test_choosing_and_joining_read_nothing(stored, pixels, monkeypatch):
    rows, even = np.array([8, 1, 5, 2]), np.array([True, False, True, False])
    with monkeypatch.context() as patch:
        patch.setattr(ImagesOnDisk, "_read", None)
        joined = join_images([take(take(stored, rows), even), pixels[:2], stored])
    expected = np.concatenate([pixels[[8, 5]], pixels[:2], pixels])
    np.testing.assert_array_equal(joined[:], expected)


def test_what_lies_outside_of_a_region_is_read_as_zero(stored, pixels):
    region = np.eye(4, dtype=bool)
    for images in (stored, pixels):
        found = within(images, region)[np.array([1, 7])]
        np.testing.assert_array_equal(found, pixels[[1, 7]] * region[:, :, None])
    masks = ImagesOnDisk.whole([stored.parts[0][..., 0]])
    np.testing.assert_array_equal(within(masks, region)[:], pixels[:4, ..., 0] * region)


def test_it_is_never_taken_for_an_array_without_being_asked(stored, pixels):
    for careless in (np.asarray, lambda images: np.concatenate([images, pixels])):
        with pytest.raises(TypeError, match="index them"):
            careless(stored)


def test_images_seen_through_different_regions_are_not_joined(stored, pixels):
    seen = within(stored, np.eye(4, dtype=bool))
    for parts in ([pixels, seen], [seen, stored]):
        with pytest.raises(ValueError, match="same region"):
            join_images(parts)
    assert join_images([seen, take(seen, np.arange(3))]).shape == (14, 4, 4, 3)


def test_arrays_in_memory_stay_there(pixels):
    assert isinstance(join_images([take(pixels, np.arange(2)), pixels]), np.ndarray)
