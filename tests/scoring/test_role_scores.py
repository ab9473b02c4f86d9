import logging

import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.scoring.fusion import fuse_scores
from vae_jax.scoring.role_scores import score_calibration_and_test, select_supported_scores
from vae_jax.scoring.scores import SCORES

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_all_roles_get_the_scores_and_the_figures(make_setup, config):
    config.scoring.fusion = ("l1", "kl")
    setup = make_setup()
    by_role = score_calibration_and_test(setup, ["mse", "fusion"])
    assert set(by_role.calibration) == set(by_role.test) == {
        "mse", "l1", "kl", "fusion", "elbo", "quality_mse", "quality_psnr", "quality_ssim",
        "noisy_mse", "reconstruction",
    }  # fmt: skip
    assert len(by_role.calibration["mse"]) == len(setup.dataset.calibration.images)
    assert len(by_role.test["mse"]) == len(setup.dataset.test.images)


def test_fusion_takes_its_scale_from_validation_normals(make_setup, config, dataset):
    config.scoring.fusion = ("mse",)
    setup = make_setup()
    # The validation images as test images have the scores that fuse_scores the others.
    validation = score_calibration_and_test(make_setup(test=dataset.val), ["mse"]).test
    by_role = score_calibration_and_test(setup, ["mse", "fusion"])
    for columns in (by_role.calibration, by_role.test):
        expected = fuse_scores({"mse": validation["mse"]}, columns)
        np.testing.assert_allclose(columns["fusion"], expected, rtol=1e-4, atol=1e-4)


def test_fusion_of_an_autoencoder_leaves_out_scores_that_need_a_posterior(make_setup, config):
    config.model.kind, config.scoring.fusion = "ae", ("mse", "kl")
    columns = score_calibration_and_test(make_setup(), ["mse", "fusion"]).test
    # The only member is mse, so fusion keeps its order.
    assert (np.diff(columns["fusion"][np.argsort(columns["mse"])]) >= 0).all()


def test_nll_brings_bits_per_dim_because_it_costs_nothing(make_setup, config):
    config.scoring.importance_samples = 2
    columns = score_calibration_and_test(make_setup(), ["nll"]).test
    assert {"nll", "bits_per_dim"} <= set(columns)


def test_a_score_that_is_not_finite_is_refused_by_name(make_setup, monkeypatch):
    monkeypatch.setitem(SCORES, "l1", lambda view: SCORES["mse"](view) / 0 * 0)
    with pytest.raises(
        UserError, match=r"the score l1 is nan for calibration/0.png \(calibration\); in total"
    ):
        score_calibration_and_test(make_setup(), ["l1"])


def test_the_speed_of_slow_scores_is_logged(make_setup, config, caplog):
    config.scoring.restoration_steps = 1
    with caplog.at_level(logging.INFO):
        score_calibration_and_test(make_setup(), ["restoration"])
    messages = [record.getMessage() for record in caplog.records]
    assert any(message.startswith("restoration: 25 images in") for message in messages)


@pytest.mark.parametrize("kind", ["vae", "ae"])
def test_an_autoencoder_supports_only_scores_without_a_posterior(make_setup, config, kind):
    config.model.kind = kind
    model = make_setup().trained.model
    names = select_supported_scores(model, ("kl", "mse", "elbo"), "scoring.names")
    assert names == (["kl", "mse", "elbo"] if kind == "vae" else ["mse"])
    if kind == "ae":
        with pytest.raises(
            UserError, match=r"scoring.fusion contains only scores that need a post"
        ):
            select_supported_scores(model, ("kl", "elbo"), "scoring.fusion")
