import pathlib
import pickle
import re

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from tests.conftest import make_examples
from vae_jax import Detector, UserError, VAEDetector, estimator_config
from vae_jax.config import default

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "estimator.md"
# The closed form trains in no time, and every program is compiled once: whatever the data is, all arrays of
# a step have the same size.
SMALL = {
    "model.kind": "linear",
    "scoring.batch_size": 8,
    "data.val_fraction": 0.2,
    "scoring.samples": 0,
}


def make_small(**parameters):
    values = {"deciding_score": "mse", "latent_dim": 2, "image_size": 4, "random_state": 0}
    values |= parameters
    return VAEDetector(config=SMALL | values.pop("config", {}), **values)


@pytest.mark.slow
@parametrize_with_checks([make_small()])
def test_the_checks_of_scikit_learn_pass(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def discs():
    return make_examples("discs", 150, 0).images


@pytest.fixture(scope="module")
def others():
    """Fifty discs and ten rings."""
    return make_examples("others", 60, 1, anomalies=10)


@pytest.fixture(scope="module")
def fitted(discs):
    """A VAE that was trained for a few steps on uint8 images."""
    config = {"model.widths": (4,), "train.batch_size": 16, "train.learning_rate": 0.003}
    return VAEDetector(
        steps=200,
        latent_dim=4,
        deciding_score="mse",
        config=config,
        false_alarm_rate=0.1,
        random_state=0,
    ).fit(discs)


@pytest.mark.slow
def test_a_trained_vae_tells_rings_from_discs_with_the_signs_of_scikit_learn(fitted, others):
    scores = fitted.score_samples(others.images)
    assert roc_auc_score(others.labels == 0, scores) > 0.9
    decision = fitted.decision_function(others.images)
    np.testing.assert_array_equal(decision, scores - fitted.offset_)
    np.testing.assert_array_equal(fitted.predict(others.images), np.where(decision < 0, -1, 1))
    # 30 calibration images promise a rate of 0.1 exactly where the p-value is at most 0.1.
    assert fitted.promised_rate_ == 0.1
    np.testing.assert_array_equal(fitted.p_values(others.images) <= 0.1, decision < 0)


@pytest.mark.slow
def test_images_and_rows_of_numbers_are_the_same(fitted, others):
    expected = fitted.score_samples(others.images)
    for same in (others.images[..., 0], others.images.reshape(60, 64), others.images / 1.0):
        np.testing.assert_array_equal(fitted.score_samples(same), expected)
    with pytest.raises(ValueError, match=r"images of \(4, 16, 1\)"):
        fitted.score_samples(others.images.reshape(60, 4, 16))


@pytest.mark.slow
def test_a_saved_estimator_is_a_detector_and_scores_to_the_bit_the_same(fitted, others, tmp_path):
    fitted.save(tmp_path)
    expected = fitted.score_samples(others.images)
    loaded = VAEDetector.load(tmp_path)
    assert loaded.get_params() == fitted.get_params()
    assert loaded.n_features_in_ == 64
    for same in (loaded, pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(same.score_samples(others.images), expected)
    result = Detector.load(tmp_path).predict(others.images)
    np.testing.assert_array_equal(result.scores["mse"], -expected)
    np.testing.assert_array_equal(result.anomalous, fitted.predict(others.images) == -1)
    assert not list(tmp_path.rglob("*.pkl"))
    (tmp_path / "estimator.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        VAEDetector.load(tmp_path)


@pytest.mark.slow
def test_the_unit_of_the_numbers_does_not_matter(discs):
    images = discs[..., 0].astype(np.float64)
    first, second = (make_small(image_size=8).fit(x) for x in (images, images / 4 - 100))
    np.testing.assert_allclose(
        first.score_samples(images), second.score_samples(images / 4 - 100), rtol=1e-6
    )


@pytest.mark.slow
def test_an_image_of_a_group_that_trains_does_not_calibrate(discs, monkeypatch):
    datasets = []

    def keep(config, dataset):
        datasets.append(dataset)
        raise KeyboardInterrupt

    monkeypatch.setattr("vae_jax.estimator.fit_detector", keep)
    with pytest.raises(KeyboardInterrupt):
        make_small().fit(discs, groups=np.arange(150) // 5)
    (dataset,) = datasets
    roles = [set(getattr(dataset, role).groups) for role in ("train", "val", "calibration")]
    assert sum(map(len, roles)) == len(set.union(*roles)) == 30
    assert len(dataset.calibration) == 30


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"observation": "pixel"}, "observation is 'pixel'; valid: pixels"),
        ({"deciding_score": "mes"}, "mes"),
        ({"calibration_fraction": 1.5}, "calibration_fraction is 1.5"),
        ({"false_alarm_rate": 0.0}, "false_alarm_rate is 0.0"),
        ({"value_range": (1, 0)}, "value_range is"),
        ({"config": {"train.epochs": 3}}, "set the parameter steps"),
        ({"config": {"data.dataset": "digits"}}, "data.dataset does not apply to arrays"),
        ({"config": {"model.width": 3}}, "model.width is no field"),
        ({"config": {"data.framing": "tiles"}}, "data.framing is 'tiles'"),
        ({"config": {"model.widths": "wide"}}, "config: "),
    ],
)
def test_a_parameter_without_a_valid_value_is_refused_by_fit(parameters, message, discs):
    with pytest.raises(UserError, match=message):
        clone(make_small(**parameters)).fit(discs)


@pytest.mark.parametrize("shape", [(8,), (8, 9), (4, 4, 4)])
def test_an_image_shape_that_does_not_fit_is_refused(shape, discs):
    with pytest.raises((ValueError, UserError), match=r"image_shape|channels"):
        make_small(image_shape=shape).fit(discs.reshape(150, 64))


@pytest.mark.slow
def test_the_code_of_the_page_runs(monkeypatch, capsys):
    def shrink():
        config = default()
        config.model.kind = "linear"
        config.scoring.fusion = ("mse",)
        config.scoring.batch_size = 64
        return config

    monkeypatch.setattr(estimator_config, "default", shrink)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    names = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert len(names["scores"]) == 3
    assert min(names["scores"]) > 0.7
    assert capsys.readouterr().out.splitlines()[-1] == "True"
