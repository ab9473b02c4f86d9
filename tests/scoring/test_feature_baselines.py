import dataclasses

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf

from vae_jax.scoring import feature_baselines
from vae_jax.scoring.feature_baselines import RULES, FeatureBaselines

REGION = np.array([[True, True, False], [True, True, True], [False, True, True]])


def make_features(count, seed):
    return np.random.default_rng(seed).normal(size=(count, 3, 3, 4)).astype(np.float16)


def measure_mahalanobis(train, test):
    """Squared Mahalanobis distance per channel, by scikit-learn."""
    maps = np.empty(test.shape[:3])
    for i, j in np.ndindex(3, 3):
        gaussian = LedoitWolf().fit(train[:, i, j].astype(float))
        maps[:, i, j] = gaussian.mahalanobis(test[:, i, j].astype(float)) / 4
    return maps


def measure_nearest(train, test):
    """Distance to the nearest of all training patches, which the memory can hold here."""
    patches = (o.reshape(-1, 4).astype(float) for o in (test, train))
    return cdist(*patches).min(axis=1).reshape(test.shape[:3])


REFERENCES = {"padim": measure_mahalanobis, "patchcore": measure_nearest}


def smooth(image, region):
    """Each value as the Gaussian mean of the values that count, place by place."""
    places = np.argwhere(region)
    weights = np.exp(-0.5 * cdist(places, places, "sqeuclidean"))
    return weights @ image[region] / weights.sum(axis=1)


@pytest.mark.parametrize("rule", RULES)
def test_maps_and_scores_are_those_of_the_references(rule):
    train, test = make_features(40, 0), make_features(7, 1)
    baselines = FeatureBaselines(train, None, seed=0)
    expected = REFERENCES[rule](train, test)
    np.testing.assert_allclose(baselines.compute_maps(rule, test), expected, rtol=1e-4)
    mean = baselines.compute_score(f"{rule}_mean", test)
    np.testing.assert_allclose(mean, expected.mean(axis=(1, 2)), rtol=1e-4)
    highest = [smooth(image, np.ones((3, 3), bool)).max() for image in expected]
    np.testing.assert_allclose(baselines.compute_score(f"{rule}_max", test), highest, rtol=1e-4)


@pytest.mark.parametrize("rule", RULES)
def test_only_places_inside_the_region_count(rule):
    train, test = make_features(40, 0), make_features(7, 1)
    baselines = FeatureBaselines(train, REGION, seed=0)
    if rule == "padim":
        expected = measure_mahalanobis(train, test)
    else:
        inside = (o[:, REGION].reshape(-1, 4).astype(float) for o in (test, train))
        expected = np.zeros((7, 3, 3))
        expected[:, REGION] = cdist(*inside).min(axis=1).reshape(7, -1)
    maps = baselines.compute_maps(rule, test)
    np.testing.assert_allclose(maps[:, REGION], expected[:, REGION], rtol=1e-4)
    assert (maps[:, ~REGION] == 0).all()
    mean = baselines.compute_score(f"{rule}_mean", test)
    np.testing.assert_allclose(mean, expected[:, REGION].mean(axis=1), rtol=1e-4)
    highest = [smooth(image, REGION).max() for image in expected]
    np.testing.assert_allclose(baselines.compute_score(f"{rule}_max", test), highest, rtol=1e-4)


@pytest.fixture
def count_calls(monkeypatch):
    """Counts the fits, and the images that are measured, of every rule."""
    counts = dict.fromkeys([*RULES, "images"], 0)

    def count(name, rule):
        def fit(o, seed):
            counts[name] += 1
            return rule.fit(o, seed)

        return dataclasses.replace(rule, fit=fit)

    def measure(rule, fit, o):
        counts["images"] += len(o)
        return measure_batch(rule, fit, o)

    measure_batch = feature_baselines._measure_batch
    monkeypatch.setattr(feature_baselines, "_measure_batch", measure)
    monkeypatch.setattr(feature_baselines, "_BATCH", 1)
    monkeypatch.setattr(
        feature_baselines, "RULES", {name: count(name, rule) for name, rule in RULES.items()}
    )
    return counts


def test_a_rule_is_fitted_once_and_measures_an_image_once(count_calls):
    baselines = FeatureBaselines(make_features(9, 0), None, seed=0)
    test = make_features(5, 1)
    first = baselines.compute_maps("padim", test[:3])
    whole = baselines.compute_maps("padim", test)
    again = baselines.compute_maps("padim", test[[4, 0, 0]])
    baselines.compute_score("padim_mean", test)
    assert count_calls == {"padim": 1, "patchcore": 0, "images": 5}
    np.testing.assert_array_equal(whole[:3], first)
    np.testing.assert_array_equal(again, whole[[4, 0, 0]])


@pytest.mark.parametrize("rule", RULES)
def test_many_training_normals_are_drawn_from_by_the_seed(monkeypatch, rule):
    monkeypatch.setattr(feature_baselines, "MAX_RESIDUALS", 10)
    train, test = make_features(40, 0), make_features(7, 1)
    first, again, other = (
        FeatureBaselines(train, None, seed).compute_maps(rule, test) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
