"""Commands and code in the documents: every one of them is parsed or run.

`test_shipped_configs.py` runs every shipped config shrunk, `test_main.py` the default command, and
`runtime/test_processes.py` several processes; the short commands that none of them runs are run here.
"""

import logging
import pathlib
import re
import runpy
import shlex
import subprocess
import sys

import pytest

from vae_jax import command_line, help_text
from vae_jax import config as config_lib
from vae_jax import main as main_module
from vae_jax import workdir as workdir_lib
from vae_jax.scoring.score_texts import describe_score
from vae_jax.workdir_claim import claim_workdir

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))

# ml_collections loads config files through a function of importlib that Python 3.12 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")


def collect(pattern, paths=(*PAGES, *CONFIGS)):
    """Returns every distinct match of a pattern in the documents and lab books, in order."""
    matches = [match for path in paths for match in re.findall(pattern, path.read_text("utf-8"))]
    return list(dict.fromkeys(matches))


COMMANDS = collect(r"python (-m vae_jax\.main[^\n`]*)")


def configs_by_name():
    """Returns the name of a run -> its config, for every config and every variant in a command."""
    configs = {}
    for path in CONFIGS:
        get_config = runpy.run_path(str(path))["get_config"]
        variants = set(re.findall(rf"/{path.name}:(\w+)", " ".join(COMMANDS)))
        for variant in ("", *sorted(variants)):
            config = get_config(variant)
            configs[config.name] = config
    return configs


def fill_in(command, folder):
    """Returns the arguments of a documented command, its placeholders replaced by values."""
    values = {"DIR": str(folder), "HOST:PORT": "localhost:1234", "N": "2", "I": "1"}
    arguments = []
    for argument in shlex.split(command)[2:]:
        flag, equals, value = argument.partition("=")
        if flag == "--workdir" and value.startswith("runs/"):
            value = f"{folder}/{value}"
        arguments.append(flag + equals + values.get(value, value))
    return arguments


@pytest.mark.parametrize("command", COMMANDS)
def test_a_documented_command_is_parsed(command, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = fill_in(command, tmp_path)
    for argument in arguments:
        if argument.startswith(f"--workdir={tmp_path}"):
            workdir = pathlib.Path(argument.partition("=")[2])
            modes = ("evaluate", "verify", "select", "explore")
            has_input = any(argument.startswith("--input") for argument in arguments)
            if not has_input and {f"--mode={mode}" for mode in modes} & set(arguments):
                claim_workdir(workdir, configs_by_name()[workdir.name])
    parsed = command_line.parse_command(["main", *arguments])
    assert (parsed is None) == ("--help" in arguments)


# Mode -> a test that runs it on small data, and the text by which it calls the mode.
RUN_BY = {
    "train": ("test_shipped_configs.py", "run_main(*args)"),
    "ablate": ("test_shipped_configs.py", "--mode=ablate"),
    "audit": ("audit/test_audit_data.py", "from vae_jax.audit_data import audit_images, run"),
    "compare": ("test_compare_runs.py", "--mode=compare"),
    "evaluate": ("test_evaluate_new.py", "--mode=evaluate"),
    "explore": ("test_explore.py", "explore_lib.run("),
    "export": ("test_export_detector.py", "export_detector.run("),
    "predict": ("test_predict.py", "predict.run("),
    "select": ("test_select_scores.py", "select_scores.run("),
    "verify": ("test_verify.py", "verify.run("),
}


@pytest.mark.parametrize("mode", ["train", *collect(r"python -m vae_jax\.main[^\n`]*--mode=(\w+)")])
def test_a_small_run_stands_for_every_documented_command_of_a_mode(mode):
    file, call = RUN_BY[mode]
    assert call in (ROOT / "tests" / file).read_text("utf-8")


def test_the_readme_starts_with_the_two_commands():
    readme = (ROOT / "README.md").read_text("utf-8")
    first, second = re.findall(r"^    (pip .*)$", readme, re.MULTILINE)
    assert first == "pip install -e . && python -m vae_jax.main"
    assert second == "pip install -e '.[test]' && pytest"


@pytest.mark.parametrize("field", collect(r"--config\.([a-z_0-9]+(?:\.[a-z_0-9]+)?)"))
def test_a_documented_field_exists(field):
    assert field in workdir_lib.flatten_config(config_lib.default())


@pytest.mark.parametrize("mode", collect(r"--mode=(\w+)"))
def test_a_documented_mode_exists(mode):
    assert mode in help_text.MODES


@pytest.mark.parametrize("path", collect(r"(?:configs|benchmarks|docs|notebooks)/\w+\.\w+"))
def test_a_documented_file_exists(path):
    assert (ROOT / path).is_file()


def test_the_help_lists_every_flag_that_a_document_mentions():
    flags = set(collect(r"python -m vae_jax\.main[^\n`]* (--[a-z_]+)=")) - {"--config"}
    assert flags <= set(re.findall(r"--[a-z_]+", help_text.HELP))


def code_blocks(page):
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.M | re.S)


def shrink_default(data_dir):
    config = config_lib.get_config()  # tests replace the name `default`
    config.data.dir = str(data_dir)
    config.model.widths = (4, 8)
    config.train.epochs = 2
    config.train.parallel = "jit"
    config.scoring.names = ("mse", "elbo")
    config.scoring.bootstrap_resamples = 100
    return config


@pytest.mark.slow
def test_the_code_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    (code,) = code_blocks("README.md")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config_lib, "default", lambda: shrink_default(tmp_path / "data"))
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r"\{'value': 0\.\d+, 'low': 0\.\d+, 'high': 0\.\d+\}", last)


def test_the_code_of_the_page_on_running_runs():
    *_, code = code_blocks("docs/running.md")
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_run_is_trained_evaluated_and_explored_as_documented(tmp_path, monkeypatch):
    # The memory allocator and the log level belong to the process of the tests.
    monkeypatch.setattr(main_module, "keep_memory", lambda: None)
    monkeypatch.setattr(main_module, "choose_xla_options", lambda precision: None)
    level = logging.getLogger("vae_jax").level
    train = next(command for command in COMMANDS if "objective.beta=4" in command)
    evaluate, explore = (
        next(command for command in COMMANDS if f"--mode={mode} --workdir=runs/digits" in command)
        for mode in ("evaluate", "explore")
    )
    small = [
        f"--workdir={tmp_path}", f"--config.data.dir={tmp_path / 'data'}",
        "--config.scoring.bootstrap_resamples=100", "--config.explore.generated=64",
        "--config.explore.classifier_epochs=1", "--config.explore.map_images=100",
    ]  # fmt: skip
    shrink = [
        "--config.model.widths=(4,8)",
        "--config.train.epochs=2",
        "--config.train.parallel=jit",
    ]

    def run(command, *extra):
        # If a flag is given twice, the last value counts.
        assert main_module.main(["main", *fill_in(command, tmp_path), *small, *extra]) == 0

    run(train, *shrink)
    script = [sys.executable, "benchmarks/false_alarms.py", tmp_path]
    table = subprocess.run(script, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "| `fusion` | 0." in table
    run(evaluate)
    run(explore)
    assert (tmp_path / "report.html").stat().st_size
    assert (tmp_path / "explore.html").stat().st_size
    logging.getLogger("vae_jax").setLevel(level)


@pytest.mark.parametrize("script", collect(r"python (benchmarks/\w+\.py)"))
@pytest.mark.slow
def test_a_documented_script_starts_and_checks_its_arguments(script):
    # Without arguments some scripts would do all of their work.
    done = subprocess.run(
        [sys.executable, script, "--no-such-flag"],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "error: " in done.stderr


def test_the_page_of_scores_says_what_the_report_says():
    for line in (ROOT / "docs/scores.md").read_text("utf-8").splitlines():
        if line.startswith("| `"):
            name, text = line.replace("`", "").split(" | ")[:2]
            assert f"{text}." == describe_score(name.removeprefix("| "))
