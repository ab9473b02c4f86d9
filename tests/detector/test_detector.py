import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.small_runs import assert_scores_agree, make_run, read_scores
from vae_jax import Detector, UserError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def detector(run):
    return Detector.load(run)


@pytest.fixture(scope="module")
def rows(run):
    """Rows of scores.csv by file."""
    return read_scores(run)


def as_columns(rows, names):
    return {name: [float(row[name]) for row in rows.values()] for name in names}


def test_predictions_of_test_files_are_those_of_the_evaluation(detector, rows, image_folder):
    predictions = detector.predict([image_folder / file for file in rows])
    expected = as_columns(rows, [*detector.names, "p_value", "anomalous"])
    assert_scores_agree(predictions.scores, expected, detector.names, detector.parts.calibration)
    np.testing.assert_array_equal(predictions.p_values, expected["p_value"])
    np.testing.assert_array_equal(predictions.anomalous, np.array(expected["anomalous"]) == 1)
    assert predictions.names == [str(image_folder / file) for file in rows]


def test_a_detector_by_a_baseline_agrees_with_the_evaluation(tmp_path, image_folder):
    decision = "nearest_neighbour"
    run = make_run(tmp_path / "run", image_folder, decision=decision)
    detector, rows = Detector.load(run), read_scores(run)
    assert detector.parts.baselines.keys() == {decision}
    predictions = detector.predict([image_folder / file for file in rows])
    expected = as_columns(rows, [decision, "p_value"])
    assert_scores_agree(predictions.scores, expected, [decision], detector.parts.calibration)
    np.testing.assert_array_equal(predictions.p_values, expected["p_value"])


def test_a_detector_is_all_that_a_prediction_needs(run, tmp_path, image_folder):
    detector = Detector.load(shutil.copytree(run / "detector", tmp_path / "elsewhere"))
    image = (image_folder / "good" / "1.png").read_bytes()
    (tmp_path / "new.png").write_bytes(image)
    assert detector.predict(tmp_path / "new.png").p_values.shape == (1,)


def test_a_score_does_not_depend_on_its_neighbours_or_their_order(detector, image_folder):
    together = detector.predict(image_folder)
    backwards = detector.predict([image_folder / name for name in together.names[::-1]])
    alone = detector.predict(image_folder / together.names[7])
    streamed = list(detector.stream(image_folder, batch_size=30))
    assert [len(part.names) for part in streamed] == [30, 30, 30, 10]
    for name, values in together.scores.items():
        np.testing.assert_array_equal(backwards.scores[name], values[::-1])
        np.testing.assert_array_equal(alone.scores[name], values[7:8])
        parts = np.concatenate([part.scores[name] for part in streamed])
        np.testing.assert_array_equal(parts, values)


def test_arrays_and_images_of_pillow_are_treated_like_files(detector, image_folder):
    path = image_folder / "good" / "3.png"
    image = Image.open(path)
    by_path = detector.predict(path).scores
    for same in (np.asarray(image), image, image.convert("RGB"), [str(path)]):
        assert {name: list(values) for name, values in detector.predict(same).scores.items()} == {
            name: list(values) for name, values in by_path.items()
        }


def test_maps_are_near_zero_for_normals_and_high_where_they_are_not(detector, image_folder):
    predictions = detector.predict(image_folder)
    maps = np.stack(predictions.anomaly_maps())
    assert maps.shape == (100, 8, 8)
    is_bad = np.array([name.startswith("bad") for name in predictions.names])
    highest = maps.max(axis=(1, 2))
    assert np.median(highest[is_bad]) > np.median(highest[~is_bad])
    assert (highest[~is_bad] > detector.contour).mean() < 0.2


def test_tiles_are_joined_into_whole_images_as_in_the_evaluation(tiled_run, image_folder):
    detector, rows = Detector.load(tiled_run), read_scores(tiled_run)
    predictions = detector.predict([image_folder / file for file in rows])
    expected = as_columns(rows, [*detector.names, "p_value"])
    assert len(predictions.names) == len(rows)
    assert_scores_agree(predictions.scores, expected, detector.names, detector.parts.calibration)
    np.testing.assert_array_equal(predictions.p_values, expected["p_value"])
    assert {values.shape for values in predictions.anomaly_maps()} == {(12, 12)}
    assert predictions.images[0].pictures[0].shape == (12, 12, 1)


def test_another_rate_moves_the_threshold_and_leaves_the_scores(run, detector, image_folder):
    other = Detector.load(run, false_alarm_rate=0.2, decision="mse")
    assert other.deciding_score == "mse"
    assert other.promised_rate == 0.2
    assert other.threshold.upper < Detector.load(run, decision="mse").threshold.upper
    first, second = detector.predict(image_folder), other.predict(image_folder)
    np.testing.assert_array_equal(first.scores["mse"], second.scores["mse"])
    assert (second.anomalous == (second.p_values <= 0.2)).all()


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        ({"names": ("mse",)}, r"scoring\.names cannot change in a detector; valid: decision,"),
        ({"decision": "pca"}, r"scoring\.decision is pca, which this detector does not compute"),
        ({"false_alarm_rate": 2.0}, "false_alarm_rate"),
        ({"false_alarm_rate": "much"}, "false_alarm_rate"),
        ({"threshold_rule": "median"}, "threshold_rule"),
    ],
)
def test_a_decision_that_the_detector_cannot_make_is_refused(run, scoring, message):
    with pytest.raises(UserError, match=message):
        Detector.load(run, **scoring)


def test_an_image_that_cannot_be_read_is_named(detector, tmp_path):
    (tmp_path / "broken.png").write_text("no image")
    with pytest.raises(UserError, match=r"broken\.png: not an image"):
        detector.predict(tmp_path)
    with pytest.raises(UserError, match="image 0 is an array of float64"):
        detector.predict(np.zeros((8, 8)))


def test_no_images_give_empty_predictions(detector):
    predictions = detector.predict([])
    assert predictions.names == []
    assert predictions.p_values.shape == predictions.anomalous.shape == (0,)
    assert predictions.anomaly_maps() == []
    assert list(detector.stream([])) == []


def test_a_stream_cannot_decide_about_all_images_together(run, image_folder):
    detector = Detector.load(run, false_discovery=True)
    assert detector.predict(image_folder).anomalous.shape == (100,)
    with pytest.raises(UserError, match="false_discovery decides about all images together"):
        next(detector.stream(image_folder))


def test_importing_the_package_starts_neither_jax_nor_tfds():
    code = (
        "import sys, vae_jax;"
        "assert not {'jax', 'tensorflow_datasets', 'numpy', 'sklearn'} & set(sys.modules);"
        "assert {'Detector', 'UserError', 'VAEDetector'} <= set(dir(vae_jax))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
