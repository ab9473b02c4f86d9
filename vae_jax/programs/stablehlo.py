"""Programs as StableHLO, which any machine with JAX runs without the code that made them.

N images, H W image, C channels.
"""

from typing import Any

import jax
import jax.export
import jax.numpy as jnp

from vae_jax.detector.array_tree import flatten_tree, nest_arrays
from vae_jax.detector.detector import Detector
from vae_jax.detector.parts import DetectorParts
from vae_jax.detector.storage import collect_tree
from vae_jax.programs.description import describe_detector
from vae_jax.programs.scoring_programs import ScoringPrograms, make_programs

PLATFORMS = ("cpu", "cuda", "tpu")


def export_programs(parts: DetectorParts) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Exports the scores and the anomaly map of a detector, for any number of images.

    Args:
        parts: the detector; all of its scores must be exportable.

    Returns:
        The content of programs.json, and name of a program -> its bytes; see `detector.artifact`.
    """
    detector = Detector(parts)
    programs = make_programs(parts, collect_tree(parts), detector.scorer.step)
    arrays = {
        name: jnp.asarray(array) for name, array in flatten_tree(programs.arrays).items()
    }  # float64 becomes float32 here, as it does when a detector is used
    exported = {
        "score": _export_image_program(programs.score, arrays, parts),
        "map": _export_image_program(programs.map, arrays, parts),
    }
    if programs.read_names:
        exported["combine"] = _export_combination(programs)
    return _describe(detector, programs, list(arrays)), exported


def _export_image_program(function, arrays: dict[str, jax.Array], parts: DetectorParts) -> bytes:
    (count,) = jax.export.symbolic_shape("n")
    framing = parts.preprocessing.framing
    shape = (count, framing.image_size, framing.image_size, framing.channels)
    return _export(
        lambda flat, images, index: function(nest_arrays(flat), images, index),
        {name: jax.ShapeDtypeStruct(array.shape, array.dtype) for name, array in arrays.items()},
        jax.ShapeDtypeStruct(shape, jnp.uint8),
        jax.ShapeDtypeStruct((count,), jnp.int32),
    )


def _export_combination(programs: ScoringPrograms) -> bytes:
    (count,) = jax.export.symbolic_shape("n")
    column = jax.ShapeDtypeStruct((count,), jnp.float32)
    return _export(programs.combine, dict.fromkeys(programs.read_names, column))


def _export(function, *shapes) -> bytes:
    exported = jax.export.export(jax.jit(function), platforms=PLATFORMS)(*shapes)
    return bytes(exported.serialize())


def _describe(
    detector: Detector, programs: ScoringPrograms, array_names: list[str]
) -> dict[str, Any]:
    return describe_detector(detector) | {
        "jax": jax.__version__,
        "platforms": list(PLATFORMS),
        "step": programs.step,
        "arrays": array_names,
        "combination_inputs": list(programs.read_names),
    }
