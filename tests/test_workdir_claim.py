import pytest

from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.workdir import override_fields, read_config
from vae_jax.workdir_claim import claim_workdir


def start_run(workdir, config):
    """Leaves the files of a run that has taken steps."""
    claim_workdir(workdir, config)
    (workdir / "metrics.jsonl").write_text("{}\n")


def refusal(workdir, config):
    with pytest.raises(UserError) as error:
        claim_workdir(workdir, config)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_same_config_continues_and_more_epochs_do_too(tmp_path):
    config = default()
    start_run(tmp_path, config)
    claim_workdir(tmp_path, config)
    config.train.epochs += 1
    claim_workdir(tmp_path, config)
    assert read_config(tmp_path).train.epochs == config.train.epochs


def test_fewer_epochs_are_another_run(tmp_path):
    config = default()
    start_run(tmp_path, config)
    config.train.epochs = 59
    assert "train.epochs is 60 there and 59 here" in refusal(tmp_path, config)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data.dir", "/elsewhere"),
        ("data.manual_dir", "/elsewhere"),
        ("data.anomaly_manual_dir", "/elsewhere"),
        ("data.cache", "none"),
        ("explore.samples", 9),
        ("ablate.seeds", (5,)),
    ],
)
def test_the_location_of_data_and_the_fields_of_other_modes_do_not_distinguish_runs(
    tmp_path, field, value
):
    config = default()
    start_run(tmp_path, config)
    override_fields(config, {field: value})
    claim_workdir(tmp_path, config)
    assert read_config(tmp_path) == config


def test_a_run_of_another_config_is_refused_and_each_difference_is_named(tmp_path):
    config = default()
    start_run(tmp_path, config)
    before = (tmp_path / "config.json").read_text()
    config.model.latent_dim = 3
    config.scoring.knn_k = 9
    message = refusal(tmp_path, config)
    assert "model.latent_dim is 16 there and 3 here; scoring.knn_k is 5 there and 9 here" in message
    assert "--mode=evaluate" not in message
    assert (tmp_path / "config.json").read_text() == before


def test_a_run_that_only_scores_differently_can_be_evaluated_again(tmp_path):
    config = default()
    start_run(tmp_path, config)
    config.scoring.knn_k = 9
    assert "run --mode=evaluate" in refusal(tmp_path, config)


def save_checkpoint(workdir, config, step):
    path = workdir / "checkpoints" / str(step) / "config" / "metadata"
    path.parent.mkdir(parents=True)
    path.write_text(config.to_json())


@pytest.mark.parametrize("missing", ["config.json", "metrics.jsonl"])
def test_checkpoints_alone_tell_that_a_workdir_holds_a_run(tmp_path, missing):
    config = default()
    start_run(tmp_path, config)
    save_checkpoint(tmp_path, config, 7)
    (tmp_path / missing).unlink()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    other = default()
    other.model.latent_dim = 3
    assert "model.latent_dim is 16 there and 3 here" in refusal(tmp_path, other)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    config.train.epochs += 1
    claim_workdir(tmp_path, config)


def test_checkpoints_whose_config_is_not_known_are_refused(tmp_path):
    save_checkpoint(tmp_path, default(), 7)
    (tmp_path / "checkpoints/7/config/metadata").write_text("{")
    assert "is damaged" in refusal(tmp_path, default())


def test_a_run_without_a_step_may_be_replaced(tmp_path):
    config = default()
    claim_workdir(tmp_path, config)
    save_checkpoint(tmp_path, config, 0)
    config.model.latent_dim = 3
    claim_workdir(tmp_path, config)
    assert read_config(tmp_path).model.latent_dim == 3


def test_a_workdir_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    message = refusal(tmp_path / "file", default())
    assert message.startswith(f"--workdir={tmp_path / 'file'} cannot be written (")
