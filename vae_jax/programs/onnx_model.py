"""The scores, the decision and the anomaly map of a detector as one ONNX model.

The model takes uint8 images [N, H, W, C], cut out and resized as the detector does it, and returns one
result for each score, under its name, and

- `p_value`: float32 [N], conformal p-value under the deciding score
- `anomalous`: bool [N], only if each image is decided about by itself
- `anomaly_map`: float32 [N, H, W], standard deviations above calibration normals

Its metadata hold the description of the detector as JSON, under the key `vae_jax`.

N images, H W image, C channels, n calibration normals.
"""

import dataclasses
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jaxtyping import Array, Bool, Float, UInt8

from vae_jax.data.batches import Batch
from vae_jax.detector.detector import Detector
from vae_jax.detector.onnx_scorer import ANOMALOUS, MAP, METADATA_KEY, P_VALUE
from vae_jax.detector.parts import DetectorParts
from vae_jax.detector.storage import collect_tree
from vae_jax.errors import UserError
from vae_jax.programs.description import describe_detector
from vae_jax.programs.exportable import check_decision, split_names
from vae_jax.programs.live_code import keep_live, list_operations, trace
from vae_jax.programs.scoring_programs import ImageFunctions, make_functions, select_arrays
from vae_jax.runtime.convolutions import use_library_convolutions
from vae_jax.scoring.calibration import Threshold

# Version of the operators. ONNX Runtime 1.20, of 2024, and later ones know them.
_OPERATOR_SET = 21
_RANDOM = ("random_bits", "threefry2x32")


def export_onnx(parts: DetectorParts) -> tuple[bytes, tuple[str, ...], dict[str, str]]:
    """Exports the scores, the decision and the anomaly map of a detector, for any number of images.

    Args:
        parts: the detector.

    Returns:
        The file, the names of its scores, and each other score with the reason why it is left out.

    Raises:
        UserError: if the packages of the extra `onnx` are missing, images are joined from tiles, or the
            score that decides cannot be exported.
    """
    convert = _import_converter()
    if parts.preprocessing.framing.covers_image:
        raise UserError(
            "images are cut into tiles whose scores are joined, and an ONNX file scores only squares of "
            "one size; export with --format=stablehlo"
        )
    names, reasons = _split_names(parts)
    check_decision(Detector(parts).deciding_score, names, reasons)
    detector = Detector(dataclasses.replace(parts, names=tuple(names)))
    # The converter traces the function that it gets with replacements of JAX's functions, some of which
    # fail where the number of images is unknown. It has none for operations that are traced already.
    images = _describe_images(parts)
    with use_library_convolutions():
        jaxpr, shapes = trace(_make_function(detector), images)
    model = convert(
        jaxpr_as_fun(keep_live(jaxpr)),
        inputs=[images],
        opset=_OPERATOR_SET,
        model_name="vae_jax",
        input_names=["images"],
        output_names=sorted(shapes),
    )
    entry = model.metadata_props.add()
    entry.key = METADATA_KEY
    entry.value = json.dumps(
        describe_detector(detector)
        | {"not_exported": reasons, "fingerprint": parts.fingerprint, "detector": parts.digest}
    )
    return model.SerializeToString(), detector.names, reasons


def _import_converter():
    """Returns `jax2onnx.to_onnx`, without the lines that it writes about shapes that it does not know."""
    try:
        import jax2onnx
    except ImportError as error:
        raise UserError(
            f"--format=onnx needs packages that are not installed ({error}): pip install 'vae_jax[onnx]'"
        ) from error
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    return jax2onnx.to_onnx


def _describe_images(parts: DetectorParts) -> jax.ShapeDtypeStruct:
    """Returns the shape of any number of images."""
    (count,) = jax.export.symbolic_shape("n")
    framing = parts.preprocessing.framing
    shape = (count, framing.image_size, framing.image_size, framing.channels)
    return jax.ShapeDtypeStruct(shape, jnp.uint8)


def _split_names(parts: DetectorParts) -> tuple[list[str], dict[str, str]]:
    """Returns the scores that an ONNX model can hold, and each other score with the reason."""
    names, _ = split_names(parts)
    kept = dataclasses.replace(parts, names=tuple(names))
    functions, arrays = make_functions(kept), _read_arrays(kept)
    with use_library_convolutions():
        jaxpr, shapes = trace(
            lambda images: functions.score(arrays, images, _observe(functions, arrays, images)),
            _describe_images(parts),
        )
    reason = "it draws random numbers, and ONNX has no operator that draws those of JAX"
    if parts.config.scoring.samples:
        reason += "; some scores draw none after --mode=evaluate --config.scoring.samples=0"
    excluded = {
        name: reason
        for position, name in enumerate(sorted(shapes))
        if not list_operations(jaxpr, position).isdisjoint(_RANDOM)
    }
    return split_names(parts, excluded)


def _make_function(detector: Detector) -> Callable[[UInt8[Array, "N H W C"]], dict[str, Array]]:
    """Returns the function that the ONNX model computes; the arrays of the detector are constants in it."""
    parts = detector.parts
    functions, arrays = make_functions(parts), _read_arrays(parts)
    normals = jnp.asarray(np.sort(parts.calibration[detector.deciding_score]), jnp.float32)

    def compute(images):
        batch = _observe(functions, arrays, images)
        columns = functions.score(arrays, images, batch)
        columns |= functions.combine(columns)
        deciding = columns[detector.deciding_score]
        as_high = jnp.sum(normals[None] >= deciding[:, None], axis=1, dtype=jnp.int32)
        results = {name: columns[name] for name in parts.names}
        results[P_VALUE] = (1 + as_high).astype(jnp.float32) / np.float32(len(normals) + 1)
        if not parts.config.scoring.false_discovery:
            results[ANOMALOUS] = _flag(deciding, detector.threshold)
        results[MAP] = functions.map(arrays, images, batch)
        return results

    return compute


def _read_arrays(parts: DetectorParts) -> dict[str, Any]:
    """Returns the arrays that the functions read, as JAX uses them: float64 becomes float32."""
    return jax.tree.map(jnp.asarray, select_arrays(collect_tree(parts)))


def _observe(functions: ImageFunctions, arrays: Mapping[str, Any], images: Array) -> Batch:
    # Only random numbers depend on the index, and no score that is exported draws any.
    index = jnp.zeros(images.shape[0], jnp.int32)
    return functions.observe(arrays, images, index)


def _flag(scores: Float[Array, "N"], threshold: Threshold) -> Bool[Array, "N"]:
    anomalous = scores > np.float32(threshold.upper)
    if threshold.lower is None:
        return anomalous
    return anomalous | (scores < np.float32(threshold.lower))
