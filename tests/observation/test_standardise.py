import numpy as np
import pytest
from scipy import stats

from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.observation import standardise as standardise_lib


def make_observations(count=150, seed=0, channels=7):
    """Observations whose places and channels have different means and deviations, as stored."""
    scale = np.random.default_rng(9).uniform(0.5, 3, (2, 3, 4, channels))
    noise = np.random.default_rng(seed).normal(size=(count, 3, 4, channels))
    return (scale[0] * noise + 5 * scale[1]).astype(np.float16)


@pytest.mark.parametrize("per_place", [False, True])
def test_training_normals_get_mean_0_and_deviation_1(per_place):
    o = make_observations()
    standardiser = standardise_lib.fit_standardiser(o, per_place=per_place)
    standardised = standardise_lib.standardise(o, standardiser)
    axes = 0 if per_place else (0, 1, 2)
    assert standardised.dtype == np.float16
    exact = stats.zscore(o.astype(np.float64), axis=axes)
    np.testing.assert_allclose(standardised, exact, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(standardised.astype(float).mean(axis=axes), 0, atol=2e-3)
    np.testing.assert_allclose(standardised.astype(float).std(axis=axes), 1, atol=2e-3)


def test_other_images_are_measured_in_units_of_the_training_normals():
    train, other = make_observations(), make_observations(10, seed=1) + np.float16(3)
    standardiser = standardise_lib.fit_standardiser(train, per_place=True)
    mean, deviation = (f(train.astype(np.float64), axis=0) for f in (np.mean, np.std))
    expected = (other - mean) / deviation
    standardised = standardise_lib.standardise(other, standardiser)
    np.testing.assert_allclose(standardised, expected, rtol=2e-3, atol=2e-3)


def test_the_fit_does_not_depend_on_where_observations_are_stored_or_on_their_order():
    o = make_observations()
    expected = standardise_lib.fit_standardiser(o, per_place=True)
    on_disk = ImagesOnDisk.from_parts([o[:40], o[40:]]).take(
        np.random.default_rng(0).permutation(150)
    )
    other = standardise_lib.fit_standardiser(on_disk, per_place=True)
    np.testing.assert_allclose(other.mean, expected.mean, rtol=1e-6)
    np.testing.assert_allclose(other.deviation, expected.deviation, rtol=1e-6)


@pytest.mark.parametrize("per_place", [False, True])
def test_a_value_that_is_constant_over_training_normals_stays_finite(per_place):
    o = make_observations()
    o[..., 2] = 3.3
    standardiser = standardise_lib.fit_standardiser(o, per_place=per_place)
    standardised = standardise_lib.standardise(o, standardiser).astype(float)
    np.testing.assert_allclose(standardised[..., 2], 0, atol=1e-2)
    o[0, 0, 0, 2] += 1
    changed = standardise_lib.standardise(o, standardiser).astype(float)
    assert np.isfinite(changed).all()
    assert changed[0, 0, 0, 2] > 100


def test_observations_that_are_constant_everywhere_are_zero():
    o = np.full((5, 2, 2, 3), 1.5, np.float16)
    standardiser = standardise_lib.fit_standardiser(o, per_place=True)
    np.testing.assert_array_equal(standardise_lib.standardise(o, standardiser), 0)


def test_values_beyond_the_range_of_float16_are_clipped():
    train = make_observations()
    standardiser = standardise_lib.fit_standardiser(train, per_place=False)
    far = np.full((1, 3, 4, 7), 6e4, np.float16)
    train[..., 0] = 0.5
    constant = standardise_lib.fit_standardiser(train, per_place=False)
    for fitted in (standardiser, constant):
        standardised = standardise_lib.standardise(far, fitted)
        assert np.isfinite(standardised).all()
        assert standardised.max() <= 1e4
        assert standardised.min() > 100


def test_the_projection_is_orthonormal_and_the_same_in_every_run():
    o = make_observations(channels=7)
    standardiser, again = (
        standardise_lib.fit_standardiser(o, per_place=False, num_channels=4) for _ in range(2)
    )
    projection = standardiser.projection.astype(float)
    assert projection.shape == (7, 4)
    np.testing.assert_allclose(projection.T @ projection, np.eye(4), atol=1e-6)
    np.testing.assert_array_equal(standardiser.projection, again.projection)
    whole = standardise_lib.fit_standardiser(o, per_place=False)
    expected = standardise_lib.standardise(o, whole).astype(float) @ projection
    np.testing.assert_allclose(
        standardise_lib.standardise(o, standardiser), expected, rtol=5e-3, atol=5e-3
    )


@pytest.mark.parametrize("num_channels", [None, 7, 8])
def test_nothing_is_projected_where_all_channels_are_kept(num_channels):
    o = make_observations(channels=7)
    fitted = standardise_lib.fit_standardiser(o, per_place=False, num_channels=num_channels)
    assert fitted.projection is None
    assert standardise_lib.standardise(o, fitted).shape == o.shape
