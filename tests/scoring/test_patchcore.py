import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from vae_jax.scoring import patchcore


def make_observations(count, seed, *, size=3, channels=4):
    shape = (count, size, size, channels)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def find_rows(rows, table):
    """Returns where each row stands in a table of different rows."""
    matches = (rows[:, None] == table[None]).all(axis=2)
    assert (matches.sum(axis=1) == 1).all()
    return matches.argmax(axis=1)


def choose_by_brute_force(points, max_centres, first):
    distances, centres = cdist(points, points), [first]
    while len(centres) < max_centres:
        centres.append(int(distances[:, centres].min(axis=1).argmax()))
    return centres


def test_the_centres_are_those_of_brute_force():
    points = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    centres = patchcore.choose_centres(points, 30, 7)
    assert centres.tolist() == choose_by_brute_force(points, 30, 7)


def test_each_patch_is_chosen_once_and_duplicates_are_not_kept():
    o = make_observations(5, 0)
    memory = patchcore.fit_patch_memory(np.concatenate([o, o]), 1000, 0)
    assert sorted(find_rows(memory, o.reshape(-1, 4))) == list(range(45))


def test_equal_patches_give_a_memory_of_one_patch():
    memory = patchcore.fit_patch_memory(np.full((3, 2, 2, 4), 2.5, np.float32), 10, 0)
    np.testing.assert_array_equal(memory, np.full((1, 4), 2.5))


def test_the_memory_covers_the_patches_better_than_a_random_choice(monkeypatch):
    monkeypatch.setattr(patchcore, "_PROJECTED_CHANNELS", 16)
    rng = np.random.default_rng(0)
    o = make_observations(100, 0, channels=40) * np.where(rng.random((100, 3, 3, 1)) < 0.02, 5, 1)
    o = o.astype(np.float32)
    patches = o.reshape(-1, 40)
    memory = patchcore.fit_patch_memory(o, 50, 0)
    assert memory.shape == (50, 40)
    find_rows(memory, patches)
    chosen_at_random = patches[rng.choice(len(patches), 50, replace=False)]
    radius, random_radius = (
        cdist(patches, centres).min(axis=1).max() for centres in (memory, chosen_at_random)
    )
    assert radius < 0.5 * random_radius


def test_the_memory_depends_on_the_seed_alone(monkeypatch):
    monkeypatch.setattr(patchcore, "_MAX_CANDIDATES", 60)
    o = make_observations(20, 0)
    memories = [patchcore.fit_patch_memory(o, 20, seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(memories[0], memories[1])
    assert not np.array_equal(memories[0], memories[2])


def test_patches_are_drawn_from_all_images(monkeypatch):
    monkeypatch.setattr(patchcore, "_MAX_CANDIDATES", 90)
    o = np.broadcast_to(np.arange(20, dtype=np.float32)[:, None, None, None], (20, 3, 3, 1))
    memory = patchcore.fit_patch_memory(o, 20, 0)
    assert len(memory) > 15


@pytest.mark.parametrize("count", [1, 8, 19])
def test_the_distance_is_the_smallest_of_all_distances(count):
    memory = patchcore.fit_patch_memory(make_observations(20, 0), 50, 0)
    o = make_observations(count, 1)
    distances = jax.jit(patchcore.measure_nearest_patches)(jnp.asarray(memory), jnp.asarray(o))
    expected = cdist(o.reshape(-1, 4), memory).min(axis=1).reshape(count, 3, 3)
    np.testing.assert_allclose(distances, expected, rtol=1e-5)


def test_small_distances_far_from_the_origin_are_exact():
    memory = jnp.array([[1000, 1000], [1001, 1000]], jnp.float32)
    o = jnp.array([[[[1000.125, 1000]]]], jnp.float32)
    np.testing.assert_allclose(patchcore.measure_nearest_patches(memory, o), [[[0.125]]])
