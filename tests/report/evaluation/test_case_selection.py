import dataclasses

import jax
import numpy as np
import pytest

from vae_jax.model.vae import build_model, init_params
from vae_jax.report.evaluation.case_selection import choose_rows, select_images
from vae_jax.scoring.decision import Decision
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.pictures import make_pictures
from vae_jax.scoring.setup import ScoringSetup

LABELS = (np.arange(60) % 3 == 0).astype(np.int32)  # 20 anomalies
SCORES = np.random.default_rng(0).permutation(60).astype(np.float64)
CLASSES = [f"class {i % 4}" for i in range(60)]
THRESHOLD = 30.0


def choose(labels, scores, num_cases, seed=0, threshold=THRESHOLD, classes=CLASSES):
    return choose_rows(labels, classes, scores, scores > threshold, num_cases, seed)


def test_galleries_at_random_depend_on_the_seed_and_not_on_the_scores():
    first = choose(LABELS, SCORES, 6)
    for name, label in (("normals", 0), ("anomalies", 1)):
        rows = first[name]
        assert len(set(rows.tolist())) == 6
        assert (LABELS[rows] == label).all()
        np.testing.assert_array_equal(rows, choose(LABELS, -SCORES, 6)[name])
        assert not np.array_equal(rows, choose(LABELS, SCORES, 6, seed=1)[name])


def test_galleries_at_random_show_every_class_that_has_images():
    classes = ["rare" if i in (0, 1) else f"class {i % 3}" for i in range(60)]
    for seed in range(5):
        rows = choose(LABELS, SCORES, 8, seed, classes=classes)
        assert "rare" in [classes[row] for row in rows["normals"]]
        assert "rare" in [classes[row] for row in rows["anomalies"]]


@pytest.mark.parametrize(("num_cases", "half"), [(6, 3), (7, 3), (1, 1)])
def test_other_galleries_follow_the_decision(num_cases, half):
    rows = choose(LABELS, SCORES, num_cases)
    anomalies = sorted((s, i) for i, (s, y) in enumerate(zip(SCORES, LABELS, strict=True)) if y)
    normals = sorted((s, i) for i, (s, y) in enumerate(zip(SCORES, LABELS, strict=True)) if not y)
    flagged = [i for s, i in anomalies if s > THRESHOLD][::-1]
    passed = [i for s, i in normals if s <= THRESHOLD]
    assert rows["right"].tolist() == flagged[:half] + passed[:half]
    assert rows["missed"].tolist() == [i for s, i in anomalies if s <= THRESHOLD][:num_cases]
    alarms = [i for s, i in normals if s > THRESHOLD][::-1]
    assert rows["false_alarms"].tolist() == alarms[:num_cases]


def test_a_test_set_without_anomalies_has_galleries_of_normal_images():
    rows = choose(np.zeros(4, np.int32), np.arange(4.0), 6, threshold=1.5)
    assert rows["normals"].tolist() == [0, 1, 2, 3]
    assert rows["anomalies"].tolist() == rows["missed"].tolist() == []
    assert rows["right"].tolist() == [0, 1]
    assert rows["false_alarms"].tolist() == [3, 2]


@pytest.fixture
def setup(config, dataset):
    """A model with random parameters, and the discs and rings."""
    model = build_model(config)
    trained = TrainedModel(model, init_params(model, jax.random.key(0)), 32)
    return ScoringSetup(trained, dataset, config.scoring, config.seed)


def make_decision(count):
    return Decision(
        score="mse",
        rule="",
        promised_rate=None,
        thresholds={},
        scores=np.arange(count, dtype=np.float64),
        p_values=np.linspace(1, 0, count),
        anomalous=np.zeros(count, bool),
    )


def test_cases_hold_the_images_their_reconstructions_and_errors_in_standard_deviations(
    setup, config
):
    config.scoring.map_smoothing = 0.0
    images = select_images(setup, make_decision(25), make_pictures(setup, "mse"), config.report, [])
    x = setup.dataset.calibration.images / np.float32(255)
    errors = abs(x - setup.trained.reconstruct(setup.dataset.calibration.images).x_hat)[..., 0]
    mean, deviation = errors.mean(axis=0), errors.std(axis=0)
    # A pixel that hardly varies counts as if it had a tenth of the mean deviation.
    deviation = np.maximum(deviation, 0.1 * deviation.mean())
    for cases in (images.normals, images.anomalies, images.right, images.missed):
        rows = cases.scores.astype(int)  # the score of an image is its row
        test_images = setup.dataset.test.images[rows]
        np.testing.assert_array_equal(cases.images, test_images / np.float32(255))
        x_hat = setup.trained.reconstruct(test_images).x_hat
        np.testing.assert_allclose(cases.reconstructions, x_hat, atol=1e-6)
        errors_above = (abs(cases.images - x_hat)[..., 0] - mean) / deviation
        np.testing.assert_allclose(cases.error_maps, np.maximum(errors_above, 0), atol=1e-3)
    above_all = (errors - mean) / deviation
    assert images.error_limit == pytest.approx(np.quantile(above_all, 0.995), rel=1e-3)
    assert images.normals.captions[0].startswith("disc · test/")
    assert len(images.samples) == config.report.samples


def test_the_class_is_not_repeated_if_it_is_a_folder_of_the_file(setup, config):
    test = setup.dataset.test
    test = dataclasses.replace(test, files=[f"ring/{i}.png" for i in range(25)])
    setup = dataclasses.replace(setup, dataset=dataclasses.replace(setup.dataset, test=test))
    images = select_images(setup, make_decision(25), make_pictures(setup, "mse"), config.report, [])
    assert images.anomalies.captions[0].startswith("ring/")
    assert images.normals.captions[0].startswith("disc · ring/")
    assert images.missed.captions[0] == "ring/15.png · score 15 · p 0.375"
