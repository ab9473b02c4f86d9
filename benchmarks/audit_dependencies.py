"""Asks pip-audit whether the pinned dependencies have known vulnerabilities.

    pip install pip-audit
    python benchmarks/audit_dependencies.py

The versions are those of `constraints.txt` that the running Python would install. The last line is one JSON
object. The exit status is 0 if every dependency was checked and none has a known vulnerability, 1 if one
has, and 3 if the check was not made or not made for all of them: pip-audit is not installed, the advisory
data cannot be reached, or dependencies were skipped. pip-audit itself ends with status 0 if a package index
knows none of the packages, so its own status is not enough.
"""

import argparse
import dataclasses
import importlib.util
import json
import pathlib
import subprocess
import sys
from collections.abc import Sequence

CONSTRAINTS = pathlib.Path(__file__).parents[1] / "constraints.txt"
CLEAN, VULNERABLE, NOT_CHECKED = 0, 1, 3


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What an answer of pip-audit means.

    Attributes:
        status: exit status: CLEAN, VULNERABLE or NOT_CHECKED.
        checked: number of dependencies that were compared with the advisories.
        vulnerable: one line per vulnerability: name, version, identifier, versions that repair it.
        skipped: one line per dependency that was not checked: name and reason.
    """

    status: int
    checked: int
    vulnerable: Sequence[str]
    skipped: Sequence[str]


def judge_answer(answer: dict) -> Verdict:
    """Judges the JSON of pip-audit: a vulnerability counts most, then a dependency that was skipped.

    Args:
        answer: JSON of `pip-audit --format=json`.

    Returns:
        The verdict; an answer without dependencies is not a pass.

    Raises:
        ValueError: if the answer does not have the form that pip-audit writes.
    """
    vulnerable, skipped, checked = [], [], 0
    try:
        for dependency in answer["dependencies"]:
            name = dependency["name"]
            if "skip_reason" in dependency:
                skipped.append(f"{name}: {dependency['skip_reason']}")
                continue
            checked += 1
            for found in dependency["vulns"]:
                repaired = ", ".join(found["fix_versions"]) or "no version"
                line = f"{name} {dependency['version']}: {found['id']}, repaired in {repaired}"
                vulnerable.append(line)
    except (KeyError, TypeError) as error:
        raise ValueError(f"unexpected form of the answer: {error!r}") from error
    status = VULNERABLE if vulnerable else NOT_CHECKED if skipped or not checked else CLEAN
    return Verdict(status, checked, vulnerable, skipped)


def ask_pip_audit(constraints: pathlib.Path, limit: float) -> dict:
    """Runs pip-audit.

    Args:
        constraints: file with one pinned version per line.
        limit: seconds that it may take.

    Returns:
        Its JSON.

    Raises:
        RuntimeError: if there is no answer; the message is one line with the reason.
    """
    if importlib.util.find_spec("pip_audit") is None:
        raise RuntimeError("pip-audit is not installed; install it with `pip install pip-audit`")
    command = [
        sys.executable, "-m", "pip_audit", f"--requirement={constraints}", "--no-deps",
        "--disable-pip", "--progress-spinner=off", "--format=json",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"pip-audit gave no answer within {limit:g} s") from error
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError as error:
        lines = done.stderr.strip().splitlines() or ["it printed nothing"]
        reason = f"pip-audit ended with status {done.returncode}: {lines[-1][:300]}"
        raise RuntimeError(reason) from error


def main() -> int:
    """Audits the constraints, prints the verdict, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--constraints", type=pathlib.Path, default=CONSTRAINTS)
    parser.add_argument("--limit", type=float, default=600, help="seconds that it may take")
    options = parser.parse_args()
    try:
        verdict = judge_answer(ask_pip_audit(options.constraints, options.limit))
    except (RuntimeError, ValueError) as error:
        print(f"not checked: {error}")
        return NOT_CHECKED
    for line in verdict.vulnerable:
        print(f"vulnerable: {line}")
    for line in verdict.skipped:
        print(f"not checked: {line}")
    print(json.dumps(dataclasses.asdict(verdict)))
    return verdict.status


if __name__ == "__main__":
    sys.exit(main())
