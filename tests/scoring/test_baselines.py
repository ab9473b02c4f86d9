import dataclasses

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from vae_jax.data.examples import Examples
from vae_jax.data.region import Region
from vae_jax.metrics import detection
from vae_jax.observation.observed import ObservedImages
from vae_jax.score_names import BASELINES, FEATURE_BASELINES
from vae_jax.scoring import baselines
from vae_jax.scoring.baselines import Baselines, fit_pca, score_baselines


def make_blobs(count, seed, size=12, channels=3, sigma=1.5):
    """Smooth random images, whose correlation a PCA can use."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(
        rng.normal(size=(count, size, size, channels)), (0, sigma, sigma, 0)
    )
    return np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)


def make_examples(images, seed=0):
    """The images as a role; their files have one of two widths."""
    rng = np.random.default_rng(seed)
    count = len(images)
    size = np.stack(
        [rng.choice([720, 1280], count), np.full(count, 576), rng.integers(9, 99, count)]
    )
    return Examples(
        images=images,
        labels=np.zeros(count, np.int32),
        classes=["a"] * count,
        files=[str(i) for i in range(count)],
        groups=[str(i) for i in range(count)],
        stored_size=size.T.astype(np.int32),
        masks=None,
        has_mask=np.zeros(count, bool),
    )


def flatten(images):
    return images.reshape(len(images), -1) / 255


def test_every_baseline_scores_every_image():
    train, test = make_examples(make_blobs(60, 0)), make_examples(make_blobs(25, 1))
    scores = Baselines(train, pca_components=5, seed=0).score(test)
    assert list(scores) == [
        "mean", "std", "channel_mean_0", "channel_mean_1", "channel_mean_2", "dark_fraction",
        "compressed_size", "stored_width", "stored_height", "stored_bytes",
        "pca", "nearest_neighbour", "band_pca", "band_energy",
    ]  # fmt: skip
    for name, values in scores.items():
        assert values.shape == (25,), name
        assert values.dtype == np.float64, name
        assert np.isfinite(values).all(), name
        assert (values >= 0).all(), name


def test_baseline_scores_do_not_depend_on_the_other_test_images():
    train, test = make_examples(make_blobs(60, 0)), make_examples(make_blobs(25, 1))
    fits = Baselines(train, pca_components=5, seed=0)
    together = fits.score(test)
    for name, values in fits.score(test.take(np.arange(7, 8))).items():
        np.testing.assert_allclose(values, together[name][7:8], rtol=1e-4, err_msg=name)


def test_baseline_scores_do_not_depend_on_the_size_of_a_chunk(monkeypatch):
    train, test = make_examples(make_blobs(60, 0)), make_examples(make_blobs(25, 1))
    fits = Baselines(train, pca_components=5, seed=0)
    together = fits.score(test)
    monkeypatch.setattr(baselines, "_CHUNK", 7)
    for name, values in fits.score(test).items():
        np.testing.assert_allclose(values, together[name], rtol=1e-4, err_msg=name)


def test_every_test_image_is_read_once(monkeypatch):
    monkeypatch.setattr(baselines, "_CHUNK", 7)
    rows_read = []

    class CountedImages(np.ndarray):
        def __getitem__(self, key):
            if isinstance(key, slice):
                rows_read.extend(range(*key.indices(25)))
            return np.asarray(self)[key]

    train, test = make_examples(make_blobs(60, 0)), make_examples(make_blobs(25, 1))
    object.__setattr__(test, "images", test.images.view(CountedImages))
    Baselines(train, pca_components=5, seed=0).score(test)
    assert rows_read == list(range(25))


def test_large_training_sets_are_drawn_from_by_the_seed(monkeypatch):
    monkeypatch.setattr(baselines, "_MAX_TRIVIAL", 20)
    monkeypatch.setattr(baselines, "_MAX_VALUES", 30 * 12 * 12 * 3)
    monkeypatch.setattr(baselines, "_MAX_NEIGHBOURS", 20)
    train, test = make_examples(make_blobs(60, 0)), make_examples(make_blobs(25, 1))
    first, again, other = (Baselines(train, 5, seed).score(test) for seed in (0, 0, 1))
    for name in set(first) - {"dark_fraction", "stored_height", "stored_width"}:
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.array_equal(first[name], other[name]), name


def test_an_unseen_width_between_two_usual_widths_is_rare():
    train, test = make_examples(make_blobs(60, 0)), make_examples(make_blobs(40, 1))
    # The distance to the mean or the median of the widths would be small here.
    test.stored_size[20:, 0] = 1000
    scores = Baselines(train, pca_components=2, seed=0).score(test)
    labels = np.repeat([0, 1], 20)
    assert detection.auroc(scores["stored_width"], labels) == 1
    assert detection.auroc(scores["stored_height"], labels) == 0.5


def test_pca_residual_is_the_part_outside_the_first_singular_vectors():
    train, test = make_blobs(50, 0), make_blobs(20, 1)
    x, y = flatten(train), flatten(test)
    components = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2][:6]
    centred = y - x.mean(axis=0)
    errors = np.square(centred - centred @ components.T @ components)
    expected = errors.reshape(test.shape).mean(axis=3)
    residual = fit_pca(train, 6, seed=0).squared_errors(test)
    np.testing.assert_allclose(residual, expected, rtol=1e-3, atol=1e-7)
    scores = Baselines(make_examples(train), 6, 0).score(make_examples(test))
    np.testing.assert_allclose(scores["pca"], expected.mean(axis=(1, 2)), rtol=1e-3)


def test_pca_with_all_components_reconstructs_training_images():
    train = make_blobs(20, 0)
    residual = fit_pca(train, 1000, seed=0).squared_errors(train)
    np.testing.assert_allclose(residual, 0, atol=1e-9)


def test_nearest_neighbour_is_the_smallest_of_all_distances():
    train, test = make_blobs(30, 0), make_blobs(20, 1)
    fits = Baselines(make_examples(train), 2, 0)
    x, y = flatten(train), flatten(test)
    expected = cdist(y, x).min(axis=1) / np.sqrt(x.shape[1])
    distance = fits.score(make_examples(test))["nearest_neighbour"]
    np.testing.assert_allclose(distance, expected, rtol=1e-4)
    distance = fits.score(make_examples(train))["nearest_neighbour"]
    np.testing.assert_allclose(distance, 0, atol=1e-4)


@pytest.mark.parametrize("size", [8, 30])
def test_band_energy_detects_finer_and_coarser_texture(size):
    fits = Baselines(make_examples(make_blobs(150, 0, size, 1)), 2, 0)
    normal, labels = make_blobs(40, 1, size, 1), np.repeat([0, 1], 40)
    for sigma in (0.8, 3.0):
        test = np.concatenate([normal, make_blobs(40, 2, size, 1, sigma)])
        scores = fits.score(make_examples(test))
        assert detection.auroc(scores["band_energy"], labels) > 0.9


def test_band_pca_detects_a_small_patch_of_finer_texture():
    fits = Baselines(make_examples(make_blobs(150, 0, 48, 1)), 2, 0)
    normal, anomalous = make_blobs(40, 1, 48, 1), make_blobs(40, 2, 48, 1)
    anomalous[:, 16:28, 12:24] = make_blobs(40, 3, 48, 1, 0.8)[:, 16:28, 12:24]
    scores = fits.score(make_examples(np.concatenate([normal, anomalous])))
    labels = np.repeat([0, 1], 40)
    assert detection.auroc(scores["band_pca"], labels) > 0.9
    assert detection.auroc(scores["pca"], labels) < 0.9


def test_pca_is_fitted_once(monkeypatch):
    calls = []

    def record(*arguments):
        calls.append(arguments)
        return fit_pca(*arguments)

    monkeypatch.setattr(baselines, "fit_pca", record)
    fits = Baselines(make_examples(make_blobs(20, 0)), 2, 0)
    fits.score(make_examples(make_blobs(9, 1)))
    assert fits.pca is fits.pca
    assert len(calls) == 1


def observe(examples, seed, copies=0):
    """Adds features; the augmented copies behind those of the images are far from all of them."""
    count = len(examples)
    features = np.random.default_rng(seed).normal(size=(count, 3, 3, 4))
    features = np.concatenate([features, np.full((copies, 3, 3, 4), 50.0)]).astype(np.float16)
    observed = ObservedImages({"features": features}, np.arange(count + copies, dtype=np.int32))
    return dataclasses.replace(examples, observed=observed)


@pytest.fixture(scope="module")
def observed():
    """Training and test images with features."""
    train, test = make_examples(make_blobs(60, 0)), make_examples(make_blobs(25, 1))
    return observe(train, 0), observe(test, 1)


@pytest.fixture(scope="module")
def every_score(observed):
    """All baseline scores of the test images."""
    train, test = observed
    return Baselines(train, pca_components=5, seed=0).score(test)


def test_a_model_of_features_has_the_baselines_on_features(observed, every_score):
    scores = every_score
    o, test_o = (examples.observed.arrays["features"].astype(float) for examples in observed)
    nearest = cdist(test_o.reshape(-1, 4), o.reshape(-1, 4)).min(axis=1).reshape(25, 9)
    np.testing.assert_allclose(scores["patchcore_mean"], nearest.mean(axis=1), rtol=1e-4)
    assert set(scores) >= {"padim_mean", "padim_max", "patchcore_max", "pca", "mean"}
    for name, values in scores.items():
        assert values.shape == (25,), name
        assert values.dtype == np.float64, name


def test_augmented_copies_are_no_training_normals_of_a_baseline(observed, every_score):
    train, test = observed
    with_copies = Baselines(observe(train, 0, copies=30), 5, 0).score(test)
    for name, values in every_score.items():
        np.testing.assert_array_equal(with_copies[name], values, err_msg=name)


def test_baselines_on_features_read_the_region_of_the_grid(observed):
    train, test = observed
    mask = np.zeros((12, 12), bool)
    mask[:8] = True  # two of the three rows of the grid
    scores = Baselines(train, 5, 0, Region(mask)).score_named(test, ["patchcore_mean"])
    o, test_o = (e.observed.arrays["features"][:, :2].astype(float) for e in observed)
    nearest = cdist(test_o.reshape(-1, 4), o.reshape(-1, 4)).min(axis=1).reshape(25, 6)
    np.testing.assert_allclose(scores["patchcore_mean"], nearest.mean(axis=1), rtol=1e-4)


@pytest.mark.parametrize("name", BASELINES)
def test_a_named_baseline_has_its_score_and_no_other_is_computed(
    observed, every_score, monkeypatch, name
):
    train, test = observed
    monkeypatch.setattr(baselines.trivial, "compute_features", None)
    functions = {"pca": "fit_pca", "band_energy": "fit_band_energy", "band_pca": "fit_band_pca"}
    for other, function in functions.items():
        if other != name:
            monkeypatch.setattr(baselines, function, None)
    if name not in FEATURE_BASELINES:
        monkeypatch.setattr(baselines, "FeatureBaselines", None)
    scores = Baselines(train, 5, 0).score_named(test, [name])
    assert list(scores) == [name]
    np.testing.assert_allclose(scores[name], every_score[name], rtol=1e-6)


def test_calibration_images_are_scored_by_the_baselines_of_a_run_alone(
    observed, every_score, dataset
):
    train, test = observed
    roles = dataclasses.replace(dataset, train=train, calibration=observe(train, 2), test=test)
    fits = Baselines(train, 5, 0)
    few = score_baselines(fits, roles, ["padim_max", "mse", "pca"], all_on_test=False)
    assert set(few.calibration) == set(few.test) == {"padim_max", "pca"}
    assert (few.calibration["pca"].shape, few.test["pca"].shape) == ((60,), (25,))
    every = score_baselines(fits, roles, ["padim_max"], all_on_test=True)
    assert set(every.calibration) == {"padim_max"}
    assert set(every.test) == set(every_score)
    none = score_baselines(fits, roles, ["mse"], all_on_test=False)
    assert none.calibration == none.test == {}
