"""The values of a frame of a DICOM file in the unit of the file, and the window that the file asks for."""

from typing import Any

import numpy as np
from jaxtyping import Num

from vae_jax.data.frame_file import UnreadableFile, ValueRange

# Where an enhanced file keeps the elements of each frame.
_RESCALE, _WINDOW = "PixelValueTransformationSequence", "FrameVOILUTSequence"


def remove_unused_bits(
    values: Num[np.ndarray, "height width"], header: Any
) -> Num[np.ndarray, "height width"]:
    """Returns the values without bits that do not belong to them, which old files use for overlays."""
    stored = int(header.BitsStored)
    values = values.astype(np.int64) & (2**stored - 1)
    if int(header.get("PixelRepresentation", 0)):
        values = np.where(values >= 2 ** (stored - 1), values - 2**stored, values)
    return values


def rescale_values(
    values: Num[np.ndarray, "height width"], header: Any, index: int
) -> tuple[Num[np.ndarray, "height width"], ValueRange]:
    """Returns the values in the unit of the file, for example Hounsfield units, and their range."""
    from pydicom.pixels import apply_modality_lut

    stored = int(header.BitsStored)
    if header.get("ModalityLUTSequence"):
        bits = int(header.ModalityLUTSequence[0].LUTDescriptor[2])
        return apply_modality_lut(values, header), ValueRange(0, 2**bits - 1)
    slope = _find_number(header, index, _RESCALE, "RescaleSlope", 1.0)
    intercept = _find_number(header, index, _RESCALE, "RescaleIntercept", 0.0)
    lowest = -(2 ** (stored - 1)) if int(header.get("PixelRepresentation", 0)) else 0
    ends = [number * slope + intercept for number in (lowest, lowest + 2**stored - 1)]
    return values * slope + intercept, ValueRange(min(ends), max(ends))


def find_window(header: Any, index: int) -> ValueRange | None:
    """Returns the first window of a frame; None if it has none, or one without a width.

    A sigmoid window is taken as the linear one with the same centre and the same slope there.

    Source: DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3.
    """
    centre = _find_number(header, index, _WINDOW, "WindowCenter")
    width = _find_number(header, index, _WINDOW, "WindowWidth")
    if centre is None or width is None:
        return None
    function = _find(header, index, _WINDOW, "VOILUTFunction") or "LINEAR"
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width <= 0:
        return None
    return ValueRange(centre - width / 2, centre + width / 2, True)


def _find_number(
    header: Any, index: int, sequence: str, keyword: str, default: float | None = None
) -> float | None:
    """Returns a number, the first one where there are several; `default` if there is none.

    Raises:
        UnreadableFile: if it is not a finite number.
    """
    value = _find(header, index, sequence, keyword)
    if value is None or value == "":
        return default
    try:
        number = float(value[0] if hasattr(value, "__len__") and len(value) else value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise UnreadableFile(f"the header of the file is damaged: its {keyword} is not a number")
    return number


def _find(header: Any, index: int, sequence: str, keyword: str) -> Any:
    """Returns an element of a frame, of all frames, or of the file; None if there is none."""
    groups = []
    for name, position in (
        ("PerFrameFunctionalGroupsSequence", index),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        items = header.get(name) or []
        if position < len(items):
            groups += items[position].get(sequence) or []
    for group in [*groups, header]:
        if keyword in group:
            return group[keyword].value
    return None
