import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.small_runs import read_scores
from vae_jax import Detector, UserError, export_detector, verify
from vae_jax.detector.artifact import read_artifact
from vae_jax.main import main
from vae_jax.workdir import read_config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning"),
]

# Runs the example after a finder that refuses to import this package.
_WITHOUT_PACKAGE = """
import runpy, sys
sys.modules["vae_jax"] = sys.modules["flax"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def artifact(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "screws.zip"
    arguments = ["--mode=export", f"--workdir={run}", f"--output={path}"]
    assert main(["main", *arguments]) == 0
    return path


def test_an_exported_detector_gives_the_scores_and_decisions_of_the_run(
    artifact, run, image_folder
):
    exported, detector = Detector.load(artifact), Detector.load(run)
    assert exported.names == detector.names
    assert exported.threshold == detector.threshold
    rows = read_scores(run)
    files = sorted(rows)
    predictions = exported.predict([image_folder / file for file in files])
    for name in exported.names:
        expected = np.array([float(rows[file][name]) for file in files])
        np.testing.assert_allclose(predictions.scores[name], expected, rtol=1e-5, atol=1e-5)
    p_values = [float(rows[file]["p_value"]) for file in files]
    np.testing.assert_allclose(predictions.p_values, p_values)
    assert list(predictions.anomalous) == [rows[file]["anomalous"] == "1" for file in files]
    maps = detector.predict([image_folder / files[0]]).anomaly_maps()
    np.testing.assert_allclose(predictions.anomaly_maps()[0], maps[0], atol=1e-4)


def test_the_example_scores_images_without_this_package(artifact, run, tmp_path, pytestconfig):
    detector = Detector.load(run)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    example = pytestconfig.rootpath / "docs" / "score_exported.py"
    command = [sys.executable, "-c", _WITHOUT_PACKAGE, example, artifact, tmp_path / "images.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    columns = detector.scorer.combine(detector.scorer.score(images)[0])
    decision = detector.decide(columns)
    for name in detector.names:
        values = [row[name] for row in rows]
        np.testing.assert_allclose(values, columns[name], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose([row["p_value"] for row in rows], decision.p_values)
    assert [row["anomalous"] for row in rows] == list(decision.anomalous)


def test_predictions_come_from_an_exported_file_as_from_a_workdir(artifact, image_folder, tmp_path):
    arguments = [f"--workdir={artifact}", f"--input={image_folder}", f"--output={tmp_path / 'p'}"]
    assert main(["main", "--mode=predict", *arguments]) == 0
    with (tmp_path / "p" / "predictions.csv").open(newline="") as stream:
        assert {row["status"] for row in csv.DictReader(stream)} == {"ok"}


def test_verify_compares_the_exported_file(artifact, run, capsys):
    verify.run(read_config(run), run, artifact)
    out = capsys.readouterr().out
    assert f"{artifact}: " in out
    assert out.count("decisions that differ: 0") == 2


def test_an_exported_file_of_another_run_is_not_verified(artifact, run, tiled_run):
    with pytest.raises(UserError, match="was made from another checkpoint"):
        verify.run(read_config(tiled_run), tiled_run, artifact)


def test_an_earlier_export_is_replaced_and_no_other_file(artifact, run, tmp_path):
    copy = shutil.copy(artifact, tmp_path / "copy.zip")
    before = copy.stat()
    export_detector.run(run, copy)
    assert copy.stat().st_ino != before.st_ino
    assert read_artifact(copy).parts.digest == read_artifact(artifact).parts.digest
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    with pytest.raises(UserError, match="is a file that --mode=export has not written"):
        export_detector.run(run, other)
    with pytest.raises(UserError, match="is a folder"):
        export_detector.run(run, tmp_path)
    assert other.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode=export"], "--mode=export needs --output=FILE.zip"),
        (["--mode=export", "--output=x.zip", "--input=y"], "--input belongs to --mode=predict"),
        (["--mode=export", "--output=x.zip", "--config.seed=1"], "--config.seed cannot change"),
        (["--mode=evaluate", "--artifact=x.zip"], "--artifact belongs to --mode=verify"),
    ],
)
def test_a_wrong_command_is_refused(arguments, message, run, capsys):
    assert main(["main", f"--workdir={run}", *arguments]) == 2
    assert message in capsys.readouterr().err
