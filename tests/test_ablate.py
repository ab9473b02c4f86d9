import csv
import json
import pathlib
import stat

import jax
import numpy as np
import pytest

from vae_jax import ablate
from vae_jax import train as train_lib
from vae_jax.config import default
from vae_jax.data import pipeline
from vae_jax.errors import UserError

BAD = "objective.beta=0.1,seed=1"
CELLS = ["base,seed=0", "objective.beta=0.1,seed=0", "base,seed=1", BAD]


def small(data_dir):
    """Four cells of the real digits, seconds each."""
    config = default()
    config.data.dir = str(data_dir)
    config.model.widths = (4, 8)
    config.train.epochs = 2
    config.train.parallel = "jit"
    config.scoring.names = ("mse", "kl")
    config.scoring.bootstrap_resamples = 100
    config.report.cases, config.report.samples = 2, 4
    config.ablate.factors = ("objective.beta=1,0.1",)
    config.ablate.seeds = (0, 1)
    return config


class Spy:
    """Counts what an ablation trains and loads; one cell dies while it is told to."""

    def __init__(self, patch, dies=None):
        self.trained, self.loaded, train, load = [], [], train_lib.train, pipeline.load_dataset

        def spied_train(config, folder, dataset):
            self.trained.append(folder.name)
            if folder.name == BAD and dies is not None:
                raise dies
            return train(config, folder, dataset)

        def spied_load(data, seed):
            self.loaded.append(seed)
            return load(data, seed)

        patch.setattr(train_lib, "train", spied_train)
        patch.setattr(pipeline, "load_dataset", spied_load)


def rows(workdir):
    with (workdir / "ablation.csv").open(newline="", encoding="utf-8") as stream:
        return {row["cell"]: row for row in csv.DictReader(stream)}


@pytest.fixture(scope="module")
def crashed(tmp_path_factory):
    """Workdir, config, spy and closing line of an ablation whose last cell died."""
    workdir = tmp_path_factory.mktemp("ablation")
    config = small(tmp_path_factory.mktemp("data"))
    with pytest.MonkeyPatch.context() as patch:
        spy = Spy(patch, RuntimeError("no\nmemory"))
        with pytest.raises(UserError) as closing:
            ablate.run(config, workdir)
    left = {
        "rows": rows(workdir),
        "page": (workdir / "ablation.html").read_text(encoding="utf-8"),
        "error": (workdir / "cells" / BAD / "error.txt").read_text(encoding="utf-8"),
    }
    return workdir, config, spy, str(closing.value), left


@pytest.fixture(scope="module")
def restarted(crashed):
    """The same workdir after the same command, which nothing disturbed, its spy and what JAX told."""
    workdir, config, *_ = crashed
    events = []

    def listen(event, **_):
        events.append(event)

    jax.monitoring.register_event_listener(listen)
    try:
        with pytest.MonkeyPatch.context() as patch:
            spy = Spy(patch)
            ablate.run(config, workdir)
    finally:
        jax.monitoring.unregister_event_listener(listen)
    return workdir, spy, events


def test_a_cell_that_crashes_is_recorded_and_the_rest_goes_on(crashed):
    _, _, spy, closing, left = crashed
    assert spy.trained == CELLS
    statuses = {name: row["status"] for name, row in left["rows"].items()}
    assert statuses == dict.fromkeys(CELLS, "done") | {BAD: "crashed"}
    assert left["rows"][BAD]["error"] == "RuntimeError: no memory"
    assert "Traceback" in left["error"]
    assert "1 of 4 cells crashed" in left["page"]
    assert "1 of 4 cells crashed" in closing
    assert BAD in closing
    assert "\n" not in closing


def test_data_is_loaded_once_a_seed(crashed):
    assert crashed[2].loaded == [0, 1]


def test_finished_cells_are_skipped_on_restart(crashed, restarted):
    workdir, spy, _ = restarted
    assert spy.trained == [BAD]
    assert spy.loaded == [1]
    after = rows(workdir)
    assert [row["status"] for row in after.values()] == ["done"] * 4
    assert not (workdir / "cells" / BAD / "error.txt").exists()
    before = crashed[4]["rows"]
    assert all(after[name] == before[name] for name in CELLS[:3])


def test_a_cell_of_equal_shape_compiles_nothing(restarted):
    events = restarted[2]
    assert "/jax/compilation_cache/cache_hits" in events
    assert "/jax/compilation_cache/cache_misses" not in events


def test_programs_are_shared_in_private_unless_the_user_named_a_place(
    tmp_path, crashed, monkeypatch
):
    monkeypatch.setattr(train_lib, "train", _stop)
    named = jax.config.jax_compilation_cache_dir
    try:
        for given, shared in ((str(tmp_path / "named"), False), (None, True)):
            jax.config.update("jax_compilation_cache_dir", given)
            with pytest.raises(KeyboardInterrupt):
                ablate.run(crashed[1], tmp_path)
            assert (tmp_path / "compiled").exists() == shared
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "compiled")
        assert stat.S_IMODE((tmp_path / "compiled").stat().st_mode) == 0o700
    finally:
        jax.config.update("jax_compilation_cache_dir", named)


def test_the_table_says_what_the_cells_found(restarted):
    workdir, *_ = restarted
    for name, row in rows(workdir).items():
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


def test_more_epochs_go_on_with_every_cell(restarted, monkeypatch):
    workdir, *_ = restarted
    config = small(json.loads((workdir / "config.json").read_text())["data"]["dir"])
    config.train.epochs = 3
    monkeypatch.setattr(train_lib, "train", _stop)
    with pytest.raises(KeyboardInterrupt):
        ablate.run(config, workdir)
    assert not any((workdir / "cells" / name / "report.html").exists() for name in CELLS)


def test_an_interrupted_ablation_is_not_a_crash(tmp_path, crashed, monkeypatch):
    monkeypatch.setattr(train_lib, "train", _stop)
    with pytest.raises(KeyboardInterrupt):
        ablate.run(crashed[1], tmp_path)
    assert not list(tmp_path.glob("cells/*/error.txt"))


def test_cells_of_another_config_are_refused_before_anything_is_trained(crashed, monkeypatch):
    workdir, config, *_ = crashed
    other = small(config.data.dir)
    other.model.widths = (8, 8)
    monkeypatch.setattr(train_lib, "train", _stop)
    with pytest.raises(UserError, match=r"model\.widths"):
        ablate.run(other, workdir)


def test_a_workdir_with_a_single_run_is_refused(tmp_path, crashed):
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(UserError, match="contains a single run"):
        ablate.run(crashed[1], tmp_path)


def _stop(config, folder: pathlib.Path, dataset):
    raise KeyboardInterrupt
