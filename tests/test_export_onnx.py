import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from vae_jax import Detector, UserError, export_detector, verify
from vae_jax.detector.onnx_scorer import OnnxScorer, is_onnx_model
from vae_jax.main import main
from vae_jax.workdir import read_config

pytest.importorskip("jax2onnx", reason="the extra `onnx` is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def sampleless_run(run, tmp_path_factory):
    """Workdir of the run whose reconstructions come from the posterior mean alone."""
    workdir = tmp_path_factory.mktemp("sampleless") / "screws"
    shutil.copytree(run, workdir)
    arguments = ["--mode=evaluate", f"--workdir={workdir}", "--config.scoring.samples=0"]
    assert main(["main", *arguments]) == 0
    return workdir


@pytest.fixture(scope="module")
def model(sampleless_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "screws.onnx"
    arguments = ["--format=onnx", f"--workdir={sampleless_run}", f"--output={path}"]
    assert main(["main", "--mode=export", *arguments]) == 0
    return path


def test_onnx_runtime_computes_the_scores_and_maps_of_the_detector(model, sampleless_run):
    detector, scorer = Detector.load(sampleless_run), OnnxScorer(model, 4)
    images = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 1), dtype=np.uint8)
    columns, maps = scorer.score(images, with_maps=True)
    expected, expected_maps = detector.scorer.score(images, with_maps=True)
    expected = detector.scorer.combine(expected)
    assert scorer.names == ("mse", "knn", "fusion")
    for name in scorer.names:
        np.testing.assert_allclose(columns[name], expected[name], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(maps, expected_maps, rtol=1e-3, atol=1e-3)


def test_scores_that_draw_random_numbers_are_named(model):
    reasons = OnnxScorer(model, 4).description["not_exported"]
    assert list(reasons) == ["elbo"]
    assert "random numbers" in reasons["elbo"]


def test_verify_compares_the_model_with_the_run(model, sampleless_run, capsys):
    config = read_config(sampleless_run)
    verify.run(config, sampleless_run, model)
    assert f"{model}: " in capsys.readouterr().out


def test_verify_refuses_the_model_of_another_detector(model, tiled_run):
    with pytest.raises(UserError, match="another detector"):
        verify.run(read_config(tiled_run), tiled_run, model)


def test_the_example_gives_the_decisions_of_the_run_without_this_package(
    model, sampleless_run, tmp_path, pytestconfig
):
    detector = Detector.load(sampleless_run)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    example = pytestconfig.rootpath / "docs" / "score_onnx.py"
    command = [sys.executable, example, model, tmp_path / "images.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    decision = detector.decide(detector.scorer.combine(detector.scorer.score(images)[0]))
    np.testing.assert_allclose([row["p_value"] for row in rows], decision.p_values, rtol=1e-6)
    assert [row["anomalous"] for row in rows] == list(decision.anomalous)


def test_images_that_are_joined_from_tiles_are_refused(tiled_run, tmp_path):
    with pytest.raises(UserError, match="format=stablehlo"):
        export_detector.run(tiled_run, tmp_path / "tiles.onnx", "onnx")


def test_only_an_earlier_export_is_replaced(model, sampleless_run, tmp_path):
    other = tmp_path / "mine.onnx"
    other.write_text("my notes")
    assert is_onnx_model(model)
    assert not is_onnx_model(other)
    with pytest.raises(UserError, match="name another one"):
        export_detector.run(sampleless_run, other, "onnx")
    assert other.read_text() == "my notes"


def test_a_damaged_model_is_refused_in_one_line(model, sampleless_run, tmp_path):
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(model.read_bytes()[1000:])
    with pytest.raises(UserError, match="ONNX Runtime cannot read") as caught:
        verify.run(read_config(sampleless_run), sampleless_run, damaged)
    assert "\n" not in str(caught.value)


def test_a_run_whose_decision_draws_random_numbers_is_told_what_to_do(run, tmp_path):
    with pytest.raises(UserError, match=r"scoring\.samples=0"):
        export_detector.run(run, tmp_path / "screws.onnx", "onnx")
