import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.data.batches import (
    compute_content_index,
    iterate_batches,
    map_batches,
    map_rows,
    to_unit,
)
from vae_jax.data.image_store import ImagesOnDisk

IMAGES = np.arange(5 * 2 * 2, dtype=np.uint8).reshape(5, 2, 2, 1)


def test_bytes_become_values_between_zero_and_one():
    x = to_unit(jnp.asarray(np.array([[0, 255], [51, 102]], np.uint8)[None, ..., None]))
    assert x.dtype == jnp.float32
    np.testing.assert_allclose(x[0, ..., 0], [[0, 1], [0.2, 0.4]], rtol=1e-6)


@pytest.mark.parametrize("images", [IMAGES, ImagesOnDisk.from_parts([IMAGES[:3], IMAGES[3:]])])
def test_a_short_batch_is_padded_with_its_first_image_and_masked(images):
    batches = list(iterate_batches(images, 3))
    np.testing.assert_array_equal(batches[0].image, IMAGES[:3])
    np.testing.assert_array_equal(batches[1].image, IMAGES[[3, 4, 3]])
    assert [batch.mask.tolist() for batch in batches] == [[1, 1, 1], [1, 1, 0]]
    assert all(batch.class_index.tolist() == [0, 0, 0] for batch in batches)


def test_only_the_named_rows_are_yielded_with_their_classes():
    classes = np.array([3, 1, 4, 1, 5], np.int32)
    [batch] = iterate_batches(IMAGES, 3, classes, rows=np.array([4, 0, 2]))
    np.testing.assert_array_equal(batch.image, IMAGES[[4, 0, 2]])
    assert batch.class_index.tolist() == [5, 3, 4]
    assert batch.index.tolist() == compute_content_index(IMAGES[[4, 0, 2]]).tolist()


def test_the_index_of_an_image_depends_on_its_pixels_alone():
    index = compute_content_index(IMAGES)
    assert len(set(index.tolist())) == 5
    np.testing.assert_array_equal(compute_content_index(IMAGES[::-1]), index[::-1])
    np.testing.assert_array_equal(compute_content_index(IMAGES[2:3].copy()), index[2:3])


def test_every_image_is_passed_once_in_order_and_padding_is_removed():
    batch_sizes = []

    def add_pixels(batch):
        batch_sizes.append(len(batch.image))
        return {"sum": jnp.sum(batch.image, axis=(1, 2, 3), dtype=jnp.int32), "nothing": None}

    sums = map_batches(add_pixels, IMAGES, batch_size=2)
    assert batch_sizes == [2, 2, 2]  # one shape, and so one compilation
    assert sums["nothing"] is None
    np.testing.assert_array_equal(sums["sum"], IMAGES.sum(axis=(1, 2, 3)))


def test_each_image_is_passed_with_its_class():
    class_indices = np.array([3, 1, 4, 1, 5], np.int32)
    mapped = map_batches(lambda batch: batch.class_index, IMAGES, 3, class_indices)
    np.testing.assert_array_equal(mapped, class_indices)


def test_rows_of_all_columns_are_passed_together_in_batches_of_one_shape():
    left, right = np.arange(10.0).reshape(5, 2), np.arange(5)
    calls = []

    def add(left, right, nothing):
        calls.append((len(left), nothing))
        return left + right[:, None]

    sums = map_rows(add, 2, left, right, None)
    np.testing.assert_array_equal(sums, left + right[:, None])
    assert calls == [(2, None)] * 3
