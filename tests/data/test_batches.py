"""A function walked over images, whatever the last batch holds."""

import jax.numpy as jnp
import numpy as np

from vae_jax.data.batches import in_batches, over_batches

_IMAGES = np.arange(5 * 2 * 2, dtype=np.uint8).reshape(5, 2, 2, 1)


def test_every_image_comes_once_and_in_order_and_padding_is_cut_off():
    seen = []

    def look(batch):
        seen.append(len(batch.image))
        return {"sum": jnp.sum(batch.image, axis=(1, 2, 3), dtype=jnp.int32), "nothing": None}

    found = over_batches(look, _IMAGES, batch_size=2)
    assert seen == [2, 2, 2]  # one shape, so one compilation
    assert found["nothing"] is None
    np.testing.assert_array_equal(found["sum"], _IMAGES.sum(axis=(1, 2, 3)))


def test_each_image_comes_with_its_own_condition():
    class_indices = np.array([3, 1, 4, 1, 5], np.int32)
    found = over_batches(lambda batch: batch.class_index, _IMAGES, 3, class_indices)
    np.testing.assert_array_equal(found, class_indices)


def test_rows_of_all_values_come_together_in_batches_of_one_shape():
    left, right = np.arange(10.0).reshape(5, 2), np.arange(5)
    seen = []

    def add(left, right, nothing):
        seen.append((len(left), nothing))
        return left + right[:, None]

    found = in_batches(add, 2, left, right, None)
    np.testing.assert_array_equal(found, left + right[:, None])
    assert seen == [(2, None)] * 3
