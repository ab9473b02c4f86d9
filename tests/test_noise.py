import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import noise


def draw(step, index, name="latent", seed=0):
    keys = noise.example_keys(noise.stream_key(seed, name), step, jnp.asarray(index, jnp.int32))
    return np.asarray(noise.draw_normal(keys, 4))


def test_noise_of_an_example_does_not_depend_on_its_batch():
    together = draw(3, [5, 6, 7, 8])
    np.testing.assert_array_equal(together[2:], draw(3, [7, 8]))
    np.testing.assert_array_equal(together[::-1], draw(3, [8, 7, 6, 5]))


@pytest.mark.parametrize("other", [{"step": 4}, {"index": [6]}, {"name": "augment"}, {"seed": 1}])
def test_seed_stream_step_and_example_all_matter(other):
    base = {"step": 3, "index": [5]}
    assert not np.array_equal(draw(**base), draw(**base | other))


def test_streams_differ_from_each_other():
    keys = [jax.random.key_data(noise.stream_key(0, name)).tolist() for name in noise.STREAMS]
    assert len({tuple(key) for key in keys}) == len(noise.STREAMS)


def test_an_unknown_stream_is_refused():
    with pytest.raises(ValueError, match="not in tuple"):
        noise.stream_key(0, "latnet")


def test_a_number_is_folded_into_the_key_of_each_example():
    keys = noise.example_keys(noise.stream_key(0, "eval"), 0, jnp.arange(3))
    folded = noise.fold_into_each(keys, 7)
    for key, new_key in zip(keys, folded, strict=True):
        expected = jax.random.key_data(jax.random.fold_in(key, 7))
        np.testing.assert_array_equal(jax.random.key_data(new_key), expected)


def test_noise_is_standard_normal():
    values = draw(0, np.arange(20_000))
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1) < 0.02


def test_order_of_an_epoch_is_a_permutation_of_seed_and_epoch():
    order = noise.draw_permutation(0, 1, 100)
    assert sorted(order) == list(range(100))
    np.testing.assert_array_equal(order, noise.draw_permutation(0, 1, 100))
    assert not np.array_equal(order, noise.draw_permutation(0, 2, 100))
    assert not np.array_equal(order, noise.draw_permutation(1, 1, 100))
