"""NIfTI files: the slices of a volume as images, without anything that the file says about a patient.

The slices lie along the axis with the largest spacing if it is at least 1.5 times the others, as in scans
with thick slices, and along the last axis otherwise. They are shown upright in every orientation of the
file: anterior or superior is up, and the left of the patient is on the left.
"""

import gzip
import math
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Num

from vae_jax.data.frame_file import (
    UNKNOWN_RANGE,
    Frame,
    Header,
    UnreadableFile,
    ValueRange,
    check_frame_size,
    make_frame,
)
from vae_jax.data.nifti_header import (
    choose_axis,
    is_packed,
    read_header_block,
    read_orientation,
    read_shape,
    report_damage,
)

# Largest size of an unpacked .nii.gz; it is in memory while its slices are read, one file per core.
MAX_UNPACKED_BYTES = 2**30
MAX_SLICES = 100_000

_CHUNK = 2**20  # bytes


def read_header(path: pathlib.Path, max_pixels: int) -> Header:
    """Reads the header of a volume.

    Raises:
        UnreadableFile: if the volume cannot be read, or a slice or the volume is too large.
    """
    volume = Volume(path, max_pixels)
    return Header(volume.num_slices, volume.size)


def read_frames(path: pathlib.Path, indices: Iterable[int], max_pixels: int) -> Iterator[Frame]:
    """Yields some slices of a volume, which is read once.

    Raises:
        UnreadableFile: if the volume cannot be read, or its values are not numbers.
    """
    volume = Volume(path, max_pixels)
    for index in indices:
        yield make_frame(volume.read_slice(index), volume.value_range)


class Volume:
    """A volume whose header has been read and checked; its values are read when the first slice is.

    Attributes:
        num_slices: number of slices; None if the file holds a single image.
        size: (width, height) of a slice, pixels.
        value_range: which values are black and white.
    """

    def __init__(self, path: pathlib.Path, max_pixels: int):
        self._path = path
        self._header = read_header_block(path)
        self._shape = read_shape(self._header)
        self._orientation = read_orientation(self._header)
        self._dtype = self._header.get_data_dtype()
        if self._dtype.kind not in "iuf":
            raise UnreadableFile("its values are colours or complex numbers; store them as numbers")
        slope, intercept = self._header.get_slope_inter()
        self._slope, self._intercept = (
            1.0 if slope is None else slope,
            0.0 if intercept is None else intercept,
        )
        self._axis = choose_axis(self._header, self._shape)
        rest = [axis for axis in range(len(self._shape)) if axis != self._axis]
        # Stored axes of the columns and rows of an image: that of left and right first.
        self._column_axis, self._row_axis = sorted(
            rest, key=lambda axis: self._orientation[axis][0]
        )
        self.size = self._shape[self._column_axis], self._shape[self._row_axis]
        self.num_slices = None if self._axis is None else self._shape[self._axis]
        check_frame_size(*self.size, max_pixels)
        if self.num_slices is not None and self.num_slices > MAX_SLICES:
            raise UnreadableFile(f"{self.num_slices} slices, more than the limit of {MAX_SLICES}")
        self.value_range = self._find_range()
        self._check_length()
        self._values: np.ndarray | None = None

    @property
    def layout(self) -> tuple:
        """What an image and its mask must share: shape and orientation in space."""
        return self._shape, tuple(self._orientation)

    def read_slice(
        self, index: int, axis_of: "Volume | None" = None
    ) -> Num[np.ndarray, "height width"]:
        """Returns the values of one slice, rescaled and upright.

        Args:
            index: number of the slice in the file, from 0.
            axis_of: a volume of the same layout whose slices are taken; None for this one.

        Raises:
            UnreadableFile: if the file is damaged, or a value is not a number.
        """
        if self._values is None:
            self._values = self._read_values()
        like = axis_of or self
        values = self._values if like._axis is None else self._values.take(index, like._axis)
        with np.errstate(all="ignore"):  # such values are refused
            values = values.astype(np.float64) * self._slope + self._intercept
        if not np.isfinite(values).all():
            raise UnreadableFile("some of its values are not finite numbers; replace them")
        if like._column_axis < like._row_axis:
            values = values.T  # rows come first in an image
        rows_downwards = self._orientation[like._row_axis][1] < 0
        columns_rightwards = self._orientation[like._column_axis][1] > 0
        return values[:: 1 if rows_downwards else -1, :: 1 if columns_rightwards else -1]

    def count_levels(self, limit: int) -> int:
        """Returns the number of different values; more than `limit` are not counted further."""
        levels: set = set()
        for index in range(self.num_slices or 1):
            levels.update(np.unique(self.read_slice(index)).tolist())
            if len(levels) > limit:
                break
        return len(levels)

    def _find_range(self) -> ValueRange:
        low, high = float(self._header["cal_min"]), float(self._header["cal_max"])
        if math.isfinite(low) and math.isfinite(high) and low < high:
            return ValueRange(low, high, True)
        if self._dtype.kind == "f":
            return UNKNOWN_RANGE
        limits = np.iinfo(self._dtype)
        ends = [number * self._slope + self._intercept for number in (limits.min, limits.max)]
        return ValueRange(min(ends), max(ends))

    def _check_length(self) -> None:
        offset, length = self._locate_values()
        if is_packed(self._path):
            if offset + length > MAX_UNPACKED_BYTES:
                raise UnreadableFile(
                    f"{offset + length} bytes when unpacked, more than the limit of {MAX_UNPACKED_BYTES}; "
                    "split it, or store it as .nii"
                )
        elif offset + length > self._path.stat().st_size:
            raise UnreadableFile("the file is cut off: it is shorter than its header says")

    def _locate_values(self) -> tuple[int, int]:
        """Returns position and number of the bytes of the values."""
        offset = int(self._header["vox_offset"])
        if offset < self._header.template_dtype.itemsize:
            raise UnreadableFile(
                "its values are in another file (.img); store them in one .nii file"
            )
        return offset, math.prod(self._shape) * self._dtype.itemsize

    def _read_values(self) -> np.ndarray:
        offset, length = self._locate_values()
        if not is_packed(self._path):
            return np.memmap(self._path, self._dtype, "r", offset, self._shape, "F")
        with report_damage(), gzip.open(self._path) as file:
            skipped = 0
            while skipped < offset:
                chunk = file.read(min(_CHUNK, offset - skipped))
                if not chunk:
                    raise EOFError
                skipped += len(chunk)
            content = file.read(length)
            if len(content) < length:
                raise EOFError
            # The checksum of gzip is checked at the end, so the end must be reached.
            if len(file.read(_CHUNK)) == _CHUNK:
                raise UnreadableFile("the file holds much more than its header says")
        return np.frombuffer(content, self._dtype).reshape(self._shape, order="F")
