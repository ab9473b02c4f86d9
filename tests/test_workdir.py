import json
import os

import pytest

from vae_jax import workdir as workdir_lib
from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.workdir_claim import claim_workdir


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "scores.csv"
    workdir_lib.write_text(path, "old")

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space"):
        workdir_lib.write_text(path, "new")
    assert path.read_text() == "old"


def test_a_config_is_flattened_to_every_field_and_back():
    config = default()
    config.model.widths = (8,)
    config.data.anomaly_classes = ("3", "x y")
    values = workdir_lib.flatten_config(config)
    assert values["model.widths"] == [8]
    assert values["seed"] == 0
    assert len(values) == sum(
        len(group) if hasattr(group, "items") else 1 for group in config.values()
    )
    copy = default()
    workdir_lib.override_fields(copy, values)
    assert copy == config


def test_a_config_survives_json(tmp_path):
    config = default()
    config.data.anomaly_classes = ("3", "x y")
    config.model.widths = (8,)
    config.train.learning_rate = 1e-3 / 3
    claim_workdir(tmp_path, config)
    assert workdir_lib.read_config(tmp_path) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "holds no run"),
        ("[]", "is not the config of a run"),
        ("{", "is not valid JSON"),
        ('{"train": {"epochs": "x"}}', "has a value of the wrong type"),
        ('{"a.b": 1}', "is not a config (ConfigDict does not accept dots"),
        ('{"__class__": "x"}', "__class__ cannot be overridden"),
        ('{"train": {"__class__": "x"}}', "is not a config"),
        ('{"seed": ' + "1" * 5000 + "}", "is not valid JSON (Exceeds the limit"),
        ("[" * 10_000, "is not valid JSON (maximum recursion depth"),
        ('{"a":' * 10_000, "is not valid JSON (maximum recursion depth"),
        ('{"train": {"epoch": 1}}', "has the field train.epoch, which this version lacks"),
    ],
)
def test_a_damaged_config_is_refused_in_one_line_that_names_the_workdir(tmp_path, text, message):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError) as error:
        workdir_lib.read_config(tmp_path)
    assert message in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_field_that_an_older_config_lacks_has_its_default(tmp_path):
    (tmp_path / "config.json").write_text('{"seed": 7}')
    config = default()
    config.seed = 7
    assert workdir_lib.read_config(tmp_path) == config


def test_results_are_written_to_two_files_and_read_as_one(tmp_path):
    results = {"dataset": {"name": "discs"}, "decision": {"score": "mse"}, "cost": {}}
    workdir_lib.write_results(tmp_path, results)
    assert json.loads((tmp_path / "results.json").read_text()).keys() == {"dataset", "cost"}
    assert json.loads((tmp_path / "details.json").read_text()).keys() == {"decision"}
    assert workdir_lib.read_results(tmp_path) == results


def test_results_never_hold_a_number_that_json_lacks(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        workdir_lib.write_results(tmp_path, {"cost": {"train_seconds": float("nan")}})


def test_results_without_details_are_read(tmp_path):
    (tmp_path / "results.json").write_text('{"cost": {}}')
    assert workdir_lib.read_results(tmp_path) == {"cost": {}}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (None, "", "results.json is missing; run --mode=evaluate on this workdir first"),
        ("results.json", "{", "results.json is not valid JSON"),
        ("details.json", "{", "details.json is not valid JSON"),
    ],
)
def test_missing_or_damaged_results_are_refused(tmp_path, name, text, message):
    if name is not None:
        workdir_lib.write_results(tmp_path, {"cost": {}})
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as error:
        workdir_lib.read_results(tmp_path)
    assert message in str(error.value)


def test_merged_fields_replace_older_ones_and_leave_other_sections(tmp_path):
    results = {"latent": {"active_units": 3, "classifier": {"old": 1}}, "generation": {"old": 1}}
    workdir_lib.write_results(tmp_path, results)
    workdir_lib.merge_results(
        tmp_path, {"latent": {"classifier": {"new": 2}}}, remove=["latent.classifier", "generation"]
    )
    assert workdir_lib.read_results(tmp_path) == {
        "latent": {"active_units": 3, "classifier": {"new": 2}}
    }


def test_results_are_merged_into_a_missing_file(tmp_path):
    workdir_lib.merge_results(tmp_path, {"latent": {"active_units": 3}}, remove=["generation.old"])
    assert workdir_lib.read_results(tmp_path) == {"latent": {"active_units": 3}}


def test_whatever_writes_results_marks_the_folder(tmp_path):
    workdir_lib.write_results(tmp_path / "first", {"dataset": {}})
    workdir_lib.merge_results(tmp_path / "second", {"dataset": {}}, remove=())
    for name in ("first", "second"):
        assert (tmp_path / name / workdir_lib.MARKER_FILE).is_file()


def test_a_workdir_in_use_is_refused_and_the_message_names_the_owner(tmp_path):
    with workdir_lib.lock_workdir(tmp_path):
        with pytest.raises(UserError) as error, workdir_lib.lock_workdir(tmp_path):
            pass
        message = str(error.value)
        assert message.startswith(f"--workdir={tmp_path} is in use by process {os.getpid()} on ")
        assert "\n" not in message
    with workdir_lib.lock_workdir(tmp_path):
        pass


def test_a_workdir_that_cannot_be_locked_is_used_without_a_lock(tmp_path):
    (tmp_path / "file").touch()
    with workdir_lib.lock_workdir(tmp_path / "file"):
        pass
