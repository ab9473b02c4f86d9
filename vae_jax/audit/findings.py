"""What an audit has found, and its verdict: one line about all of it."""

import collections
import dataclasses
from collections.abc import Iterable, Sequence

# Severity -> what it means. The order is that of the page.
SEVERITIES = {
    "refusal": "Training will refuse this data.",
    "warning": "Results of a run would mislead.",
    "notice": "Worth knowing before a run.",
}
_MAX_NAMED = 3  # titles of each severity in a verdict; it only counts the others
_MAX_EXAMPLES = 12  # files that a finding names


@dataclasses.dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        kind: stable name of what was looked for, for example "exact_duplicates".
        severity: one of SEVERITIES.
        title: a few words, for the verdict.
        text: what was found, where, and what to do, in whole sentences.
        examples: names of files, the first few.
    """

    kind: str
    severity: str
    title: str
    text: str
    examples: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity is {self.severity!r}; valid: {', '.join(SEVERITIES)}")


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Returns the findings, the most severe first; of equal severity, in the given order."""
    order = list(SEVERITIES)
    return sorted(findings, key=lambda finding: order.index(finding.severity))


def make_refusal(kind: str, title: str, error: Exception) -> Finding:
    """Returns the finding for an error with which training will end."""
    return Finding(kind, "refusal", title, f"Training will end with this message: {error}")


def take_examples(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the first few names."""
    return tuple(names[:_MAX_EXAMPLES])


def describe_verdict(findings: Sequence[Finding]) -> str:
    """Returns one line: how many findings there are of each severity, and their titles.

    Notices are only counted.
    """
    counts = collections.Counter(finding.severity for finding in findings)
    if not counts:
        return "nothing was found"
    parts = []
    for severity in ("refusal", "warning"):
        titles = [finding.title for finding in findings if finding.severity == severity]
        if titles:
            more = f"; and {len(titles) - _MAX_NAMED} more" if len(titles) > _MAX_NAMED else ""
            named = "; ".join(titles[:_MAX_NAMED])
            parts.append(f"{count_things(len(titles), severity)} ({named}{more})")
    if counts["notice"]:
        parts.append(count_things(counts["notice"], "notice"))
    return ", ".join(parts)


def count_things(number: int, noun: str, plural: str = "") -> str:
    """Returns a number with its noun: "1 image", "2 images"; `plural` is for nouns without an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
