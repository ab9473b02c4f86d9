import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from vae_jax.data.examples import Examples
from vae_jax.metrics import detection
from vae_jax.scoring import baselines, trivial


def blobs(count, seed, size=12, channels=3, sigma=1.5):
    """Smooth random images: some correlation for PCA to find, all alike to the eye."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(
        rng.normal(size=(count, size, size, channels)), (0, sigma, sigma, 0)
    )
    return np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)


def examples(images, seed=0):
    """The images as a role, with files of two usual widths."""
    rng = np.random.default_rng(seed)
    count = len(images)
    size = np.stack(
        [rng.choice([720, 1280], count), np.full(count, 576), rng.integers(9, 99, count)]
    )
    return Examples(
        images=images,
        labels=np.zeros(count, np.int32),
        classes=["a"] * count,
        files=[str(i) for i in range(count)],
        groups=[str(i) for i in range(count)],
        stored_size=size.T.astype(np.int32),
        masks=None,
        has_mask=np.zeros(count, bool),
    )


def test_every_baseline_scores_every_image():
    train, test = examples(blobs(60, 0)), examples(blobs(25, 1))
    found = baselines.scores(train, test, pca_components=5, seed=0)
    assert list(found) == [
        "mean", "std", "channel_mean_0", "channel_mean_1", "channel_mean_2", "dark_fraction",
        "compressed_size", "stored_width", "stored_height", "stored_bytes",
        "pca", "nearest_neighbour", "band_energy",
    ]  # fmt: skip
    for name, values in found.items():
        assert values.shape == (25,), name
        assert values.dtype == np.float64, name
        assert np.isfinite(values).all(), name
        assert (values >= 0).all(), name


def test_grey_images_have_no_channel_means():
    train, test = (examples(blobs(9, seed, size=8, channels=1)) for seed in (0, 1))
    found = baselines.scores(train, test, pca_components=64, seed=0)
    assert not [name for name in found if name.startswith("channel_mean")]


def test_scores_do_not_depend_on_the_rest_of_the_test_set():
    train, test = examples(blobs(60, 0)), examples(blobs(25, 1))
    alone = examples(test.images[7:8])
    alone.stored_size[:] = test.stored_size[7:8]
    whole = baselines.scores(train, test, pca_components=5, seed=0)
    for name, values in baselines.scores(train, alone, pca_components=5, seed=0).items():
        np.testing.assert_allclose(values, whole[name][7:8], rtol=1e-4, err_msg=name)


def test_large_training_sets_are_drawn_from_by_the_seed(monkeypatch):
    monkeypatch.setattr(baselines, "_MOST_TRIVIAL", 20)
    monkeypatch.setattr(baselines, "_MOST_VALUES", 30 * 12 * 12 * 3)
    monkeypatch.setattr(baselines, "_MOST_NEIGHBOURS", 20)
    train, test = examples(blobs(60, 0)), examples(blobs(25, 1))
    first, again, other = (baselines.scores(train, test, 5, seed) for seed in (0, 0, 1))
    for name in set(first) - {"dark_fraction", "stored_height", "stored_width"}:
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.array_equal(first[name], other[name]), name


def test_an_unseen_width_among_two_usual_ones_stands_out():
    train, test = examples(blobs(60, 0)), examples(blobs(40, 1))
    # Between the two usual widths, where the distance to mean or median would be small.
    test.stored_size[20:, 0] = 1000
    found = baselines.scores(train, test, pca_components=2, seed=0)
    labels = np.repeat([0, 1], 20)
    assert detection.auroc(found["stored_width"], labels) == 1
    assert detection.auroc(found["stored_height"], labels) == 0.5


def test_trivial_features_are_what_their_names_say():
    images = np.zeros((2, 4, 4, 3), np.uint8)
    images[0, :2, :, 1] = 255
    found = trivial.features(images, np.array([[720, 576, 9000], [1, 2, 3]], np.int32))
    np.testing.assert_allclose(found["mean"], [1 / 6, 0])
    np.testing.assert_allclose(found["std"], [np.sqrt(1 / 6 - 1 / 36), 0])
    np.testing.assert_allclose(found["channel_mean_1"], [0.5, 0])
    np.testing.assert_allclose(found["dark_fraction"], [5 / 6, 1])
    assert found["compressed_size"][0] > found["compressed_size"][1] > 0
    np.testing.assert_array_equal(found["stored_width"], [720, 1])
    np.testing.assert_array_equal(found["stored_height"], [576, 2])
    np.testing.assert_array_equal(found["stored_bytes"], [9000, 3])


def test_noise_compresses_worse_than_a_ramp():
    ramp = np.tile(np.arange(0, 128, 4, dtype=np.uint8)[None, :, None], (32, 1, 1))
    noise = np.random.default_rng(0).integers(0, 128, (32, 32, 1)).astype(np.uint8)
    size = trivial.features(np.stack([ramp, noise]), np.ones((2, 3), np.int32))["compressed_size"]
    assert 20 * size[0] < size[1]


def test_rarity_is_the_distance_to_the_kth_nearest():
    rng = np.random.default_rng(0)
    train, test = rng.integers(0, 50, 100).astype(float), rng.normal(25, 30, 40)
    expected = np.sort(np.abs(test[:, None] - train), axis=1)[:, 9]
    np.testing.assert_allclose(trivial.rarity(train, test), expected)


def test_rarity_takes_no_side():
    train, test = np.random.default_rng(0).normal(size=(2, 50))
    np.testing.assert_allclose(trivial.rarity(-train, -test), trivial.rarity(train, test))


def test_pca_error_is_what_the_singular_vectors_leave():
    train, test = blobs(50, 0), blobs(20, 1)
    x, y = (images.reshape(len(images), -1) / 255 for images in (train, test))
    components = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2][:6]
    centred = y - x.mean(axis=0)
    expected = np.square(centred - centred @ components.T @ components).mean(axis=1)
    np.testing.assert_allclose(baselines.pca(train, test, 6, seed=0), expected, rtol=1e-3)


def test_pca_with_all_components_leaves_no_error_in_training():
    train = blobs(20, 0)
    np.testing.assert_allclose(baselines.pca(train, train, 1000, seed=0), 0, atol=1e-9)


def test_nearest_neighbour_is_the_least_of_all_distances(monkeypatch):
    monkeypatch.setattr(baselines, "_CHUNK", 7)
    train, test = blobs(30, 0), blobs(20, 1)
    x, y = (images.reshape(len(images), -1) / 255 for images in (train, test))
    expected = cdist(y, x).min(axis=1) / np.sqrt(x.shape[1])
    np.testing.assert_allclose(baselines.nearest_neighbour(train, test), expected, rtol=1e-4)
    np.testing.assert_allclose(baselines.nearest_neighbour(train, train), 0, atol=1e-4)


@pytest.mark.parametrize("size", [8, 30])
def test_band_energy_sees_texture_that_is_finer_or_coarser(size):
    train, normal = blobs(150, 0, size, 1), blobs(40, 1, size, 1)
    labels = np.repeat([0, 1], 40)
    for sigma in (0.8, 3.0):
        test = np.concatenate([normal, blobs(40, 2, size, 1, sigma)])
        found = baselines.band_energy_distance(train, test, seed=0)
        assert detection.auroc(found, labels) > 0.9
