"""Which scores of a detector can be exported, and why the others cannot."""

from collections.abc import Mapping, Sequence

from vae_jax.detector.parts import DetectorParts
from vae_jax.errors import UserError
from vae_jax.score_names import is_combination, is_single, parse_score_name
from vae_jax.scoring.scores import BY_OPTIMISATION, HOST_FEATURES


def split_names(
    parts: DetectorParts, excluded: Mapping[str, str] | None = None
) -> tuple[list[str], dict[str, str]]:
    """Returns the scores that can be exported, and each other score with the reason.

    Args:
        parts: the detector.
        excluded: single scores that a format cannot hold, with the reason.
    """
    reasons = {name: _find_reason(name, parts, excluded or {}) for name in parts.names}
    kept = [name for name, reason in reasons.items() if not reason]
    return kept, {name: reason for name, reason in reasons.items() if reason}


def _find_reason(name: str, parts: DetectorParts, excluded: Mapping[str, str]) -> str:
    """Returns why a score cannot be exported; "" if it can."""
    if name in excluded:
        return excluded[name]
    if is_combination(name):
        reasons = {
            member: _find_reason(member, parts, excluded) for member in parts.list_members([name])
        }
        return next((f"it reads {member}: {why}" for member, why in reasons.items() if why), "")
    measure = parse_score_name(name).measure if is_single(name) else name
    if measure in BY_OPTIMISATION:
        return "it optimises for each image"
    if measure in HOST_FEATURES:
        return "it reads the size of the image as a compressed file"
    return ""


def check_decision(deciding: str, names: Sequence[str], reasons: Mapping[str, str]) -> None:
    """Raises UserError if the score that decides cannot be exported.

    Args:
        deciding: the score that decides.
        names: scores that can be exported.
        reasons: each other score with the reason.
    """
    if deciding in reasons:
        raise UserError(
            f"the score that decides, {deciding}, cannot be exported ({reasons[deciding]}); decide by "
            f"another one with --mode=evaluate --config.scoring.decision=NAME, valid: "
            f"{', '.join(names) or 'none'}"
        )
