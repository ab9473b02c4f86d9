"""What a program that uses an exported detector must know about it, as JSON."""

import dataclasses
from typing import Any

import vae_jax
from vae_jax.detector.detector import Detector


def describe_detector(detector: Detector) -> dict[str, Any]:
    """Describes the images that a detector takes, its scores, its decision and its anomaly map."""
    parts, threshold = detector.parts, detector.threshold
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
        "decision": {
            "score": detector.deciding_score,
            "rule": detector.rule,
            "threshold": threshold.upper,
            "threshold_low": threshold.lower,
            "promised_rate": detector.promised_rate,
        },
        "map": {"limit": parts.map.limit, "contour": detector.contour},
    }
