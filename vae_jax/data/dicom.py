"""DICOM files: their frames as images, without anything that the file says about a patient.

Only the elements that are listed here are read. Messages never repeat the text of an error of pydicom,
because it may contain the value of an element.
"""

import hashlib
import logging
import pathlib
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from vae_jax.data.dicom_values import find_window, remove_unused_bits, rescale_values
from vae_jax.data.frame_file import (
    Frame,
    Header,
    UnreadableFile,
    ValueRange,
    check_frame_size,
    make_colour_frame,
    make_frame,
)

MAX_FRAMES = 100_000

# What pydicom logs and warns of may repeat the value of an element, for example a name that is not valid.
logging.getLogger("pydicom").addFilter(lambda record: False)
warnings.filterwarnings("ignore", module="pydicom")

_ELEMENTS = [
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept",
    "ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
]  # fmt: skip
_IDENTIFIERS = ["PatientID", "IssuerOfPatientID"]  # only their digest leaves this module
_GREY = ("MONOCHROME1", "MONOCHROME2")
_ADVICE = "decompress it, for example with gdcmconv --raw or dcmdjpeg"


def read_header(path: pathlib.Path, max_pixels: int) -> Header:
    """Reads the header of a file.

    Raises:
        UnreadableFile: if the file is not an image that can be read, or is too large.
    """
    header = _read_elements(path, [*_ELEMENTS, *_IDENTIFIERS])
    parts = [str(header.get(keyword) or "") for keyword in _IDENTIFIERS]
    patient = hashlib.sha256("\0".join(parts).encode()).hexdigest() if parts[0].strip() else ""
    size = _check_header(path, header, max_pixels)
    num_frames = _count_frames(header)
    return Header(num_frames if num_frames > 1 else None, size, patient)


def read_frames(path: pathlib.Path, indices: Iterable[int], max_pixels: int) -> Iterator[Frame]:
    """Yields some frames of a file, in the order of `indices`.

    Raises:
        UnreadableFile: if the file cannot be read.
    """
    from pydicom import pixels

    header = _read_elements(path, _ELEMENTS)
    _check_header(path, header, max_pixels)
    indices = list(indices)
    # An index beyond 0 of a single frame does not exist for pydicom.
    decoded = pixels.iter_pixels(path, indices=indices if _count_frames(header) > 1 else None)
    for index in indices:
        try:
            values = next(decoded)
        except Exception as error:  # pydicom and its plugins raise many kinds
            syntax = _get_syntax(header)
            advice = f"; if it is not damaged, {_ADVICE}" if syntax.is_compressed else ""
            raise UnreadableFile(
                f"its pixels cannot be decoded ({syntax.name}, {type(error).__name__}){advice}"
            ) from None
        yield _make_frame(values, header, index)


def _read_elements(path: pathlib.Path, keywords: list[str]) -> Any:
    """Returns a pydicom dataset with these elements, and without pixels."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        meta = pydicom.filereader.read_file_meta_info(path)
    except InvalidDicomError:
        raise UnreadableFile("not a DICOM file") from None
    _check_syntax(meta.get("TransferSyntaxUID"))
    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=keywords)


def _check_syntax(syntax: Any) -> None:
    """Refuses compression that pydicom cannot undo, or that it would undo without a limit."""
    from pydicom.pixels import get_decoder
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    if not re.fullmatch(r"[0-9.]+", syntax or ""):
        raise UnreadableFile("the file does not name its transfer syntax")
    if syntax == DeflatedExplicitVRLittleEndian:
        raise UnreadableFile(f"its compression ({syntax.name}) has no limit of size; {_ADVICE}")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise UnreadableFile(
            f"its transfer syntax ({syntax}) holds no images; {_ADVICE}"
        ) from error
    if not decoder.is_available:
        raise UnreadableFile(
            f"its compression ({syntax.name}) needs a plugin of pydicom: pip install pylibjpeg "
            f"pylibjpeg-libjpeg pylibjpeg-openjpeg, or {_ADVICE}"
        )


def _check_header(path: pathlib.Path, header: Any, max_pixels: int) -> tuple[int, int]:
    """Returns (width, height) after checking that the file holds images of a supported kind."""
    try:
        rows, columns, bits = int(header.Rows), int(header.Columns), int(header.BitsAllocated)
        kind, samples = str(header.PhotometricInterpretation), int(header.get("SamplesPerPixel", 1))
        num_frames, stored = _count_frames(header), int(header.BitsStored)
    except (AttributeError, TypeError, ValueError):
        raise UnreadableFile("the file holds no image, or its header is damaged") from None
    if min(rows, columns, num_frames) < 1 or not 1 <= stored <= bits:
        raise UnreadableFile("the header of the file is damaged: its sizes are impossible")
    if int(header.get("HighBit", stored - 1)) != stored - 1:
        raise UnreadableFile(
            f"the lowest bit of its values is not the first bit (HighBit {header.HighBit})"
        )
    check_frame_size(columns, rows, max_pixels)
    if num_frames > MAX_FRAMES:
        raise UnreadableFile(f"{num_frames} frames, more than the limit of {MAX_FRAMES}")
    if bits not in (8, 16, 32):
        raise UnreadableFile(
            f"{bits} bits per pixel, as in segmentations; only 8, 16 and 32 are read"
        )
    if kind not in _GREY and bits != 8 and kind != "PALETTE COLOR":
        raise UnreadableFile(
            f"colours with {bits} bits per channel ({kind}); store them with 8 bits"
        )
    is_compressed = _get_syntax(header).is_compressed
    # The smallest compressed frame has 8 bytes.
    length = 8 * num_frames if is_compressed else rows * columns * samples * num_frames * bits // 8
    if kind == "YBR_FULL_422" and not is_compressed:
        length = 2 * length // 3
    if length > path.stat().st_size:
        raise UnreadableFile("the file is cut off: it is shorter than its header says")
    return columns, rows


def _get_syntax(header: Any) -> Any:
    return header.file_meta.TransferSyntaxUID


def _count_frames(header: Any) -> int:
    return int(header.get("NumberOfFrames") or 1)


def _make_frame(values: np.ndarray, header: Any, index: int) -> Frame:
    """Returns a frame from the decoded pixels."""
    from pydicom.pixels import apply_color_lut

    kind = str(header.PhotometricInterpretation)
    if kind in _GREY:
        values = remove_unused_bits(values, header)
        values, value_range = rescale_values(values, header, index)
        low, high, is_window = find_window(header, index) or value_range
        black, white = (high, low) if kind == "MONOCHROME1" else (low, high)
        return make_frame(values, ValueRange(black, white, is_window))
    if kind == "PALETTE COLOR":
        values = apply_color_lut(values, header)
        values = values if values.dtype == np.uint8 else values >> 8
    if values.ndim != 3 or values.shape[-1] != 3:
        raise UnreadableFile(f"colours of the kind {kind} are not read; store it as RGB or grey")
    return make_colour_frame(values.astype(np.uint8))
