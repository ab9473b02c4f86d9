"""The main job as a user starts it: real digits, a process of its own."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from vae_jax import main as main_module
from vae_jax.errors import UserError
from vae_jax.training import history
from vae_jax.training.checkpoint import Checkpoints

ROOT = pathlib.Path(__file__).parents[1]
SMALL = (
    "--config.model.widths=(4,8)",
    "--config.scoring.bootstrap_resamples=100",
    "--config.train.steps_per_call=4",
    "--config.train.epochs_per_checkpoint=2",
)


def start(workdir, *args):
    # One device, as a user has: the tests' own eight would go down to the child.
    environment = {**os.environ, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        [sys.executable, "-m", "vae_jax.main", f"--workdir={workdir}", *args],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return f"--config.data.dir={tmp_path_factory.mktemp('data')}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data_dir):
    """The workdir and the output of a run that nothing stopped."""
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, finish(start(workdir, data_dir, *SMALL, "--config.train.epochs=8"))


def test_the_default_leaves_everything_that_the_contract_names(whole):
    workdir, out = whole
    for name in ("config.json", "metrics.jsonl", "scores.csv", "results.json", "report.html"):
        assert (workdir / name).stat().st_size
    assert any((workdir / "tensorboard").iterdir())
    assert list((workdir / "figures").glob("*.png"))
    results = json.loads((workdir / "results.json").read_text())
    assert {"dataset", "reconstruction", "detection", "baselines", "latent", "cost"} <= set(results)
    assert set(results["reconstruction"]) == {"normal", "anomaly", "noisy"}
    assert results["detection"]["mse"]["auroc"]["value"] > 0.5
    assert "pca" in results["baselines"]
    assert results["cost"]["train_seconds"] > 0
    page = (workdir / "report.html").read_text()
    assert 'src="http' not in page
    assert "mse" in out


def test_a_killed_run_ends_bitwise_as_one_that_was_not_stopped(whole, tmp_path, data_dir):
    args = (data_dir, *SMALL, "--config.train.epochs=8")
    process = start(tmp_path, *args)
    while process.poll() is None and len(history.read_metrics(tmp_path)) < 6:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    finish(start(tmp_path, *args))
    runs = []
    for workdir in (whole[0], tmp_path):
        with Checkpoints(workdir / "checkpoints") as checkpoints:
            runs.append(checkpoints.restore_params(checkpoints.latest()))
    (params, position), (resumed, resumed_position) = runs
    assert position == resumed_position
    for half in ("encoder", "decoder"):
        for layer, leaves in params[half].items():
            for name, leaf in leaves.items():
                np.testing.assert_array_equal(leaf, resumed[half][layer][name])
    losses = [[row["loss"] for row in history.read_metrics(w)] for w in (whole[0], tmp_path)]
    assert losses[0] == losses[1]


def test_a_finished_run_is_judged_again_by_other_rules(whole):
    workdir, _ = whole
    before = json.loads((workdir / "results.json").read_text())
    finish(start(workdir, "--mode=evaluate", "--config.scoring.threshold_rule=mean_std"))
    after = json.loads((workdir / "results.json").read_text())
    assert before["detection"]["mse"]["auroc"] == after["detection"]["mse"]["auroc"]
    assert "standard deviations" in after["detection"]["mse"]["threshold_rule"]
    assert "quantile" in before["detection"]["mse"]["threshold_rule"]


# ml_collections imports the config file in a way that Python 3.12 will drop.
@pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")
def test_the_compiler_is_told_the_precision_run_fields(monkeypatch, capsys):
    def told(precision):
        raise UserError(f"told {precision}")

    monkeypatch.setattr(main_module, "keep_memory", lambda: None)  # for this process is not its own
    monkeypatch.setattr(main_module, "choose_options", told)
    assert main_module.main(["main", "--config.train.precision=bfloat16"]) == 2
    assert capsys.readouterr().err == "error: told bfloat16\n"
