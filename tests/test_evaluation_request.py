import pytest

from vae_jax.errors import UserError
from vae_jax.evaluation_request import make_evaluation_request


def test_an_evaluation_has_the_name_of_its_folder(tmp_path):
    request = make_evaluation_request(tmp_path / "run", {}, [f"{tmp_path}/lamp_2/"], None)
    assert request.output == tmp_path / "run" / "evaluations" / "lamp_2"
    request = make_evaluation_request(tmp_path / "run", {}, [f"{tmp_path}/lamp_2/"], "new lamp")
    assert request.output == tmp_path / "run" / "evaluations" / "new lamp"


@pytest.mark.parametrize(
    ("overrides", "inputs", "name", "message"),
    [
        ({}, ["a", "b"], None, "takes one --input"),
        ({}, ["run/figures"], None, "contains only what this program writes"),
        ({}, ["a"], "b/c", "'b/c' cannot be the name"),
        ({}, ["a"], "..", "cannot be the name"),
        ({}, ["a"], "", "cannot be the name"),
        ({}, ["/"], None, "cannot be the name"),
        ({"seed": 1}, ["a"], None, "--config.seed cannot change"),
        ({"scoring.names": ("mse",)}, ["a"], None, "scoring.names cannot change"),
    ],
)
def test_a_command_that_cannot_be_carried_out_is_refused(
    tmp_path, monkeypatch, overrides, inputs, name, message
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        make_evaluation_request(tmp_path / "run", overrides, inputs, name)
