"""Prepared records -> the squares that the model sees, decoded once and kept beside the records.

Names: `N` images, `H W` the square that the model sees, `C` channels.
"""

import concurrent.futures
import contextlib
import logging
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from vae_jax.data import cache, decode
from vae_jax.data.builders.records import ImageRecords
from vae_jax.data.framing import Framing, cut
from vae_jax.data.stored import machine_memory_bytes
from vae_jax.errors import UserError
from vae_jax.progress import progress

_CHUNK = 64  # records that a thread decodes in one go
_SMALL_BYTES = 4096  # mean size of a record
_MEMORY_SHARE = 1 / 3  # of the machine's memory, that images may take

_log = logging.getLogger(__name__)


def read(builder: ImageRecords, framing: Framing, keep: str) -> dict[str, cache.Arrays]:
    """Decodes all splits of prepared data, or finds that done beside the records.

    Args:
        builder: of the prepared data.
        framing: what of each stored image is seen.
        keep: `data.cache`. Under "none" pixels stay on disk, under "auto" where they would take more
            than a third of the machine's memory.

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
        return {
            split: cache.joined(_decode(builder, split, framing)) for split in builder.info.splits
        }


def _through_cache(builder: ImageRecords, framing: Framing, keep: str) -> dict[str, cache.Arrays]:
    """Returns the arrays of each split from its cache, which is written where there is none."""
    folder = pathlib.Path(builder.data_dir) / "decoded"
    fingerprint = builder.preparation["fingerprint"]
    places = {
        split: folder / f"{split}-{fingerprint}-{framing.key}-v{decode.VERSION}"
        for split in builder.info.splits
    }
    for split, path in places.items():
        if not path.exists():
            cache.write(path, _decode(builder, split, framing))
    size = sum(map(cache.num_bytes, places.values()))
    mapped = keep == "none" or (keep == "auto" and size > _MEMORY_SHARE * machine_memory_bytes())
    if mapped:
        _log.info("%s: %.1f GB of decoded images stay on disk", builder.name, size / 1e9)
    found = {}
    for split, path in places.items():
        arrays = cache.read(path, mapped)
        if arrays is None:  # damaged
            cache.write(path, _decode(builder, split, framing))
            arrays = cache.read(path, mapped)
        found[split] = arrays
    return found


def _decode(builder: ImageRecords, split: str, framing: Framing) -> Iterator[dict[str, np.ndarray]]:
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
    try:
        with (
            contextlib.closing(progress(num, f"decoding {builder.name} {split}", "image")) as bar,
            concurrent.futures.ThreadPoolExecutor(threads) as pool,
        ):
            # A few chunks a thread at a time, so that not all of them wait to be written.
            for window in _chunks(range(num), 4 * threads * _CHUNK):
                for decoded in pool.map(decode_chunk, _chunks(window, _CHUNK)):
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
