import jax
import numpy as np
import pytest

from vae_jax.scoring import fits as fits_lib
from vae_jax.scoring.fits import FITS, fit_scores
from vae_jax.scoring.scorer import make_scorer

pytestmark = pytest.mark.usefixtures("quick_compilation")


def fit(setup, names, images=None):
    images = setup.dataset.train.images if images is None else images
    return fit_scores(names, setup.trained, images, setup.scoring_config, setup.seed)


def test_only_scores_that_need_a_fit_are_fitted(make_setup):
    setup = make_setup()
    assert fit(setup, ("mse", "elbo")) == {}
    assert set(fit(setup, ("mse", "knn", "typicality"))) == {"knn", "typicality"}
    assert {"knn", "typicality"} < set(FITS)


def test_knn_is_fitted_on_the_posterior_means_of_training_normals(make_setup):
    setup = make_setup()
    expected = setup.trained.encode(setup.dataset.train.images).mu
    np.testing.assert_array_equal(fit(setup, ("knn",))["knn"], expected)


def test_typicality_is_fitted_on_the_negative_elbo_of_training_normals(make_setup):
    setup = make_setup()
    score = make_scorer(
        setup.trained.model, ("elbo",), setup.scoring_config, setup.seed, jax.devices()
    )
    elbo = score(setup.trained.params, setup.dataset.train.images)["elbo"]
    np.testing.assert_allclose(fit(setup, ("typicality",))["typicality"], elbo.mean(), rtol=1e-5)


def test_a_random_choice_of_training_normals_is_used_if_there_are_too_many(make_setup, monkeypatch):
    setup = make_setup()
    codes = fit(setup, ("knn",))["knn"]
    monkeypatch.setattr(fits_lib, "_MAX_NORMALS", 12)
    chosen, again = (fit(setup, ("knn",))["knn"] for _ in range(2))
    assert chosen.shape == (12, codes.shape[1])
    np.testing.assert_array_equal(chosen, again)
    distances = np.abs(chosen[:, None] - codes[None]).max(axis=2).min(axis=1)
    np.testing.assert_allclose(distances, 0, atol=1e-5)
