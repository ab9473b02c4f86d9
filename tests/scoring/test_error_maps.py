"""The maps are compared with NumPy; `show` makes a view with known images and reconstructions."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats
from sklearn.covariance import LedoitWolf

from vae_jax.data.region import Region
from vae_jax.metrics import image_quality
from vae_jax.model.vae import VAE, BoundModel
from vae_jax.score_names import AGGREGATES, MAPS
from vae_jax.scoring import error_maps, place_maps
from vae_jax.scoring.place_gaussian import fit_place_gaussian

pytestmark = pytest.mark.usefixtures("quick_compilation")

MEASURES = tuple(error_maps.ERROR_MAPS)
SIGMA = 0.3  # log sigma of all channels of the decoder's output


def make_model(size, channels, region=None):
    """A model of unbounded values, whose reconstruction is the first half of the decoder's output."""
    return VAE(
        image_size=size, channels=channels, widths=(2,), kernel_size=4, hidden_dim=0, latent_dim=2,
        activation="relu", likelihood_name="normal", sigma=0.1, region=region,
    )  # fmt: skip


def make_raw(x_hat):
    return jnp.concatenate([x_hat, jnp.full_like(x_hat, np.log(SIGMA))], axis=3)


@pytest.fixture
def show(make_view):
    """Returns a function that makes the view of images and of their reconstructions."""

    def show(x, x_hat, **parts):
        model = make_model(x.shape[1], x.shape[3], parts.pop("region", None))
        defaults = {"bound": BoundModel(model, {}), "raw": make_raw(x_hat), "x_hat_noisy": x_hat}
        return make_view(len(x), x=x, x_hat=x_hat, **defaults | parts)

    return show


@pytest.fixture
def images():
    """Five random images of 16 x 16 x 3, and random reconstructions."""
    rng = np.random.default_rng(0)
    return tuple(jnp.asarray(rng.uniform(0.05, 0.95, (2, 5, 16, 16, 3)), jnp.float32))


@pytest.fixture
def view(images, show):
    residuals = np.random.default_rng(1).normal(size=(40, 16, 16, 3)).astype(np.float32)
    return show(*images, fits={"place_gaussian": fit_place_gaussian(residuals)})


def by_hand(measure, view):
    """Returns the mean error of every place over its channels, computed in float64."""
    x, x_hat = np.asarray(view.x, np.float64), np.asarray(view.x_hat, np.float64)
    if measure == "ssim":
        return 1 - np.asarray(image_quality.ssim_map(view.x, view.x_hat)).mean(axis=3)
    if measure == "cosine":
        norms = np.linalg.norm(x, axis=3) * np.linalg.norm(x_hat, axis=3)
        return 1 - (x * x_hat).sum(axis=3) / norms
    if measure == "place_nll":
        return -stats.norm.logpdf(x, x_hat, SIGMA).sum(axis=3)
    errors = {
        "mse": np.square(x - x_hat),
        "l1": np.abs(x - x_hat),
        "bce": -x * np.log(x_hat) - (1 - x) * np.log(1 - x_hat),
    }
    return errors[measure].mean(axis=3)


@pytest.mark.parametrize("measure", [m for m in MEASURES if m != "place_gaussian"])
def test_a_map_is_as_large_as_the_image_and_agrees_with_numpy(measure, view):
    errors_map = np.asarray(error_maps.compute_map(view, measure))
    assert errors_map.shape == (5, 16, 16)
    expected = by_hand(measure, view)
    inner = (16 - expected.shape[1]) // 2
    inside = errors_map[:, inner : 16 - inner, inner : 16 - inner]
    np.testing.assert_allclose(inside, expected, rtol=1e-4, atol=1e-6)


def test_the_map_of_place_gaussian_is_the_distance_of_the_residual_at_each_place(view):
    residuals = np.random.default_rng(1).normal(size=(40, 16, 16, 3))
    errors_map = np.asarray(error_maps.compute_map(view, "place_gaussian"))
    difference = np.asarray(view.x - view.x_hat, np.float64)
    for i, j in ((0, 0), (3, 15), (9, 4)):
        vectors = residuals[:, i, j].astype(np.float32).astype(np.float64)
        model = LedoitWolf().fit(vectors)
        expected = model.mahalanobis(difference[:, i, j]) / 3
        np.testing.assert_allclose(errors_map[:, i, j], expected, rtol=1e-3)


def test_pixels_near_the_edge_have_the_dissimilarity_of_the_nearest_inner_pixel(view):
    ssim_map = np.asarray(error_maps.compute_map(view, "ssim"))
    np.testing.assert_array_equal(ssim_map[:, 0, :], ssim_map[:, 5, :])
    np.testing.assert_array_equal(ssim_map[:, :, -1], ssim_map[:, :, -6])


def test_cosine_does_not_depend_on_the_length_of_the_vectors_and_is_finite_without_one(
    show, images
):
    x, x_hat = images
    expected = error_maps.compute_map(show(x, x_hat), "cosine")
    scaled = error_maps.compute_map(show(3 * x, 0.2 * x_hat), "cosine")
    np.testing.assert_allclose(scaled, expected, atol=1e-6)
    opposite = error_maps.compute_map(show(x, -x), "cosine")
    np.testing.assert_allclose(opposite, 2, rtol=1e-6)
    without = error_maps.compute_map(show(x, jnp.zeros_like(x)), "cosine")
    np.testing.assert_array_equal(without, 1)


@pytest.mark.parametrize("measure", MEASURES)
def test_with_posterior_samples_the_errors_and_not_the_reconstructions_are_averaged(
    measure, view, show
):
    x, fits = view.x, view.fits
    rng = np.random.default_rng(2)
    samples = jnp.asarray(rng.uniform(0.05, 0.95, (3, *x.shape)), jnp.float32)
    sampled = show(x, view.x_hat, fits=fits, sampled_raws=jnp.stack([*map(make_raw, samples)]))
    alone = [error_maps.compute_map(show(x, x_hat, fits=fits), measure) for x_hat in samples]
    errors_map = error_maps.compute_map(sampled, measure)
    np.testing.assert_allclose(errors_map, np.mean(alone, axis=0), rtol=1e-5, atol=1e-6)


def test_a_map_is_zero_outside_the_region_and_unchanged_inside(view, show):
    mask = np.random.default_rng(3).random((16, 16)) < 0.5
    black = [jnp.where(mask[None, :, :, None], image, 0) for image in (view.x, view.x_hat)]
    whole = show(*black, fits=view.fits)
    in_region = show(*black, fits=view.fits, region=Region(mask))
    for measure in MEASURES:
        errors_map = np.asarray(error_maps.compute_map(in_region, measure))
        np.testing.assert_array_equal(errors_map[:, ~mask], 0)
        everywhere = np.asarray(error_maps.compute_map(whole, measure))
        np.testing.assert_array_equal(errors_map[:, mask], everywhere[:, mask])


def aggregate_by_hand(aggregate, errors, share):
    """Aggregates places [N, j] with NumPy and scipy."""
    if aggregate == "mean":
        return errors.mean(axis=1)
    if aggregate == "max":
        return errors.max(axis=1)
    if aggregate == "top_k":
        return np.sort(errors, axis=1)[:, -round(share * errors.shape[1]) :].mean(axis=1)
    return (errors.max(axis=1) - np.median(errors, axis=1)) / stats.iqr(errors, axis=1)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_pixels_in_the_region_are_aggregated_without_smoothing(
    aggregate, masked, images, show, config
):
    config.scoring.top_k = 0.1
    mask = np.random.default_rng(3).random((16, 16)) < 0.5 if masked else np.ones((16, 16), bool)
    view = show(*images, region=Region(mask) if masked else None)
    values = error_maps.aggregate_errors(view, error_maps.compute_errors(view, "l1"), aggregate)
    expected = aggregate_by_hand(aggregate, by_hand("l1", view)[:, mask], 0.1)
    np.testing.assert_allclose(values, expected, rtol=1e-4)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_on_a_grid_max_and_contrast_read_a_map_that_is_smoothed_by_one_cell(
    aggregate, masked, images, show, config
):
    config.scoring.top_k = 0.1
    mask = np.random.default_rng(3).random((16, 16)) < 0.5 if masked else np.ones((16, 16), bool)
    view = show(*images, region=Region(mask) if masked else None, on_grid=True)
    values = error_maps.aggregate_errors(view, error_maps.compute_errors(view, "l1"), aggregate)
    errors = by_hand("l1", view)
    if aggregate in ("max", "contrast"):
        options = {"sigma": (0, 1, 1), "mode": "constant", "truncate": 10}
        weight = ndimage.gaussian_filter(
            np.broadcast_to(mask.astype(float), errors.shape), **options
        )
        errors = ndimage.gaussian_filter(errors * mask, **options) / weight
    expected = aggregate_by_hand(aggregate, errors[:, mask], 0.1)
    np.testing.assert_allclose(values, expected, rtol=1e-4)


def test_without_a_name_the_aggregate_of_the_config_is_taken(view, config):
    errors = error_maps.compute_errors(view, "mse")
    for aggregate in AGGREGATES:
        config.scoring.aggregate = aggregate
        np.testing.assert_array_equal(
            error_maps.aggregate_errors(view, errors),
            error_maps.aggregate_errors(view, errors, aggregate),
        )


def test_every_name_of_a_map_and_of_an_aggregate_has_a_function():
    assert set(error_maps.ERROR_MAPS) == {measure for maps in MAPS.values() for measure in maps}
    assert tuple(error_maps.AGGREGATES) == AGGREGATES
    assert tuple(place_maps.GRID_AGGREGATES) == AGGREGATES
