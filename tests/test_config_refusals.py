import pytest

from vae_jax.command_line import parse_command
from vae_jax.errors import UserError

# ml_collections loads config files through a function of importlib that Python 3.12 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")

_UNKNOWN_FIELD = """
from vae_jax.config import default

def get_config():
    config = default()
    config.train.epoch = 3
    return config
"""


def refusal(arg):
    with pytest.raises(UserError) as error:
        parse_command(["main", arg])
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("--config.train.learnin_rate=1", "did you mean train.learning_rate"),
        ("--config.trian.epochs=1", "did you mean train.epochs"),
        ("--config.nonsense=1", "no such field"),
        ("--config.train.epochs=many", "many"),
        ("--config.train.epochs=2.5", "2.5"),
        ("--config.data.skip_corrupt=perhaps", "perhaps"),
        ("--config=configs/absent.py", "configs/absent.py: there is no such file"),
        ("--config", "--config=: there is no such file"),
        (
            "--config.train.epochs=abc",
            "--config.train.epochs=abc is not valid; give a whole number",
        ),
        ("--config.objective.beta=x", "--config.objective.beta=x is not valid; give a number"),
        ("--config.data.skip_corrupt=maybe", "is not valid; give true or false"),
        ("--num_processes=two", "--num_processes=two is not valid; give a whole number"),
        ("--distributed=maybe", "--distributed=maybe is not valid; give true or false"),
        ("--mode=fit", "--mode=fit: value should be one of"),
    ],
)
def test_unknown_fields_and_illegal_values_are_refused_with_a_hint(arg, message):
    assert message in refusal(arg)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def (", "SyntaxError"),
        ("def get_config():\n    raise ValueError('first\\nthe reason')", "the reason"),
        (
            _UNKNOWN_FIELD,
            "sets train.epoch, and there is no such field; did you mean train.epochs?",
        ),
    ],
)
def test_a_damaged_config_file_is_refused_in_one_line(tmp_path, code, message):
    (tmp_path / "mine.py").write_text(code)
    assert message in refusal(f"--config={tmp_path / 'mine.py'}")
