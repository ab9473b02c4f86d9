"""Measures of the model in words that a reader understands."""

from vae_jax.report.evaluation.model_measures import list_model_measures


def test_likelihood_says_how_it_was_measured_and_what_it_is_not():
    likelihood = {
        "elbo_nats": -92.5,
        "nll_nats": 87.554,
        "bits_per_dim": 0.161,
        "importance_samples": 5000,
        "not_a_likelihood": "the pixels are grey",
    }
    elbo, nll, bits = list_model_measures({"likelihood": likelihood})
    assert elbo[:2] == ("ELBO", "-92.50 nats per image")
    assert nll[1] == "87.55 nats per image"
    assert "5,000 samples" in nll[2]
    assert bits[1] == "0.1610"
    assert bits[2].endswith("Attention: the pixels are grey")


def test_dimensions_in_use_stand_beside_all_of_them_and_their_kl():
    latent = {
        "active_units": 4,
        "informative_units": 1,
        "kl_per_dimension": [6.9, 0.02, 0.03, 0.05],
    }
    kl, used = list_model_measures({"latent": latent})
    assert kl[:2] == ("KL", "7.000 nats per image")
    assert used[:2] == ("latent dimensions in use", "1 of 4")
    assert "4 are active" in used[2]


def test_each_branch_has_its_own_dimensions():
    branch = {"dimensions": 784, "active_units": 784, "informative_units": 700, "kl_nats": 919.7}
    latent = {"kl_per_dimension": [1.0], "branches": {"features": branch}}
    names = [name for name, *_ in list_model_measures({"latent": latent})]
    assert names == ["KL of features", "latent dimensions in use of features"]


def test_a_run_without_these_sections_has_no_measures():
    assert list_model_measures({"detection": {"mse": {}}}) == []
    assert list_model_measures({"latent": {"classifier": {"accuracy": 0.9}}}) == []
