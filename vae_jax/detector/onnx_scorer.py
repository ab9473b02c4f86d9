"""Scores of images by ONNX Runtime, from the file that `programs.onnx_model` makes.

N images, H W image, C channels.
"""

import json
import pathlib
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from vae_jax.errors import UserError
from vae_jax.scoring.role_scores import Columns

METADATA_KEY = "vae_jax"  # of the description of the detector, as JSON
MAP = "anomaly_map"
P_VALUE = "p_value"
ANOMALOUS = "anomalous"

_ZIP = b"PK"  # an exported detector of the other format begins so
_END = 2**18  # the metadata stand at the end of a file
_ONLY_ERRORS = 3  # level of ONNX Runtime's log


class OnnxScorer:
    """Computes the scores of images, and their maps, as `ImageScorer` does.

    Attributes:
        step: number of images of a step.
        description: description of the detector, see `programs.onnx_model`.
        names: names of the scores.

    Args:
        path: the file.
        step: number of images that are computed at the same time.

    Raises:
        UserError: if the package onnxruntime is missing, or the file is no exported detector.
    """

    def __init__(self, path: pathlib.Path, step: int):
        self.step = step
        self._session = _start_session(path)
        metadata = self._session.get_modelmeta().custom_metadata_map
        try:
            self.description: dict[str, Any] = json.loads(metadata[METADATA_KEY])
            self.names = tuple(self.description["scores"])
        except (KeyError, ValueError) as error:
            raise UserError(
                f"{path} is no ONNX file that --mode=export has written; export the detector again"
            ) from error

    def score(
        self, images: UInt8[np.ndarray, "N H W C"], *, with_maps: bool = False
    ) -> tuple[Columns, Float[np.ndarray, "N H W"] | None]:
        """Computes every score of the file, and the maps if they are wanted."""
        outputs = [*self.names, *([MAP] if with_maps else [])]
        parts = [
            self._session.run(outputs, {"images": images[start : start + self.step]})
            for start in range(0, len(images), self.step)
        ]
        values = [np.concatenate(part) for part in zip(*parts, strict=True)]
        columns = {
            name: column.astype(np.float64)
            for name, column in zip(self.names, values, strict=False)
        }
        return columns, values[-1] if with_maps else None

    def combine(self, columns: Columns) -> Columns:
        """Returns the columns; combinations are among them already."""
        return columns


def is_onnx_model(path: pathlib.Path) -> bool:
    """Returns whether a file is an ONNX model that this package has exported."""
    try:
        with path.open("rb") as stream:
            start = stream.read(len(_ZIP))
            stream.seek(max(path.stat().st_size - _END, 0))
            return start != _ZIP and METADATA_KEY.encode() in stream.read()
    except OSError:
        return False


def _start_session(path: pathlib.Path):
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"{path} needs packages that are not installed ({error}): pip install 'vae_jax[onnx]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ONLY_ERRORS
    try:
        return onnxruntime.InferenceSession(
            path, options, providers=onnxruntime.get_available_providers()
        )
    except Exception as error:  # ONNX Runtime raises many kinds of errors here
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"ONNX Runtime cannot read {path} ({reason}); export the detector again"
        ) from error
