"""Files of records: which images share a file, and how records are written to it."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from array_record.python import array_record_module
from tensorflow_datasets.core import writer

from vae_jax.data.builders.reading import SourceImage

_SHARD_BYTES = 128 * 2**20  # encoded images per shard; this also limits the memory for preparing


class UncompressedWriter(writer.ExampleWriter):
    """Writes records without compression, which saves nothing on JPEGs and takes a third of the time."""

    def write(self, path: Any, examples: Iterable[tuple[Any, bytes]]) -> None:
        """Writes the records of one file."""
        records = array_record_module.ArrayRecordWriter(
            os.fspath(path), "group_size:1,uncompressed"
        )
        for _, record in examples:
            _raise_os_error(records.write, record)
        _raise_os_error(records.close)


def _raise_os_error(write: Callable[..., Any], *args: Any) -> None:
    """Calls the record writer, and turns the RuntimeError that it raises on a full disk into an OSError."""
    try:
        write(*args)
    except RuntimeError as error:
        raise OSError(str(error)) from error


def divide_into_shards(images: Sequence[SourceImage]) -> list[list[SourceImage]]:
    """Divides the images of a split into parts of about equal size, in bytes."""
    shards: list[list[SourceImage]] = [[]]
    num_bytes = 0
    for image in images:
        if num_bytes > _SHARD_BYTES:
            shards.append([])
            num_bytes = 0
        shards[-1].append(image)
        num_bytes += _estimate_bytes(image)
    return shards


def _estimate_bytes(image: SourceImage) -> int:
    if isinstance(image.image, bytes):
        return len(image.image)
    if image.frame is not None and image.size is not None:
        return 4 * math.prod(image.size)  # float32 values; the file holds other frames, too
    try:
        return image.image.stat().st_size
    except OSError:  # a link that leads nowhere, which is reported when it is read
        return 0
