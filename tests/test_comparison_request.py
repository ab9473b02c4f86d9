import pathlib

import pytest

from vae_jax import command_line
from vae_jax.comparison_request import DEFAULT_OUTPUT
from vae_jax.errors import UserError

# ml_collections loads config files through a function of importlib that Python 3.12 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")


@pytest.fixture
def folder(tmp_path):
    """Folder with two runs, and a third folder that is none."""
    for name in ("a", "b", "other"):
        (tmp_path / name).mkdir()
    for name in ("a", "b"):
        (tmp_path / name / "config.json").touch()
    return tmp_path


def parse(*args):
    return command_line.parse_command(["main", "--mode=compare", *args]).comparison


def refusal(*args):
    with pytest.raises(UserError) as error:
        parse(*args)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_workdirs_are_given_several_times_or_by_a_pattern(folder):
    request = parse(f"--workdir={folder}/b", f"--workdir={folder}/a", f"--workdir={folder}/*")
    assert request.workdirs == (folder / "b", folder / "a")
    assert request.output == pathlib.Path(DEFAULT_OUTPUT)
    request = parse(f"--workdir={folder}/*", f"--output={folder}/page")
    assert request.workdirs == (folder / "a", folder / "b")
    assert request.output == folder / "page"


def test_a_folder_whose_name_looks_like_a_pattern_is_that_folder(folder):
    (folder / "[a]").mkdir()
    assert parse(f"--workdir={folder}/[a]", f"--workdir={folder}/a").workdirs[0].name == "[a]"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "and 0 are named"),
        (("--workdir={}/a", "--workdir={}/a"), "and 1 is named"),
        (("--workdir={}/x*", "--workdir={}/a"), "names no run"),
        (("--workdir={}/*", "--output={}/a/page"), "choose another folder"),
        (("--workdir={}/*", "--config.scoring.names=mse"), "finished runs"),
        (("--workdir={}/*", "--input={}"), "--input belongs to --mode=predict"),
        (("--workdir={}/*", "--format=onnx"), "--format belongs to"),
        (("--workdir={}/*", "--name=x"), "--name belongs to"),
        (("--workdir={}/*", "--artifact=x"), "--artifact belongs to"),
    ],
)
def test_what_cannot_be_compared_is_refused(folder, args, words):
    assert words in refusal(*(arg.replace("{}", str(folder)) for arg in args))


def test_other_modes_take_one_workdir():
    with pytest.raises(UserError, match="given 2 times, and --mode=train uses one"):
        command_line.parse_command(["main", "--workdir=a", "--workdir=b"])
