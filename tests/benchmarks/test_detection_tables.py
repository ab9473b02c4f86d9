import json

import detection
import detection_tables
import models
import pytest


def interval(value):
    return {"value": value, "low": value - 0.05, "high": value + 0.02}


def make_run(auroc, **sections):
    detected = {name: {"auroc": interval(auroc)} for name in ("features_joint", "hedge")}
    return {
        "dataset": {"counts": {"train": 1234}},
        "detection": detected,
        "baselines": {
            "stored_width": {"auroc": interval(0.99)},
            "pca": {"auroc": interval(0.6)},
            "padim_max": {"auroc": interval(0.8)},
        },
        "decision": {"score": "hedge", "promised": 0.05, "false_alarms": interval(0.06)},
        "cost": {"parameters": 902700, "peak_memory_bytes": 3 * 2**30, "train_seconds": 47.25},
    } | sections


def make_tiled_run():
    def rank(same_strips, rolls):
        aurocs = {"clean": interval(same_strips), "rolls": interval(rolls)}
        return {"patch": {kind: {"auroc": auroc} for kind, auroc in aurocs.items()}}

    strips = {"scores": {"hedge": rank(0.9, 0.95)}, "maps": {"band_pca": rank(0.83, 0.87)}}
    measures = {"pixel_auroc": 0.98, "aupro": 0.9, "pixel_ap": 0.1}
    intervals = {"pixel_auroc": {"low": 0.97, "high": 0.99}, "aupro": {"low": 0.88, "high": 0.92}}
    return make_run(
        0.7, strips=strips, localisation={"band_pca": measures | {"intervals": intervals}}
    )


def write_run(folder, run):
    folder.mkdir(parents=True)
    details = {"decision", "strips"}
    for name, keys in (("results", run.keys() - details), ("details", run.keys() & details)):
        text = json.dumps({key: run[key] for key in keys})
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    (folder / "report.html").touch()


@pytest.fixture
def runs():
    return {"kvasir": {0: make_run(0.9), 1: make_run(0.8)}, "aitex": {0: make_tiled_run()}}


def test_a_value_and_the_ends_of_its_interval_are_means_over_seeds(runs):
    assert "| `features_joint` | 0.850 [0.800, 0.870] |" in detection_tables.format_tables(runs)


def test_the_score_that_decides_is_shown_for_every_seed(runs):
    text = detection_tables.format_tables(runs)
    assert "| kvasir | `hedge` | 0.900 | 0.800 |" in text
    assert "| aitex | `hedge` | 0.900 |  |" in text


def test_the_score_that_decides_is_bold(runs):
    assert "| `hedge` | **0.850 [0.800, 0.870]** |" in detection_tables.format_tables(runs)


def test_only_baselines_that_may_decide_are_rows_and_they_come_last(runs):
    lines = detection_tables.format_tables(runs).splitlines()
    rows = [line.split("`")[1] for line in lines if line.startswith("| `")]
    assert rows[:4] == ["features_joint", "hedge", "pca", "padim_max"]


def test_tiles_are_compared_with_the_same_strips_and_with_rolls(runs):
    text = detection_tables.format_tables(runs)
    same_strips, rolls = text.split("against tiles of rolls")
    assert "| `hedge` | **0.900 [0.850, 0.920]** |" in same_strips
    assert "| `band_pca (map)` | 0.830 [0.780, 0.850] |" in same_strips
    assert "| `hedge` | **0.950 [0.900, 0.970]** |" in rolls


def test_maps_false_alarms_and_cost_have_their_tables(runs):
    text = detection_tables.format_tables(runs)
    assert "| aitex | `band_pca` | 0.980 [0.970, 0.990] | 0.900 [0.880, 0.920] |" in text
    assert "| kvasir | `hedge` | 0.050 | 0.060 [0.010, 0.080] |" in text
    assert "| kvasir | 1,234 | 47.2 | 3,072 | 902,700 |" in text


def test_a_set_without_a_score_of_another_set_has_an_empty_cell():
    other = make_run(0.7)
    other["detection"] = {"hedge": {"auroc": interval(0.7)}}
    text = detection_tables.format_tables({"kvasir": {0: make_run(0.9)}, "folder": {0: other}})
    assert "| `features_joint` | 0.900 [0.850, 0.920] |  |" in text


def test_the_tables_are_printed_from_finished_runs(tmp_path, capsys):
    write_run(tmp_path / "runs/kvasir_seed0", make_run(0.9))
    write_run(tmp_path / "runs/aitex_seed1", make_tiled_run())
    arguments = [f"--data={tmp_path}", f"--runs={tmp_path / 'runs'}", "--only="]
    assert detection.main(arguments) == 0
    out = capsys.readouterr().out
    assert "Seeds: kvasir: 0; aitex: 1" in out
    sets = json.loads(out.splitlines()[-1])["sets"]
    assert sets["kvasir"]["auroc"]["hedge"] == 0.9
    assert sets["aitex"]["auroc"] == {"hedge": 0.9, "band_pca (map)": 0.83}


def test_a_finished_run_is_not_repeated(tmp_path, capsys):
    write_run(tmp_path / "runs/kvasir_seed0", make_run(0.9))
    (tmp_path / "kvasir").mkdir()
    arguments = [f"--data={tmp_path}", f"--runs={tmp_path / 'runs'}", "--only=kvasir", "--seeds=0"]
    assert detection.main(arguments) == 0
    assert "kvasir_seed0, train: finished earlier" in capsys.readouterr().out


def test_a_set_whose_data_is_missing_is_named_and_skipped(tmp_path, capsys):
    (tmp_path / "fashion_mnist").mkdir()
    arguments = [f"--data={tmp_path}", f"--runs={tmp_path / 'runs'}", "--only=fashion_mnist"]
    assert detection.main(arguments) == 0
    out = capsys.readouterr().out
    assert f"fashion_mnist: skipped, because {tmp_path / 'mnist'} is missing" in out
    assert "no run is finished" in out


def test_an_unknown_set_is_refused(tmp_path, capsys):
    assert detection.main([f"--data={tmp_path}", "--only=kvasirr"]) == 2
    assert "unknown set kvasirr; valid: kvasir," in capsys.readouterr().err


@pytest.mark.parametrize("name", detection.SETS)
def test_the_config_of_a_set_exists(name):
    file, _, variant = detection.SETS[name].config.partition(":")
    assert models.load_config(file.removesuffix(".py"), variant).model.observations != ("pixels",)
