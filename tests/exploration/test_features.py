import numpy as np

from vae_jax.exploration import features


def test_inception_features_do_not_depend_on_the_number_format_of_images(
    tmp_path, inception_state, monkeypatch
):
    monkeypatch.setattr(features, "_INCEPTION_BATCH", 2)
    np.savez(tmp_path / "weights.npz", **inception_state)
    network = features.load_inception(tmp_path / "weights.npz")
    assert network.name == "Inception-v3, weights of the original Fréchet distance (weights.npz)"
    images = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 1), np.uint8)
    values, probabilities = network.compute(images)
    assert values.shape == (2, 2048)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(network.compute(images / np.float32(255)).values, values, rtol=1e-3)
