"""DICOM and NIfTI files by their suffix; each of their frames or slices becomes an image file of its own.

They need the packages of the extra `medical`, which are imported only where such a file is read. The frame
3 of a file `scan.dcm` has the name `scan.dcm#3`, counted from 0; a file with a single image has no number.
"""

import importlib.util
import pathlib
from collections.abc import Iterable, Iterator

from vae_jax.data import decode, dicom, nifti
from vae_jax.data.frame_file import Frame, Header, hide_details
from vae_jax.data.regular_file import check_regular, read_file
from vae_jax.validate import HIGHEST_MAX_PIXELS

INSTALL = "pip install 'vae_jax[medical]'"

_READERS = {".dcm": dicom, ".dicom": dicom, ".nii": nifti, ".nii.gz": nifti}
_PACKAGES = {dicom: "pydicom", nifti: "nibabel"}


def get_suffix(name: str) -> str:
    """Returns the suffix of a file in lower case; `.nii.gz` is one suffix."""
    if name.lower().endswith(".nii.gz"):
        return ".nii.gz"
    # A name that is nothing but a suffix has this suffix.
    return pathlib.PurePosixPath(f"x{name}" if name.startswith(".") else name).suffix.lower()


def is_medical(name: str) -> bool:
    """Returns whether a file is a medical one by its suffix."""
    return get_suffix(name) in _READERS


def is_nifti(name: str) -> bool:
    """Returns whether a file is a NIfTI file by its suffix."""
    return _READERS.get(get_suffix(name)) is nifti


def is_slice(name: str) -> bool:
    """Returns whether the name of an image is that of one of several in a medical file."""
    file, _, frame = name.rpartition("#")
    return frame.isdecimal() and is_medical(file)


def is_readable(name: str) -> bool:
    """Returns whether a file is a medical one whose package is installed; nothing is imported."""
    reader = _READERS.get(get_suffix(name))
    return reader is not None and importlib.util.find_spec(_PACKAGES[reader]) is not None


def read_header(path: pathlib.Path, max_pixels: int = HIGHEST_MAX_PIXELS) -> Header:
    """Reads the header of a medical file.

    Raises:
        ValueError: if the file cannot be read, or is a pipe or a device; one line, which repeats nothing
            about a patient.
        OSError: if the file cannot be opened.
    """
    check_regular(path)
    with hide_details():
        return _READERS[get_suffix(path.name)].read_header(path, max_pixels)


def read_frames(
    path: pathlib.Path, indices: Iterable[int], max_pixels: int = HIGHEST_MAX_PIXELS
) -> Iterator[Frame]:
    """Yields some frames of a medical file, in the order of `indices`.

    Args:
        path: the file.
        indices: numbers of frames, from 0; 0 for a file with a single image.
        max_pixels: largest number of pixels of a frame that is accepted.

    Raises:
        ValueError: if the file cannot be read; one line, which repeats nothing about a patient.
        OSError: if the file cannot be opened.
    """
    check_regular(path)
    with hide_details():
        yield from _READERS[get_suffix(path.name)].read_frames(path, indices, max_pixels)


def read_images(
    path: pathlib.Path, max_pixels: int = HIGHEST_MAX_PIXELS
) -> Iterator[tuple[str, bytes]]:
    """Yields every image of any file: what follows the name of the file in its name, and an image file.

    `crops.cut_crops` takes such image files. They are checked already.

    Raises:
        ValueError: if the file is damaged, or too large.
        Exception: whatever Pillow raises for a damaged file.
    """
    if not is_medical(path.name):
        encoded = read_file(path)
        decode.check_image(encoded, max_pixels)
        yield "", encoded
        return
    suffixes = read_header(path, max_pixels).suffixes
    frames = read_frames(path, range(len(suffixes)), max_pixels)
    for suffix, frame in zip(suffixes, frames, strict=True):
        yield suffix, frame.encoded
