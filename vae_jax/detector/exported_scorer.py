"""Scores of images by the programs of an exported detector; no code of the model runs.

N images, H W image, C channels.
"""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from vae_jax.data.batches import compute_content_index
from vae_jax.detector.array_tree import flatten_tree
from vae_jax.detector.artifact import Artifact
from vae_jax.detector.image_scorer import ImageScorer
from vae_jax.detector.onnx_scorer import OnnxScorer
from vae_jax.detector.storage import collect_tree
from vae_jax.errors import UserError
from vae_jax.scoring.role_scores import Columns


class ExportedScorer:
    """Computes the scores of images, and their maps, as `ImageScorer` does.

    Attributes:
        step: number of images of a step.

    Args:
        artifact: the exported detector.

    Raises:
        UserError: if this version of JAX cannot read the programs, or the device is of another kind.
    """

    def __init__(self, artifact: Artifact):
        self.step: int = artifact.description["step"]
        self._names = artifact.parts.names
        arrays = flatten_tree(collect_tree(artifact.parts))
        self._arrays = {name: jnp.asarray(arrays[name]) for name in artifact.description["arrays"]}
        self._programs = {name: _load(name, data) for name, data in artifact.programs.items()}
        self._combination_inputs = artifact.description["combination_inputs"]

    def score(
        self, images: UInt8[np.ndarray, "N H W C"], *, with_maps: bool = False
    ) -> tuple[Columns, Float[np.ndarray, "N H W"] | None]:
        """Computes what `ImageScorer.score` computes."""
        parts, maps = [], []
        for rows in self._split(images):
            arguments = self._arrays, rows, compute_content_index(rows)
            parts.append(jax.device_get(self._programs["score"](*arguments)))
            if with_maps:
                maps.append(jax.device_get(self._programs["map"](*arguments)))
        columns = {
            name: np.concatenate([part[name] for part in parts])[: len(images)].astype(np.float64)
            for name in parts[0]
        }
        return columns, np.concatenate(maps)[: len(images)] if with_maps else None

    def combine(self, columns: Columns) -> Columns:
        """Returns every score of the detector, from the columns of `score`."""
        combined: Columns = {}
        if "combine" in self._programs:
            count = len(columns[self._combination_inputs[0]])
            # Few different lengths mean few compiled programs.
            padding = -count % self.step
            inputs = {
                name: np.pad(columns[name].astype(np.float32), (0, padding), "edge")
                for name in self._combination_inputs
            }
            values = jax.device_get(self._programs["combine"](inputs))
            combined = {name: v[:count].astype(np.float64) for name, v in values.items()}
        return {name: (columns | combined)[name] for name in self._names}

    def _split(self, images: UInt8[np.ndarray, "N H W C"]) -> list[UInt8[np.ndarray, "n H W C"]]:
        """Returns steps of images, the last one filled with copies of the last image."""
        padding = np.repeat(images[-1:], -len(images) % self.step, axis=0)
        padded = np.concatenate([images, padding])
        return np.split(padded, len(padded) // self.step)


# What computes the scores of a detector: its model, its exported programs, or ONNX Runtime.
Scorer = ImageScorer | ExportedScorer | OnnxScorer


def _load(name: str, content: bytes):
    """Returns a compiled function from the bytes of a program."""
    try:
        exported = jax.export.deserialize(bytearray(content))
    except Exception as error:  # JAX raises many kinds of errors here
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"this version of JAX, {jax.__version__}, cannot read the program {name} ({reason}); export "
            "the detector again"
        ) from error
    platform = "cuda" if jax.default_backend() == "gpu" else jax.default_backend()
    if platform not in exported.platforms:
        raise UserError(
            f"the program {name} runs on {', '.join(exported.platforms)}, but JAX uses {platform}; set "
            "JAX_PLATFORMS"
        )
    return jax.jit(exported.call)
