import json
import pathlib
import subprocess
import sys

import gpu_claims
import pytest

ROOT = pathlib.Path(__file__).parents[2]


def run_script(*arguments):
    command = ["bash", "benchmarks/on_gpu.sh", f"--python={sys.executable}", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)


def test_outcomes_are_counted_also_if_the_tests_were_stopped():
    text = (
        "gpu_tests: 1 x NVIDIA H100\n"
        "tests/training/test_step.py::test_one PASSED [ 1%]\n"
        "tests/training/test_step.py::test_two[a b] FAILED [ 2%]\n"
        "tests/training/test_step.py::test_three SKIPPED (needs eight) [ 3%]\n"
        "tests/training/test_step.py::test_four "
    )
    assert gpu_claims.count_outcomes(text) == {
        "passed": 1,
        "failed": 1,
        "error": 0,
        "skipped": 1,
        "not_passed": ["tests/training/test_step.py::test_two[a b]"],
        "device": "1 x NVIDIA H100",
    }


def test_a_claim_is_in_the_file_as_soon_as_it_is_made(tmp_path, capsys):
    claims = gpu_claims.Claims(tmp_path / "claims.jsonl", {"precision": "float32"})
    claims.add("training", ratio=2.0)
    line = {"claim": "training", "precision": "float32", "ratio": 2.0}
    assert json.loads((tmp_path / "claims.jsonl").read_text("utf-8")) == line
    assert json.loads(capsys.readouterr().out) == line


def test_the_script_refuses_what_it_does_not_know():
    done = run_script("--tinny")
    assert done.returncode == 2
    assert "unknown argument --tinny" in done.stderr
    assert "--out is missing" in run_script("--tiny").stderr


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_script_runs_tests_on_the_device_and_counts_them(tmp_path):
    path = tmp_path / "claims.jsonl"
    done = run_script(f"--out={path}", "--only=tests", "--tiny")
    (claim,) = map(json.loads, path.read_text("utf-8").splitlines())
    assert claim["status"] == "0", (tmp_path / "claims.jsonl.log").read_text("utf-8")
    assert claim["passed"] > 0
    assert claim["not_passed"] == []
    assert claim["device"].endswith("cpu")
    assert "1 lines in" in done.stdout


@pytest.mark.slow
def test_a_part_that_fails_leaves_a_line(tmp_path):
    path = tmp_path / "claims.jsonl"
    run_script(f"--out={path}", "--only=environment", "--python=false", "--tiny")
    (claim,) = map(json.loads, path.read_text("utf-8").splitlines())
    assert claim == {"claim": "failed", "part": "environment ", "error": "1"}
