import numpy as np

from vae_jax.scoring import trivial


def test_features_are_what_their_names_say():
    images = np.zeros((2, 4, 4, 3), np.uint8)
    images[0, :2, :, 1] = 255
    stored_size = np.array([[720, 576, 9000], [1, 2, 3]], np.int32)
    features = trivial.compute_features(images, stored_size)
    np.testing.assert_allclose(features["mean"], [1 / 6, 0])
    np.testing.assert_allclose(features["std"], [np.sqrt(1 / 6 - 1 / 36), 0])
    np.testing.assert_allclose(features["channel_mean_1"], [0.5, 0])
    np.testing.assert_allclose(features["dark_fraction"], [5 / 6, 1])
    assert features["compressed_size"][0] > features["compressed_size"][1] > 0
    np.testing.assert_array_equal(features["stored_width"], [720, 1])
    np.testing.assert_array_equal(features["stored_height"], [576, 2])
    np.testing.assert_array_equal(features["stored_bytes"], [9000, 3])


def test_grey_images_have_no_channel_means():
    features = trivial.compute_features(np.ones((2, 4, 4, 1), np.uint8), np.ones((2, 3), np.int32))
    assert not [name for name in features if name.startswith("channel_mean")]


def test_features_of_an_image_do_not_depend_on_the_other_images():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 6, 6, 3), np.uint8)
    stored_size = rng.integers(1, 99, (5, 3)).astype(np.int32)
    together = trivial.compute_features(images, stored_size)
    alone = trivial.compute_features(images[3:4], stored_size[3:4])
    for name, values in alone.items():
        np.testing.assert_array_equal(values, together[name][3:4], err_msg=name)


def test_noise_compresses_worse_than_a_ramp():
    ramp = np.tile(np.arange(0, 128, 4, dtype=np.uint8)[None, :, None], (32, 1, 1))
    noise = np.random.default_rng(0).integers(0, 128, (32, 32, 1)).astype(np.uint8)
    features = trivial.compute_features(np.stack([ramp, noise]), np.ones((2, 3), np.int32))
    sizes = features["compressed_size"]
    assert 20 * sizes[0] < sizes[1]


def test_rarity_is_the_distance_to_the_kth_nearest_value():
    rng = np.random.default_rng(0)
    train, test = rng.integers(0, 50, 100).astype(float), rng.normal(25, 30, 40)
    expected = np.sort(np.abs(test[:, None] - train), axis=1)[:, 9]
    np.testing.assert_allclose(trivial.rarity(train, test), expected)


def test_rarity_is_the_same_for_high_and_low_values():
    train, test = np.random.default_rng(0).normal(size=(2, 50))
    np.testing.assert_allclose(trivial.rarity(-train, -test), trivial.rarity(train, test))
