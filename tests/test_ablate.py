import csv
import json
import logging
import pathlib
import stat

import jax
import numpy as np
import pytest

from vae_jax import ablate
from vae_jax import evaluate as evaluate_lib
from vae_jax import train as train_lib
from vae_jax import workdir as workdir_lib
from vae_jax.config import default
from vae_jax.data import pipeline
from vae_jax.errors import UserError

pytestmark = pytest.mark.slow

CRASHING = "objective.beta=0.1,seed=1"
CELLS = ["base,seed=0", "objective.beta=0.1,seed=0", "base,seed=1", CRASHING]
# Only these cells train and evaluate a model, because a run takes seconds. They differ in every factor and
# in the seed. The other cells report the evaluation of the last model.
REAL = ("base,seed=0", CRASHING)


def make_config():
    """Returns the config of an ablation with four cells."""
    config = default()
    config.data.channels = 1
    config.model.widths, config.model.latent_dim = (4,), 2
    config.train.epochs, config.train.batch_size = 1, 16
    config.train.parallel = "jit"
    config.scoring.names = ("mse", "kl")
    config.scoring.bootstrap_resamples = 100
    config.scoring.samples = 0  # the choice by validation normals may differ between cells
    config.report.cases, config.report.samples = 2, 4
    config.ablate.factors = ("objective.beta=1,0.1",)
    config.ablate.seeds = (0, 1)
    return config


class Spy:
    """Records which cells an ablation trains and which data it loads; one cell may crash."""

    def __init__(self, patch, dataset, error=None):
        self.trained, self.loaded, self.evaluation = [], [], None
        train, evaluate = train_lib.train, evaluate_lib.evaluate
        write_report = evaluate_lib.write_report

        def load(data_config, seed):
            self.loaded.append(seed)
            return dataset

        def spied_train(config, folder, dataset):
            self.trained.append(folder.name)
            if folder.name == CRASHING and error is not None:
                raise error
            if folder.name in REAL:
                train(config, folder, dataset)

        def spied_evaluate(config, folder, dataset):
            if folder.name in REAL:
                self.evaluation = evaluate(config, folder, dataset)
            return self.evaluation

        def spied_write_report(folder, evaluation):
            if folder.name in REAL:
                write_report(folder, evaluation)
            else:
                workdir_lib.write_results(folder, evaluation.results)
                (folder / "report.html").touch()

        patch.setattr(pipeline, "load_dataset", load)
        patch.setattr(ablate, "read_fingerprint", lambda data_config: dataset.fingerprint)
        patch.setattr(train_lib, "train", spied_train)
        patch.setattr(evaluate_lib, "evaluate", spied_evaluate)
        patch.setattr(evaluate_lib, "write_report", spied_write_report)


def read_rows(workdir):
    with (workdir / "ablation.csv").open(newline="", encoding="utf-8") as stream:
        return {row["cell"]: row for row in csv.DictReader(stream)}


@pytest.fixture(scope="module")
def crashed(tmp_path_factory, dataset):
    """Workdir, spy and error message of an ablation whose last cell crashed, and copies of its files."""
    # What earlier tests traced in this process would be a part of the programs of the first cell only.
    jax.clear_caches()
    workdir = tmp_path_factory.mktemp("ablation")
    with pytest.MonkeyPatch.context() as patch:
        spy = Spy(patch, dataset, RuntimeError("no\nmemory"))
        with pytest.raises(UserError) as raised:
            ablate.run(make_config(), workdir)
    files = {
        "rows": read_rows(workdir),
        "page": (workdir / "ablation.html").read_text(encoding="utf-8"),
        "error": (workdir / "cells" / CRASHING / "error.txt").read_text(encoding="utf-8"),
    }
    return workdir, spy, str(raised.value), files


@pytest.fixture(scope="module")
def restarted(crashed, dataset):
    """The same workdir after the same command ran again without a crash, its spy and JAX's messages."""
    workdir, *_ = crashed
    messages = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("jax._src.compiler")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with pytest.MonkeyPatch.context() as patch:
            spy = Spy(patch, dataset)
            ablate.run(make_config(), workdir)
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
    return workdir, spy, messages


def test_a_cell_that_crashes_is_recorded_and_the_other_cells_run(crashed):
    _, spy, message, files = crashed
    assert spy.trained == CELLS
    statuses = {name: row["status"] for name, row in files["rows"].items()}
    assert statuses == dict.fromkeys(CELLS, "done") | {CRASHING: "crashed"}
    assert files["rows"][CRASHING]["error"] == "RuntimeError: no memory"
    assert "Traceback" in files["error"]
    assert "1 of 4 cells crashed" in files["page"]
    assert "1 of 4 cells crashed" in message
    assert CRASHING in message
    assert "\n" not in message


def test_data_is_loaded_once_per_seed(crashed):
    assert crashed[1].loaded == [0, 1]


def test_finished_cells_are_skipped_on_restart(crashed, restarted):
    workdir, spy, _ = restarted
    assert spy.trained == [CRASHING]
    assert spy.loaded == [1]
    rows = read_rows(workdir)
    assert [row["status"] for row in rows.values()] == ["done"] * 4
    assert not (workdir / "cells" / CRASHING / "error.txt").exists()
    assert all(rows[name] == crashed[3]["rows"][name] for name in CELLS[:3])


def test_finished_cells_of_other_images_are_refused_before_anything_is_trained(
    restarted, interrupt, monkeypatch
):
    monkeypatch.setattr(ablate, "read_fingerprint", lambda data_config: "def")
    with pytest.raises(UserError, match=r"^4 finished cells .* base,seed=0 \(.*abc then, def now"):
        ablate.run(make_config(), restarted[0])


def test_a_cell_with_another_seed_and_beta_compiles_nothing(restarted):
    messages = restarted[2]
    assert any(message.startswith("Persistent compilation cache hit") for message in messages)
    assert [message for message in messages if "COMPILATION CACHE MISS" in message] == []


def test_programs_are_shared_in_a_private_folder_unless_the_user_chose_one(tmp_path, interrupt):
    before = jax.config.jax_compilation_cache_dir
    try:
        for folder, shared in ((str(tmp_path / "chosen"), False), (None, True)):
            jax.config.update("jax_compilation_cache_dir", folder)
            with pytest.raises(KeyboardInterrupt):
                ablate.run(make_config(), tmp_path)
            assert (tmp_path / "compiled").exists() == shared
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "compiled")
        assert stat.S_IMODE((tmp_path / "compiled").stat().st_mode) == 0o700
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_the_table_contains_the_results_of_every_cell(restarted):
    workdir, *_ = restarted
    for name, row in read_rows(workdir).items():
        results = json.loads((workdir / "cells" / name / "results.json").read_text())
        assert (workdir / "cells" / name / "report.html").exists()
        assert float(row["auroc.kl"]) == results["detection"]["kl"]["auroc"]["value"]
        assert float(row["auroc.kl.low"]) == results["detection"]["kl"]["auroc"]["low"]
        assert float(row["auroc.baseline.pca"]) == results["baselines"]["pca"]["auroc"]["value"]
        assert float(row["auroc"]) == results["detection"]["mse"]["auroc"]["value"]
        assert float(row["normal.psnr"]) == results["reconstruction"]["normal"]["psnr"]
        assert float(row["elbo_nats"]) == results["likelihood"]["elbo_nats"]
        assert float(row["kl_nats"]) == pytest.approx(np.sum(results["latent"]["kl_per_dimension"]))
        stored = json.loads((workdir / "cells" / name / "config.json").read_text())
        assert stored["objective"]["beta"] == float(row["objective.beta"])
        assert str(stored["seed"]) == row["seed"]


def test_the_page_shows_every_setting_on_the_same_images(restarted):
    workdir, *_ = restarted
    page = (workdir / "ablation.html").read_text(encoding="utf-8")
    assert page.count('alt="Test images."') == 1
    assert page.count('alt="Their reconstructions by') == 2
    assert (workdir / "figures" / "ablation_objective.beta_auroc.png").exists()


def test_more_epochs_continue_every_cell(restarted, interrupt):
    workdir, *_ = restarted
    config = make_config()
    config.train.epochs = 3
    with pytest.raises(KeyboardInterrupt):
        ablate.run(config, workdir)
    assert not any((workdir / "cells" / name / "report.html").exists() for name in CELLS)


def test_an_interrupted_ablation_is_not_a_crash(tmp_path, interrupt):
    with pytest.raises(KeyboardInterrupt):
        ablate.run(make_config(), tmp_path)
    assert not list(tmp_path.glob("cells/*/error.txt"))


def test_cells_of_another_config_are_refused_before_anything_is_trained(crashed, interrupt):
    workdir, *_ = crashed
    config = make_config()
    config.model.widths = (8, 8)
    with pytest.raises(UserError, match=r"model\.widths"):
        ablate.run(config, workdir)


def test_a_workdir_with_a_single_run_is_refused(tmp_path):
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(UserError, match="contains a single run"):
        ablate.run(make_config(), tmp_path)


@pytest.fixture
def interrupt(monkeypatch, dataset):
    """Training is interrupted by the user as soon as it begins."""

    def stop(config, folder: pathlib.Path, dataset):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "load_dataset", lambda data_config, seed: dataset)
    monkeypatch.setattr(ablate, "read_fingerprint", lambda data_config: dataset.fingerprint)
    monkeypatch.setattr(train_lib, "train", stop)
