"""Prepared records -> the squares that the model sees, decoded once and kept beside the records.

Names: `N` images, `H W` the square that the model sees, `C` channels.
"""

import concurrent.futures
import contextlib
import logging
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from vae_jax.data import cache, decode
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.framing import Framing, cut
from vae_jax.errors import UserError
from vae_jax.runtime.memory import measure_memory_bytes
from vae_jax.runtime.progress import open_progress_bar

_CHUNK, _CHUNK_BYTES = 64, 2**24  # records that a thread decodes in one go, and their pixels
_SMALL_BYTES = 4096  # mean size of a record
# Of the machine's memory, that a set's images may take: for a moment they are there up to three times.
_MEMORY_SHARE = 1 / 6

_log = logging.getLogger(__name__)


def read(builder: ImageDatasetBuilder, framing: Framing, keep: str) -> dict[str, cache.Arrays]:
    """Decodes all splits of prepared data, or finds that done beside the records.

    Args:
        builder: of the prepared data.
        framing: what of each stored image is seen.
        keep: `data.cache`. Under "none" pixels stay on disk, under "auto" where they would take more
            than a sixth of the machine's memory.

    Returns:
        Split -> arrays [N, ...], a row a square: `images`, `masks` (of no size where none has one),
        `has_mask`, `stored_size`, `classes`, `files`, `groups`, and `offsets` of tiles. Nothing, where a
        split has no record.

    Raises:
        UserError: if the prepared data is damaged, or images are to stay on a disk that cannot be
            written.
    """
    try:
        return _through_cache(builder, framing, keep)
    except OSError as error:
        if keep == "none":
            raise UserError(
                f"data.cache=none keeps decoded images on disk, and {builder.data_dir} cannot be written "
                f"({error.strerror or error}); name another place with --config.data.dir=DIR"
            ) from error
        _log.warning("decoded images are not kept for the next start: %s", error)
    limit = _MEMORY_SHARE * measure_memory_bytes() if keep == "auto" else float("inf")
    return {
        split: cache.joined(_within(limit, _decode(builder, split, framing)))
        for split in builder.info.splits
    }


def _through_cache(
    builder: ImageDatasetBuilder, framing: Framing, keep: str
) -> dict[str, cache.Arrays]:
    """Returns the arrays of each split from its cache, which is written where there is none."""
    folder = pathlib.Path(builder.data_dir) / "decoded"
    fingerprint = builder.preparation["fingerprint"]

    def kept(split: str, mapped: bool) -> cache.Arrays:
        path = folder / f"{split}-{fingerprint}-{framing.key}-v{decode.VERSION}"
        arrays = cache.read(path, mapped)
        if arrays is None:
            cache.discard(path)
            cache.write(path, _decode(builder, split, framing))
            arrays = cache.read(path, mapped)
        if arrays is None:
            raise UserError(
                f"{path} cannot be read after it was written; look at the disk, or name another place "
                "with --config.data.dir=DIR"
            )
        return arrays

    on_disk = {split: kept(split, mapped=True) for split in builder.info.splits}
    size = sum(arrays[name].nbytes for arrays in on_disk.values() for name in cache.PIXELS)
    if keep == "none" or (keep == "auto" and size > _MEMORY_SHARE * measure_memory_bytes()):
        _log.info("%s: %.1f GB of decoded images stay on disk", builder.name, size / 1e9)
        return on_disk
    return {split: kept(split, mapped=False) for split in on_disk}


def _within(limit: float, rows: Iterable[dict[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """Hands rows on while their pixels take no more than `limit` bytes.

    Raises:
        UserError: beyond that.
    """
    size = 0
    for row in rows:
        size += sum(row[name].nbytes for name in cache.PIXELS)
        if size > limit:
            raise UserError(
                f"decoded images take more than {limit / 1e9:.1f} GB, too much for memory, and they cannot "
                "be kept on disk (see above); name another place with --config.data.dir=DIR"
            )
        yield row


def _decode(
    builder: ImageDatasetBuilder, split: str, framing: Framing
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the arrays of each record's squares; text as fixed-width unicode, never pickled."""
    encoded = {name: tfds.decode.SkipDecoding() for name in ("image", "mask")}
    source = builder.as_data_source(split, decoders=encoded)
    num = len(source)

    def decode_chunk(indices: Sequence[int]) -> list[dict[str, np.ndarray]]:
        records = source.__getitems__(indices)
        return [_rows(record, framing, builder.CLEAN_TILES) for record in records]

    # Small images are decoded within the interpreter's lock, where threads only stand in each other's way.
    size = builder.info.splits[split].num_bytes / max(num, 1)
    threads = os.cpu_count() if size > _SMALL_BYTES else 1
    chunk = max(1, min(_CHUNK, _CHUNK_BYTES // (framing.image_size**2 * framing.channels)))
    try:
        with (
            contextlib.closing(
                open_progress_bar(num, f"decoding {builder.name} {split}", "image")
            ) as bar,
            concurrent.futures.ThreadPoolExecutor(threads) as pool,
        ):
            # A few chunks a thread at a time, so that not all of them wait to be written.
            for window in _chunks(range(num), 2 * threads * chunk):
                for decoded in pool.map(decode_chunk, _chunks(window, chunk)):
                    yield from decoded
                    bar.update(len(decoded))
    except UserError:
        raise
    except Exception as error:  # all was readable when it was prepared: the records are damaged
        raise UserError(
            f"prepared data in {builder.data_dir} is damaged ({' '.join(str(error).split())}); "
            "delete that folder, it will be prepared again"
        ) from error


def _chunks(rows: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _rows(
    record: Mapping[str, Any], framing: Framing, clean_tiles: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Returns the arrays of the squares of one record, none where nobody knows which are abnormal."""
    class_name, file, group = (record[name].decode() for name in ("class", "file", "group"))
    tiled = framing.tile_stride > 0 and class_name in clean_tiles
    has_mask = bool(record["has_mask"])
    squares = cut(record["image"], record["mask"] if has_mask else None, framing)
    if tiled and not has_mask:
        _log.warning("%s is left out: without a mask nobody knows which tiles are abnormal", file)
        squares = squares.none()
    num = len(squares.offsets)
    classes = np.full(num, class_name)
    if tiled:
        classes = np.where(squares.marked, class_name, clean_tiles[class_name])
    return {
        "images": squares.images,
        "masks": np.zeros((num, 0, 0), np.uint8) if squares.masks is None else squares.masks,
        "has_mask": np.full(num, has_mask),
        "stored_size": np.tile(
            np.array([record["width"], record["height"], record["bytes"]], np.int32), (num, 1)
        ),
        "classes": classes,
        "files": np.full(num, file),
        "groups": np.full(num, group),
    } | ({"offsets": squares.offsets} if framing.tile_stride else {})
