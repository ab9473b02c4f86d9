"""Runs `python -m vae_jax.main` as a user does: in a process of its own, on the real digits."""

import importlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from vae_jax import command_line
from vae_jax import main as main_module
from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.help_text import MODES
from vae_jax.training import history
from vae_jax.training.checkpoint import Checkpoints
from vae_jax.workdir import lock_workdir

ROOT = pathlib.Path(__file__).parents[1]
SMALL = (
    "--config.model.widths=(4,8)",
    "--config.scoring.bootstrap_resamples=100",
    "--config.train.steps_per_call=4",
    "--config.train.epochs_per_checkpoint=2",
)


def start(workdir, *args):
    # A user has one device; without this line the child would inherit the eight of the tests.
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
def uninterrupted(tmp_path_factory, data_dir):
    """The workdir and the output of a run that nothing stopped."""
    workdir = tmp_path_factory.mktemp("uninterrupted")
    return workdir, finish(start(workdir, data_dir, *SMALL, "--config.train.epochs=8"))


@pytest.mark.slow
def test_the_default_run_writes_every_file_that_the_contract_names(uninterrupted):
    workdir, out = uninterrupted
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


@pytest.mark.slow
def test_the_readme_shows_the_table_that_the_default_run_prints(uninterrupted):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"\n\n((?:    [^\n]*\n)*    +knn +0(?:[^\n]|\n    )*)\n", readme)

    def without_numbers(text):
        return [re.sub(r"[\d.,]+", "#", line).split() for line in text.splitlines() if line]

    printed = without_numbers(uninterrupted[1])
    assert len(without_numbers(table)) == 10
    for line in without_numbers(table):
        assert line in printed


@pytest.mark.slow
def test_a_killed_run_resumes_to_bitwise_the_same_result(uninterrupted, tmp_path, data_dir):
    args = (data_dir, *SMALL, "--config.train.epochs=8")
    process = start(tmp_path, *args)
    while process.poll() is None and len(history.read_metrics(tmp_path)) < 6:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    finish(start(tmp_path, *args))
    runs = []
    for workdir in (uninterrupted[0], tmp_path):
        with Checkpoints(workdir / "checkpoints") as checkpoints:
            runs.append(checkpoints.restore_params(checkpoints.latest_step()))
    (params, position), (resumed, resumed_position) = runs
    assert position == resumed_position
    for half in ("encoder", "decoder"):
        for layer, leaves in params[half].items():
            for name, leaf in leaves.items():
                np.testing.assert_array_equal(leaf, resumed[half][layer][name])
    losses = [
        [row["loss"] for row in history.read_metrics(w)] for w in (uninterrupted[0], tmp_path)
    ]
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_a_finished_run_is_evaluated_again_with_another_threshold_rule(uninterrupted):
    workdir, _ = uninterrupted
    before = json.loads((workdir / "results.json").read_text())
    finish(start(workdir, "--mode=evaluate", "--config.scoring.threshold_rule=mean_std"))
    after = json.loads((workdir / "results.json").read_text())
    assert before["detection"]["mse"]["auroc"] == after["detection"]["mse"]["auroc"]
    assert "standard deviations" in after["detection"]["mse"]["threshold_rule"]
    assert "quantile" in before["detection"]["mse"]["threshold_rule"]


# ml_collections loads config files through a function of importlib that Python 3.12 deprecates.
@pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")
def test_a_second_start_on_a_workdir_in_use_is_refused_before_anything_is_written(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(main_module, "_set_up_process", lambda command: None)
    with lock_workdir(tmp_path):
        before = sorted(tmp_path.iterdir())
        for mode in ("train", "audit"):
            assert main_module.main(["main", f"--workdir={tmp_path}", f"--mode={mode}"]) == 2
            err = capsys.readouterr().err
            assert err.startswith(f"error: --workdir={tmp_path} is in use by process {os.getpid()}")
            assert err.count("\n") == 1
        assert sorted(tmp_path.iterdir()) == before


@pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")
@pytest.mark.parametrize("field", ["data.dir", "data.manual_dir"])
def test_the_home_of_an_unknown_user_is_one_line(tmp_path, capsys, monkeypatch, field):
    monkeypatch.setattr(main_module, "_set_up_process", lambda command: None)
    arguments = [f"--workdir={tmp_path / 'run'}", f"--config.{field}=~nosuchuser/x"]
    assert main_module.main(["main", *arguments]) == 2
    assert capsys.readouterr().err.startswith(
        "error: a path begins with ~, but there is no such user"
    )


# ml_collections loads config files through a function of importlib that Python 3.12 deprecates.
@pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")
def test_the_compiler_gets_the_precision_of_the_config(monkeypatch, capsys):
    def refuse(precision):
        raise UserError(f"precision {precision}")

    # keep_memory would change the memory allocator of the process that runs the tests.
    monkeypatch.setattr(main_module, "keep_memory", lambda: None)
    monkeypatch.setattr(main_module, "choose_xla_options", refuse)
    assert main_module.main(["main", "--config.train.precision=bfloat16"]) == 2
    assert capsys.readouterr().err == "error: precision bfloat16\n"


# The modes `predict`, `export` and `compare` need no dataset; test_predict.py, test_export_detector.py and
# test_compare_runs.py run them.
_WITHOUT_DATASET = ("predict", "export", "compare")


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in _WITHOUT_DATASET])
def test_every_mode_runs_the_module_of_its_name(mode, monkeypatch, tmp_path):
    calls = []
    # A module `select` would hide the standard library's for a script in that folder, and `audit` is a
    # package of numbers.
    names = {"select": "select_scores", "audit": "audit_data"}
    module = importlib.import_module("vae_jax." + names.get(mode, mode))
    monkeypatch.setattr(module, "run", lambda config, workdir, **_: calls.append((config, workdir)))
    command = command_line.Command(mode, default(), tmp_path, None, None)
    main_module._run_mode(command)
    assert calls == [(command.config, tmp_path)]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("Unknown backend cuda. Check\nyour setup"), "Unknown backend cuda"),
        (AssertionError(), "JAX has no plugin for it"),
    ],
)
def test_a_device_that_does_not_exist_is_refused_in_one_line(monkeypatch, tmp_path, error, reason):
    def fail():
        raise error

    monkeypatch.setattr("jax.devices", fail)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    command = command_line.Command("train", default(), tmp_path, None, None)
    with pytest.raises(UserError) as refusal:
        main_module._run_mode(command)
    assert str(refusal.value).startswith(
        f"JAX_PLATFORMS is cuda, but JAX finds no such device ({reason}); unset JAX_PLATFORMS"
    )
    assert "\n" not in str(refusal.value)
    monkeypatch.delenv("JAX_PLATFORMS")
    with pytest.raises(type(error)):
        main_module._run_mode(command)


@pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")
def test_a_file_that_cannot_be_opened_is_refused_in_one_line(monkeypatch, capsys):
    def fail(_):
        raise PermissionError(13, "Permission denied", "/data/images")

    monkeypatch.setattr(main_module, "_set_up_process", fail)
    assert main_module.main(["main"]) == 2
    message = "error: /data/images: Permission denied; correct this or name another path\n"
    assert capsys.readouterr().err == message


@pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")
def test_an_interrupted_run_exits_with_status_130_and_says_how_to_continue(monkeypatch, capsys):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module, "_set_up_process", interrupt)
    assert main_module.main(["main"]) == 130
    assert "the same command continues from the last checkpoint" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # as the package does
def test_an_image_with_too_many_pixels_is_refused_with_its_name_its_size_and_the_field(
    tmp_path, capsys, monkeypatch, image_folder
):
    monkeypatch.setattr(main_module, "_set_up_process", lambda command: None)
    images = pathlib.Path(shutil.copytree(image_folder, tmp_path / "images"))
    Image.new("1", (13_000, 13_000)).save(images / "good/huge.png")
    arguments = [f"--config.data.dir={tmp_path / 'data'}"]
    arguments += ["--config.data.dataset=folder", f"--config.data.manual_dir={images}"]
    arguments += ["--config.data.anomaly_classes=bad", f"--workdir={tmp_path / 'run'}"]
    assert main_module.main(["main", *arguments]) == 2
    err = capsys.readouterr().err
    assert "good/huge.png" in err
    assert "13000x13000 = 169000000 pixels, more than the limit of 100000000" in err
    assert "raise data.max_pixels" in err


@pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")
def test_a_size_beyond_memory_is_refused_before_data_and_workdir_are_touched(tmp_path, capsys):
    arguments = [f"--workdir={tmp_path / 'run'}", f"--config.data.dir={tmp_path / 'data'}"]
    assert main_module.main(["main", *arguments, "--config.data.image_size=1000000"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: a training step needs at least 4.8 PiB of memory, but ")
    assert err.endswith("; lower data.image_size (it is 1000000)\n")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())
