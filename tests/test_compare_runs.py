import json

import pytest

from tests.stored_runs import write_run
from vae_jax import main as main_module

# ml_collections loads config files through a function of importlib that Python 3.12 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Leaves the logging and the compiler of this process as they are."""
    monkeypatch.setattr(main_module, "_set_up_process", lambda command: None)


def test_the_command_writes_a_page_and_two_tables_and_prints_the_runs(tmp_path, capsys):
    for number in range(2):
        write_run(tmp_path / f"run{number}", shift=number + 0.5, data__crop=1.0 - 0.1 * number)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    output = tmp_path / "page"
    arguments = ["--mode=compare", f"--workdir={tmp_path}/run*", f"--output={output}"]
    assert main_module.main(["main", *arguments]) == 0
    assert 'href="../run0/report.html"' in (output / "compare.html").read_text()
    assert len((output / "compare.csv").read_text().splitlines()) == 3
    assert len(json.loads((output / "compare.json").read_text())["differences"]) == 1
    printed = capsys.readouterr().out
    assert "digits (data.crop=1.0)" in printed
    assert "of 1 differences on the same test images" in printed
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_run_without_results_is_refused_before_anything_is_written(tmp_path, capsys):
    write_run(tmp_path / "a")
    (write_run(tmp_path / "b") / "results.json").unlink()
    arguments = [f"--workdir={tmp_path}/{name}" for name in "ab"]
    output = tmp_path / "page"
    command = ["main", "--mode=compare", *arguments, f"--output={output}"]
    assert main_module.main(command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "b/results.json is missing" in error
    assert not output.exists()
