"""Prepared records -> columns of the crops that the model sees."""

import concurrent.futures
import contextlib
import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.crops import cut_crops, read_visible_values
from vae_jax.data.decoded_cache import Arrays
from vae_jax.data.framing import Framing
from vae_jax.data.intensity import Histogram, Intensity
from vae_jax.data.medical import is_slice
from vae_jax.data.region import Region
from vae_jax.errors import UserError
from vae_jax.runtime.progress import open_progress_bar

# Limits of the records that a thread decodes in one call: their number, and the bytes of their pixels.
_MAX_CHUNK, _MAX_CHUNK_BYTES = 64, 2**24
_SMALL_BYTES = 4096  # mean size of an encoded image up to which one thread is faster than several

_log = logging.getLogger(__name__)


def decode_split(builder: ImageDatasetBuilder, split: str, framing: Framing) -> Iterator[Arrays]:
    """Decodes the records of a split on all cores, and yields the columns of each record in turn.

    Args:
        builder: builder of the prepared data.
        split: name of a split of the builder.
        framing: which parts of a stored image the model sees.

    Yields:
        Name of a column -> one row per crop of the record: `images`, `masks` (of size 0 if the record has
        none), `has_mask`, `out_of_view`, `unmarked`, `mask_regions`, `stored_size`, `stored_levels`,
        `classes`, `files`, `groups`, and of tiles `offsets` (strips) or `boxes`. Text is fixed-width
        unicode, so that no file needs pickle.

    Raises:
        UserError: if the prepared data is damaged, an image cannot be cut into tiles, or it does not fit
            into memory at the size of the config.
    """
    encoded = {name: tfds.decode.SkipDecoding() for name in ("image", "mask")}
    source = builder.as_data_source(split, decoders=encoded)
    num_records = len(source)

    def decode_chunk(indices: Sequence[int]) -> list[Arrays]:
        records = source.__getitems__(indices)
        return [decode_record(record, framing, builder.CLEAN_TILES) for record in records]

    # Small images are decoded while the interpreter's lock is held, where threads only wait for each other.
    record_bytes = builder.info.splits[split].num_bytes / max(num_records, 1)
    num_threads = os.cpu_count() if record_bytes > _SMALL_BYTES else 1
    image_bytes = framing.image_size**2 * framing.channels
    # The number of tiles that cover an image is unknown until it is read.
    limit = 1 if framing.covers_image else _MAX_CHUNK
    chunk_size = max(1, min(limit, _MAX_CHUNK_BYTES // image_bytes))
    description = f"decoding {builder.name} {split}"
    try:
        with (
            contextlib.closing(open_progress_bar(num_records, description, "image")) as bar,
            concurrent.futures.ThreadPoolExecutor(num_threads) as pool,
        ):
            # `map` starts all of its calls at once. A window of two chunks per thread bounds how many
            # decoded records wait in memory until they are written.
            for window in _cut_range(range(num_records), 2 * num_threads * chunk_size):
                for columns in pool.map(decode_chunk, _cut_range(window, chunk_size)):
                    yield from columns
                    bar.update(len(columns))
    except UserError:
        raise
    except MemoryError as error:  # the records are not to blame
        raise UserError(
            f"{builder.name} {split}: an image of {framing.image_size}x{framing.image_size} pixels does "
            f"not fit into memory; lower data.image_size (it is {framing.image_size})"
        ) from error
    except Exception as error:
        # Every image was readable when it was prepared, so the records are damaged.
        raise UserError(
            f"prepared data in {builder.data_dir} is damaged ({' '.join(str(error).split())}); "
            "delete that folder, and it will be prepared again"
        ) from error


def fit_window(
    builder: ImageDatasetBuilder,
    files: Collection[str],
    framing: Framing,
    region: Region | None = None,
) -> Intensity:
    """Returns the window between two percentiles of the stored values of some images.

    Every start reads the stored files of these images again, because the decoded images that are kept have
    grey levels only.

    Args:
        builder: builder of the prepared data.
        files: files of the training images.
        framing: which parts of the images count; its intensity holds the percentiles.
        region: pixels that count in the square that the model sees; None where all of them do.

    Raises:
        UserError: if both percentiles are the same value.
    """
    histogram = Histogram()
    encoded = {name: tfds.decode.SkipDecoding() for name in ("image", "mask")}
    for split in builder.info.splits:
        for record in builder.as_data_source(split, decoders=encoded):
            if record["file"].decode() in files:
                histogram.add(read_visible_values(record["image"], framing, region))
    return histogram.find_window(framing.intensity)


def _cut_range(indices: range, size: int) -> Iterator[range]:
    return (indices[start : start + size] for start in range(0, len(indices), size))


def decode_record(
    record: Mapping[str, Any], framing: Framing, clean_tiles: Mapping[str, str]
) -> Arrays:
    """Returns the columns of the crops of one record; see `decode_split`.

    If only a mask can show which tiles are abnormal and the record has no mask, no crop is returned.
    """
    class_name, file, group = (record[name].decode() for name in ("class", "file", "group"))
    class_depends_on_mask = framing.cuts_strips and class_name in clean_tiles
    has_mask = bool(record["has_mask"])
    crops = cut_crops(record["image"], record["mask"] if has_mask else None, framing)
    if class_depends_on_mask and not has_mask:
        _log.warning(
            "%s is not used: it has no mask, so it is unknown which of its tiles are abnormal", file
        )
        crops = crops.drop_all()
    num_crops = len(crops.boxes)
    classes = np.full(num_crops, class_name)
    if class_depends_on_mask:
        classes = np.where(crops.has_defect, class_name, clean_tiles[class_name])
    is_unmarked = has_mask and not crops.has_defect.any() and not crops.is_out_of_view
    is_unmarked = is_unmarked and is_slice(file)
    stored_size = np.array([record["width"], record["height"], record["bytes"]], np.int32)
    columns = {
        "images": crops.images,
        "masks": np.zeros((num_crops, 0, 0), np.uint8) if crops.masks is None else crops.masks,
        "has_mask": np.full(num_crops, has_mask),
        "out_of_view": np.full(num_crops, crops.is_out_of_view),
        "unmarked": np.full(num_crops, is_unmarked),
        "mask_regions": crops.mask_regions,
        "stored_size": np.tile(stored_size, (num_crops, 1)),
        "stored_levels": np.tile(crops.stored_levels, (num_crops, 1)),
        "classes": classes,
        "files": np.full(num_crops, file),
        "groups": np.full(num_crops, group),
    }
    if framing.covers_image:
        return columns | {"boxes": crops.boxes}
    return columns | ({"offsets": crops.offsets} if framing.cuts_strips else {})
