"""What a report says about new images that a run has judged: which they are, and what was not measured.

Everything comes from the section `evaluation` of details.json, which the report of a run itself lacks.
"""

import shlex
from collections.abc import Iterator
from typing import Any

from vae_jax.report.numerals import format_percent

_MAX_NAMED = 3  # unreadable files that a caveat names; it only counts the others
_LEVEL = 0.001  # p-values of the drift test below this one are reported, as for predictions

Evaluation = dict[str, Any]  # the section `evaluation`


def name_page(run: str, results: dict[str, Any]) -> str:
    """Returns the title of the page: the run, and the images that it has judged."""
    evaluation = results.get("evaluation")
    return f"{run} on {evaluation['name']}" if evaluation else run


def list_facts(results: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns which images were judged; nothing for the report of a run."""
    evaluation = results.get("evaluation")
    if not evaluation:
        return []
    facts = [("judged images", evaluation["input"])]
    if count := len(evaluation["unreadable"]):
        facts.append(("unreadable", f"{count:,}, not judged"))
    if left_out := evaluation["left_out"]:
        named = ", ".join(f"{count:,} {name}" for name, count in left_out.items())
        facts.append(("neither normal nor abnormal", f"{named}; not judged"))
    return [*facts, ("fingerprint of the run", evaluation["detector"]["fingerprint"])]


def list_notes(results: dict[str, Any]) -> list[str]:
    """Returns what was not measured on new images, and why."""
    evaluation = results.get("evaluation")
    if not evaluation:
        return []
    notes = [
        (
            "These images were scored by the stored detector of the run. Nothing was fitted again: "
            "thresholds, scales and p-values come from the calibration normals of the run."
        ),
        (
            "Trivial features and baselines that the detector does not store need the training images, so "
            "they are compared in the report of the run alone."
        ),
    ]
    if evaluation["localisation"]:
        notes.append(
            "Only the anomaly map that the detector stores was compared with the masks; its scale comes "
            "from calibration normals of the run."
        )
    else:
        notes.append(
            "Where the anomalies are was not measured, because no mask marks a pixel of these images."
        )
    return notes


def make_command(results: dict[str, Any]) -> list[str] | None:
    """Returns the parts of the shell command that gives the same report; None for the report of a run."""
    evaluation = results.get("evaluation")
    if not evaluation:
        return None
    fields = {
        f"--config.{name}": ",".join(value) if isinstance(value, list) else value
        for name, value in evaluation["fields"].items()
    }
    flags = {
        "--workdir": evaluation["workdir"],
        "--input": evaluation["input"],
        "--name": evaluation["name"],
        **fields,
    }
    return [
        "python -m vae_jax.main --mode=evaluate",
        *(shlex.quote(f"{flag}={value}") for flag, value in flags.items()),
    ]


def list_caveats(results: dict[str, Any]) -> Iterator[str]:
    """Yields a sentence for each reason to doubt what these images say about the run."""
    evaluation = results.get("evaluation")
    if not evaluation:
        return
    if unreadable := evaluation["unreadable"]:
        named = "; ".join(f"{file} ({why})" for file, why in list(unreadable.items())[:_MAX_NAMED])
        more = (
            f"; and {len(unreadable) - _MAX_NAMED:,} more" if len(unreadable) > _MAX_NAMED else ""
        )
        images, they = ("image", "it") if len(unreadable) == 1 else ("images", "they")
        yield f"Not judged: {len(unreadable):,} {images}, because {they} cannot be read: {named}{more}."
    if left_out := evaluation["left_out"]:
        named = ", ".join(f"{name} ({count:,})" for name, count in left_out.items())
        yield (
            f"Images of these classes were not judged, because the run says of none of them whether it is "
            f"normal: {named}. data.normal_classes and data.anomaly_classes can say so."
        )
    counts = results["dataset"]["counts"]
    if counts["test_normal"] == 0:
        yield "There is no normal image, so the rate of false alarms cannot be measured."
    drift = evaluation.get("drift", {}).get("p_value", 1.0)
    if drift < _LEVEL:
        yield from _describe_drift(results, drift)


def _describe_drift(results: dict[str, Any], p_value: float) -> Iterator[str]:
    decision = results["decision"]
    promised, alarms = decision.get("promised"), decision.get("false_alarms")
    rates = ""
    if promised is not None and alarms:
        rates = (
            f"; {format_percent(alarms['value'])} of them are flagged, and {format_percent(promised)} were "
            "promised"
        )
    yield (
        f"The normal images differ from the calibration normals of the run (Kolmogorov-Smirnov test of "
        f"{decision['score']}, p = {p_value:.1g}){rates}. The camera, the light, the objects or the "
        "patients may have changed since training; then the threshold promises nothing here."
    )
