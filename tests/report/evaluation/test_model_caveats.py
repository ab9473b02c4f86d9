import pytest

from vae_jax.report.evaluation.caveats import list_caveats


def _latent(active, informative, kl):
    return {"active_units": active, "informative_units": informative, "kl_per_dimension": kl}


@pytest.mark.parametrize(
    ("used", "total", "is_reported"),
    [(0, 4, True), (1, 4, False), (0, 128, True), (12, 128, True), (13, 128, False), (1, 1, False)],
)
@pytest.mark.parametrize("limited_by", ["active_units", "informative_units"])
def test_unused_latent_dimensions_are_reported(results, used, total, is_reported, limited_by):
    results["latent"] = _latent(total, total, [0.5] * total) | {limited_by: used}
    caveats = list_caveats(results, "mse")
    assert len(caveats) == is_reported
    if is_reported:
        assert f"{used} of {total} latent dimensions" in caveats[0]
        # The KL is 2 nats for 4 dimensions and 64 nats for 128.
        assert ("collapsed" in caveats[0]) == (total == 4)


def test_many_active_units_with_hardly_any_information_do_not_look_healthy(results):
    results["latent"] = _latent(112, 60, [7 / 128] * 128)
    [caveat] = list_caveats(results, "mse")
    assert caveat.startswith("The latent code is hardly used: 112 of 128 dimensions vary")
    assert "only 7 nats in total" in caveat
    results["latent"] = _latent(112, 60, [0.2] * 128)
    assert list_caveats(results, "mse") == []


def test_each_branch_is_checked_on_its_own(results):
    healthy = {"dimensions": 784, "active_units": 784, "informative_units": 784, "kl_nats": 900.0}
    unused = {"dimensions": 32, "active_units": 2, "informative_units": 1, "kl_nats": 8.0}
    results["latent"] = _latent(786, 785, [1.0] * 816)
    results["latent"]["branches"] = {"features": healthy, "bands": unused}
    [caveat] = list_caveats(results, "mse")
    assert "unused: 1 of 32 latent dimensions of bands" in caveat
    assert "A smaller model.band_latent_dim" in caveat


def test_reconstructions_worse_than_the_mean_image_are_reported(results):
    errors = {"posterior_mean": 0.017, "posterior_sample": 0.0169, "mean_image": 0.0074}
    results["reconstruction_errors"] = {"pixels": errors}
    [caveat] = list_caveats(results, "mse")
    assert "worse than the mean training image does" in caveat
    assert "0.01700 against 0.007400" in caveat
    errors["mean_image"] = 0.02
    assert list_caveats(results, "mse") == []


def test_reconstructions_worse_than_those_of_samples_are_reported(results):
    errors = {"posterior_mean": 0.017, "posterior_sample": 0.0064, "mean_image": 0.02}
    results["reconstruction_errors"] = {"features": errors}
    [caveat] = list_caveats(results, "mse")
    assert caveat.startswith("Reconstructions of features of normal images from the posterior mean")
    assert "0.01700 against 0.006400" in caveat
    del errors["posterior_sample"]  # an autoencoder has none
    assert list_caveats(results, "mse") == []
