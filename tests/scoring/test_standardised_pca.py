import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from vae_jax.scoring.standardised_pca import fit_standardised_pca


def draw_features(count, seed, num_features=12):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(num_features, num_features))
    return (rng.normal(size=(count, num_features)) @ mixing * 7 + 50).astype(np.float32)


def test_residuals_are_those_of_a_pca_of_standardised_features():
    train, test = draw_features(40, 0), draw_features(15, 1)
    scaler = StandardScaler().fit(train.astype(np.float64))
    x, y = scaler.transform(train), scaler.transform(test)
    pca = PCA(4, svd_solver="full").fit(x)
    space = fit_standardised_pca(train, 4, seed=0)
    expected = np.square(y - pca.inverse_transform(pca.transform(y)))
    np.testing.assert_allclose(space.squared_residuals(test), expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(abs(space.transform(test)), abs(pca.transform(y)), atol=1e-3)


def test_a_constant_feature_is_not_scaled_however_many_images_there_are():
    train = draw_features(20_000, 0, 3)
    train[:, 1] = np.log(np.float32(1e-6))
    space = fit_standardised_pca(train, 2, seed=0)
    assert space.deviation[1] == 1
    test = draw_features(5, 1, 3)
    test[:, 1] = train[0, 1] + 0.5
    np.testing.assert_allclose(space.squared_residuals(test)[:, 1], 0.25, rtol=1e-4)


def test_few_images_have_few_components():
    assert fit_standardised_pca(draw_features(3, 0), 16, seed=0).pca.n_components == 3
    assert fit_standardised_pca(draw_features(30, 0), 16, seed=0).pca.n_components == 12
