import subprocess

import audit_dependencies
import pytest
from audit_dependencies import CLEAN, NOT_CHECKED, VULNERABLE, judge_answer

SOUND = {"name": "numpy", "version": "2.4.6", "vulns": []}
SKIPPED = {"name": "jax", "skip_reason": "Dependency not found on PyPI"}
WEAK = {
    "name": "pillow",
    "version": "11.0.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["11.3.0"], "aliases": [], "description": ""}],
}
UNREPAIRED = WEAK | {"vulns": [{"id": "PYSEC-2", "fix_versions": []}]}


@pytest.mark.parametrize(
    ("dependencies", "status"),
    [
        ([SOUND], CLEAN),
        ([SOUND, SKIPPED], NOT_CHECKED),
        ([SKIPPED], NOT_CHECKED),
        ([], NOT_CHECKED),
        ([SOUND, WEAK], VULNERABLE),
        ([SKIPPED, WEAK], VULNERABLE),
    ],
)
def test_only_an_answer_about_every_dependency_without_a_vulnerability_is_clean(
    dependencies, status
):
    assert judge_answer({"dependencies": dependencies, "fixes": []}).status == status


def test_the_verdict_names_what_was_found_and_what_was_not_checked():
    verdict = judge_answer({"dependencies": [SOUND, SKIPPED, WEAK, UNREPAIRED]})
    assert verdict.checked == 3
    assert verdict.skipped == ["jax: Dependency not found on PyPI"]
    assert verdict.vulnerable == [
        "pillow 11.0.0: PYSEC-1, repaired in 11.3.0",
        "pillow 11.0.0: PYSEC-2, repaired in no version",
    ]


@pytest.mark.parametrize("answer", [{}, [], {"dependencies": [{"name": "jax", "version": "1"}]}])
def test_an_answer_of_another_form_is_refused(answer):
    with pytest.raises(ValueError, match="unexpected form"):
        judge_answer(answer)


@pytest.mark.parametrize(
    ("stdout", "stderr", "installed", "status", "said"),
    [
        ("", "", False, NOT_CHECKED, "not checked: pip-audit is not installed"),
        ("", "a\nno route to host", True, NOT_CHECKED, "pip-audit ended with status 1: no route"),
        ('{"dependencies": []}', "", True, NOT_CHECKED, '"checked": 0'),
        (
            '{"dependencies": [{"name": "numpy", "version": "2.4.6", "vulns": []}]}',
            "",
            True,
            CLEAN,
            '"checked": 1',
        ),
    ],
)
def test_the_status_says_whether_pip_audit_answered(
    monkeypatch, capsys, stdout, stderr, installed, status, said
):
    def find_spec(name):
        return object() if installed else None

    def run(command, **_):
        return subprocess.CompletedProcess(command, 1, stdout, stderr)

    monkeypatch.setattr("sys.argv", ["audit_dependencies.py"])
    monkeypatch.setattr(audit_dependencies.importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(audit_dependencies.subprocess, "run", run)
    assert audit_dependencies.main() == status
    (line,) = capsys.readouterr().out.splitlines()
    assert said in line
