"""All images of prepared data as `Examples`, decoded once and kept beside the records."""

import logging
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np

from vae_jax.data import decode
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.decoded_cache import (
    PIXELS,
    Arrays,
    DecodedCache,
    discard_cache,
    join_arrays,
    open_cache,
    write_cache,
)
from vae_jax.data.examples import NO_LABEL, Examples, join_examples
from vae_jax.data.framing import Framing
from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.data.record_decoding import decode_split
from vae_jax.errors import UserError
from vae_jax.runtime.available_memory import check_fits, measure_available_bytes
from vae_jax.runtime.memory import measure_memory_bytes

# Share of the machine's memory that the images of a dataset may take. While they are read and given their
# roles, up to three copies of them exist for a moment.
_MAX_MEMORY_SHARE = 1 / 6

# Columns that earlier versions did not write.
_MEASURED = {"stored_levels", "out_of_view", "unmarked", "mask_regions"}

_log = logging.getLogger(__name__)


def read_prepared_images(
    builder: ImageDatasetBuilder, framing: Framing, cache_mode: str
) -> Examples:
    """Reads the images of all splits, and decodes those that no earlier start has decoded.

    Args:
        builder: builder of the prepared data.
        framing: which parts of a stored image the model sees.
        cache_mode: `data.cache`. With "none" the decoded images stay on disk, and with "auto" they do so if
            they would take more than a sixth of the machine's memory.

    Returns:
        The examples of all splits, without labels.

    Raises:
        UserError: if the prepared data is damaged, the images do not fit into the memory that
            `cache_mode` requests, decoded images must stay on a disk that cannot be written, an image
            cannot be cut into tiles, or no image is left.
    """
    try:
        columns = _read_through_cache(builder, framing, cache_mode)
    except OSError as error:
        if cache_mode == "none":
            raise UserError(
                f"data.cache=none keeps decoded images on disk, but {builder.data_dir} cannot be written "
                f"({error.strerror or error}); name another folder with --config.data.dir=DIR"
            ) from error
        _log.warning("decoded images cannot be kept for the next start: %s", error)
        columns = _decode_into_memory(builder, framing, cache_mode)
    columns = {split: arrays for split, arrays in columns.items() if len(arrays.get("files", ()))}
    if not columns:
        raise UserError(
            f"no image is left with data.max_saturated={framing.max_saturated:g}: every image has a "
            "larger share of near-white pixels; raise data.max_saturated"
        )
    examples = []
    for split, arrays in columns.items():
        if "test" in columns:
            arrays["official_test"] = np.full(len(arrays["files"]), split == "test")
        examples.append(make_examples(arrays, type(builder)))
    return join_examples(examples)


def make_examples(arrays: Arrays, builder_class: type[ImageDatasetBuilder]) -> Examples:
    """Returns the examples of one split from its columns, without labels."""
    columns = {
        name: array.tolist() if array.dtype.kind == "U" else array for name, array in arrays.items()
    }
    if not arrays["has_mask"].any():
        columns["masks"] = None
    for name in PIXELS:
        if isinstance(columns[name], np.memmap):
            columns[name] = ImagesOnDisk.from_parts([columns[name]])
    materials = [builder_class.parse_material(file) for file in columns["files"]]
    return Examples(
        **columns,
        labels=np.full(len(materials), NO_LABEL, np.int32),
        materials=materials if any(materials) else None,
    )


def stay_on_disk(size: int, cache_mode: str) -> bool:
    """Returns whether decoded images stay on disk.

    Args:
        size: bytes that they would take in memory.
        cache_mode: `data.cache`.
    """
    limit = _MAX_MEMORY_SHARE * measure_memory_bytes()
    return cache_mode == "none" or (cache_mode == "auto" and size > limit)


def _read_through_cache(
    builder: ImageDatasetBuilder, framing: Framing, cache_mode: str
) -> dict[str, Arrays]:
    """Returns split -> columns, read from caches; a missing or damaged cache is written first.

    Raises:
        OSError: if a cache cannot be written.
    """
    caches = {
        split: _open_current_cache(path) or _write_and_open_cache(path, builder, split, framing)
        for split, path in _cache_paths(builder, framing).items()
    }
    size = sum(cache.num_pixel_bytes for cache in caches.values())
    if stay_on_disk(size, cache_mode):
        _log.info("%s: %.1f GB of decoded images stay on disk", builder.name, size / 1e9)
        return {split: cache.columns | cache.map_pixels() for split, cache in caches.items()}
    check_fits(
        f"the decoded dataset {builder.name}", size, measure_available_bytes(),
        f"set data.cache=none (it is {cache_mode}), which keeps it on disk, or lower data.image_size",
    )  # fmt: skip
    columns = {}
    for split, cache in caches.items():
        pixels = cache.load_pixels()
        if pixels is None:
            cache = _write_and_open_cache(cache.path, builder, split, framing)
            pixels = cache.load_pixels()
        if pixels is None:
            raise _unreadable(cache.path)
        columns[split] = cache.columns | pixels
    return columns


def _open_current_cache(path: pathlib.Path) -> DecodedCache | None:
    """Opens a cache; returns None if an earlier version, which measured less, has written it."""
    cache = open_cache(path)
    return cache if cache is not None and cache.columns.keys() >= _MEASURED else None


def _cache_paths(builder: ImageDatasetBuilder, framing: Framing) -> dict[str, pathlib.Path]:
    """Returns split -> folder of its cache, whose name changes with everything that changes a pixel."""
    folder = pathlib.Path(builder.data_dir) / "decoded"
    key = f"{builder.preparation['fingerprint']}-{framing.key}-v{decode.VERSION}"
    return {split: folder / f"{split}-{key}" for split in builder.info.splits}


def _write_and_open_cache(
    path: pathlib.Path, builder: ImageDatasetBuilder, split: str, framing: Framing
) -> DecodedCache:
    """Decodes a split into a new cache, in place of a damaged one."""
    discard_cache(path)
    write_cache(path, decode_split(builder, split, framing))
    cache = open_cache(path)
    if cache is None:
        raise _unreadable(path)
    return cache


def _unreadable(path: pathlib.Path) -> UserError:
    return UserError(
        f"{path} cannot be read although it was just written; check the disk, or name another folder with "
        "--config.data.dir=DIR"
    )


def _decode_into_memory(
    builder: ImageDatasetBuilder, framing: Framing, cache_mode: str
) -> dict[str, Arrays]:
    """Returns split -> columns without writing to disk."""
    limit = _MAX_MEMORY_SHARE * measure_memory_bytes() if cache_mode == "auto" else float("inf")
    return {
        split: join_arrays(_limit_bytes(decode_split(builder, split, framing), limit))
        for split in builder.info.splits
    }


def _limit_bytes(parts: Iterable[Arrays], limit: float) -> Iterator[Arrays]:
    """Yields the parts as long as their pixels together take no more than `limit` bytes.

    Raises:
        UserError: if they take more.
    """
    size = 0
    for part in parts:
        size += sum(part[name].nbytes for name in PIXELS)
        if size > limit:
            raise UserError(
                f"decoded images take more than {limit / 1e9:.1f} GB, which is too much for memory, and "
                "they cannot be kept on disk (see the warning above); name another folder with "
                "--config.data.dir=DIR"
            )
        yield part
