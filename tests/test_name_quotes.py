import pytest

from vae_jax.command_line import parse_command

# ml_collections loads config files through a function of importlib that Python 3.12 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")


def parse(*args):
    return parse_command(["main", *args])


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("1_2", ("1_2",)),
        ("(1_2,)", ("1_2",)),
        ("[1_2]", ("1_2",)),
        ("1_2,1_000", ("1_2", "1_000")),
        ("3,1_2x", ("3", "1_2x")),
        ("1e3", ("1e3",)),
        ("0x10", ("0x10",)),
        ("007", ("007",)),
        ("1.50", ("1.50",)),
        ("a b", ("a b",)),
        ("$x,_y", ("$x", "_y")),
        ("'a,b'", ("a", "b")),
        ("['a']", ("a",)),
        ("('a')", ("a",)),
        ("('1_2', 3)", ("1_2", "3")),
        ("()", ()),
        ("[]", ()),
        ("", ()),
    ],
)
def test_names_of_classes_stay_the_text_that_was_typed(value, names):
    field = "--config.data.normal_classes"
    config = parse(f"{field}={value}", "--config.data.anomaly_classes=()").config
    assert config.data.normal_classes == names
    if value:
        assert parse(field, value, "--config.data.anomaly_classes=()").config == config


def test_lists_of_names_may_be_given_in_several_flags():
    field = "--config.data.normal_classes"
    config = parse(f"{field}=a,1_2", f"{field}=c").config
    assert config.data.normal_classes == ("a", "1_2", "c")
