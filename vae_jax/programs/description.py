"""What a program that uses a detector or reads its predictions must know about it, as JSON."""

import dataclasses
from typing import Any

import vae_jax
from vae_jax.detector.detector import Detector


def describe_detector(detector: Detector) -> dict[str, Any]:
    """Describes the images that a detector takes, its scores, its decision and its anomaly map."""
    parts = detector.parts
    framing = dataclasses.asdict(parts.preprocessing.framing)
    return {
        "run": parts.config.name,
        "version": vae_jax.__version__,
        "images": {
            "shape": ["n", framing["image_size"], framing["image_size"], framing["channels"]],
            "dtype": "uint8",
            "framing": framing,
            "is_binary": parts.preprocessing.is_binary,  # then images hold 0 and 255, see data/binarise.py
        },
        "scores": list(parts.names),
        "decision": describe_decision(detector),
        "map": {"limit": parts.map.limit, "contour": detector.contour},
    }


def describe_decision(detector: Detector) -> dict[str, Any]:
    """Describes the rule by which a detector calls an image anomalous.

    Returns:
        The score that decides; the rule in words; the threshold above which an image is anomalous, and the
        one below which it is, or None; and the promised share of normal images that are called anomalous,
        or None if the rule promises none.
    """
    return {
        "score": detector.deciding_score,
        "rule": detector.rule,
        "threshold": detector.threshold.upper,
        "threshold_low": detector.threshold.lower,
        "promised_rate": detector.promised_rate,
    }
