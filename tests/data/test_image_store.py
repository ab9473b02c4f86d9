import numpy as np
import pytest

from vae_jax.data.image_store import ImagesOnDisk, join_images, take_images, zero_outside_region


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (11, 4, 4, 3), np.uint8)


@pytest.fixture
def stored(pixels, tmp_path):
    """The same images on disk, four in one file and seven in another."""
    parts = []
    for name, part in (("a", pixels[:4]), ("b", pixels[4:])):
        part.tofile(tmp_path / name)
        parts.append(np.memmap(tmp_path / name, np.uint8, "r", shape=part.shape))
    return ImagesOnDisk.from_parts(parts)


@pytest.mark.parametrize(
    "key",
    [0, -1, slice(2, 9, 3), slice(9, 20), np.array([10, 0, 3, 3, 4]), np.arange(11) % 2 == 0, []],
)
def test_indexing_reads_the_same_images_as_indexing_an_array(stored, pixels, key):
    key = np.array(key, int) if isinstance(key, list) else key
    images = stored[key]
    assert type(images) is np.ndarray
    np.testing.assert_array_equal(images, pixels[key])


def test_shape_type_size_and_iteration_are_those_of_the_array(stored, pixels):
    assert (stored.shape, stored.dtype, stored.nbytes, len(stored)) == (
        pixels.shape, pixels.dtype, pixels.nbytes, len(pixels),
    )  # fmt: skip
    np.testing.assert_array_equal(np.stack(list(stored)), pixels)
    with pytest.raises(IndexError):
        stored[11]


def test_taking_and_joining_read_nothing(stored, pixels, monkeypatch):
    rows, even = np.array([8, 1, 5, 2]), np.array([True, False, True, False])
    with monkeypatch.context() as patch:
        patch.setattr(ImagesOnDisk, "_read", None)
        joined = join_images([take_images(take_images(stored, rows), even), pixels[:2], stored])
    expected = np.concatenate([pixels[[8, 5]], pixels[:2], pixels])
    np.testing.assert_array_equal(joined[:], expected)


def test_pixels_outside_a_region_are_read_as_zero(stored, pixels):
    region = np.eye(4, dtype=bool)
    for images in (stored, pixels):
        read = zero_outside_region(images, region)[np.array([1, 7])]
        np.testing.assert_array_equal(read, pixels[[1, 7]] * region[:, :, None])
    masks = ImagesOnDisk.from_parts([stored.parts[0][..., 0]])
    np.testing.assert_array_equal(
        zero_outside_region(masks, region)[:], pixels[:4, ..., 0] * region
    )


def test_numpy_cannot_convert_it_to_an_array_by_accident(stored, pixels):
    for convert in (np.asarray, lambda images: np.concatenate([images, pixels])):
        with pytest.raises(TypeError, match="index them"):
            convert(stored)


def test_images_with_different_regions_cannot_be_joined(stored, pixels):
    masked = zero_outside_region(stored, np.eye(4, dtype=bool))
    for parts in ([pixels, masked], [masked, stored]):
        with pytest.raises(ValueError, match="same region"):
            join_images(parts)
    assert join_images([masked, take_images(masked, np.arange(3))]).shape == (14, 4, 4, 3)


def test_arrays_in_memory_stay_in_memory(pixels):
    assert isinstance(join_images([take_images(pixels, np.arange(2)), pixels]), np.ndarray)
