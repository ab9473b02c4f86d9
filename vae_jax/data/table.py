"""All images of a prepared dataset, decoded, before anybody has a role.

Names: `N` images, `H W` the square that the model sees, `C` channels.
"""

import concurrent.futures
import contextlib
import dataclasses
import logging
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Bool, Int32, UInt8

from vae_jax.data import cache, decode
from vae_jax.data.builders.records import ImageRecords
from vae_jax.data.framing import Framing, cut
from vae_jax.data.stored import Images, Stored, join_images, machine_memory_bytes, take
from vae_jax.errors import UserError
from vae_jax.progress import progress

_CHUNK = 64  # records that a thread decodes in one go
_SMALL_BYTES = 4096  # mean size of a record
_MEMORY_SHARE = 1 / 3  # of the machine's memory, that images may take

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Table:
    """All images of a dataset.

    `official_test` is None where it has no such split, `offsets` where images are not cut into tiles,
    `materials` where the dataset knows of none.
    """

    images: UInt8[Images, "N H W C"]
    masks: UInt8[Images, "N H W"] | None
    has_mask: Bool[np.ndarray, "N"]
    stored_size: Int32[np.ndarray, "N 3"]
    classes: list[str]
    files: list[str]
    groups: list[str]
    official_test: Bool[np.ndarray, "N"] | None
    offsets: Int32[np.ndarray, "N"] | None = None
    materials: list[str] | None = None


def read(builder: ImageRecords, framing: Framing, keep: str = "auto") -> Table:
    """Decodes all splits of prepared data, or finds that done beside the records.

    Args:
        builder: of the prepared data.
        framing: what of each stored image is seen.
        keep: `data.cache`. Under "none" pixels stay on disk, under "auto" where they would take more
            than a third of the machine's memory.

    Raises:
        UserError: if the prepared data is damaged, tiles would leave gaps, no image is left, or images
            are to stay on a disk that cannot be written.
    """
    try:
        decoded = _through_cache(builder, framing, keep)
    except OSError as error:
        if keep == "none":
            raise UserError(
                f"data.cache=none keeps decoded images on disk, and {builder.data_dir} cannot be written "
                f"({error.strerror or error}); name another place with --config.data.dir=DIR"
            ) from error
        _log.warning("decoded images are not kept for the next start: %s", error)
        decoded = {
            split: cache.joined(_decode(builder, split, framing)) for split in builder.info.splits
        }
    parts = [
        arrays | {"official_test": np.full(len(arrays["files"]), split == "test")}
        for split, arrays in decoded.items()
        if len(arrays.get("files", ()))
    ]
    if not parts:
        raise UserError(
            f"no image is left with data.max_saturated={framing.max_saturated:g}: all have a larger "
            "share of near-white pixels; raise it"
        )
    whole = _together(parts)
    files = whole["files"].tolist()
    materials = [builder.material(file) for file in files]
    return Table(
        images=whole["images"],
        masks=whole["masks"] if whole["has_mask"].any() else None,
        has_mask=whole["has_mask"],
        stored_size=whole["stored_size"],
        classes=whole["classes"].tolist(),
        files=files,
        groups=whole["groups"].tolist(),
        official_test=whole["official_test"] if whole["official_test"].any() else None,
        offsets=whole["offsets"] if framing.tile_stride else None,
        materials=materials if any(materials) else None,
    )


def _through_cache(
    builder: ImageRecords, framing: Framing, keep: str
) -> dict[str, dict[str, np.ndarray]]:
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


def _together(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, Any]:
    """Returns the arrays of all splits as one; pixels that stay on disk as `Stored`."""
    if not isinstance(parts[0]["images"], np.memmap):
        return cache.joined(parts)
    whole: dict[str, Any] = {
        name: np.concatenate([part[name] for part in parts])
        for name in parts[0]
        if name not in cache.PIXELS
    }
    whole["images"] = Stored.whole([part["images"] for part in parts])
    whole["masks"] = Stored.whole(
        [part["masks"] if part["masks"].size else _no_masks(part["images"]) for part in parts]
    )
    return whole


def _no_masks(images: Images) -> UInt8[np.ndarray, "N H W"]:
    """Returns empty masks, which take no memory."""
    return np.broadcast_to(np.uint8(0), images.shape[:3])


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


def anomalies_of(other: Table, classes: tuple[str, ...], dataset: str) -> Table:
    """Keeps the test split and the wanted classes of the dataset that is the anomaly, named after it.

    Raises:
        UserError: if no image is left.
    """
    keep = np.ones(len(other.files), bool) if other.official_test is None else other.official_test
    if classes:
        keep = keep & np.isin(other.classes, classes)
    chosen = np.flatnonzero(keep)
    if not len(chosen):
        raise UserError(f"{dataset} has no image of data.anomaly_classes={','.join(classes)}")
    return Table(
        images=take(other.images, chosen),
        masks=None if other.masks is None else take(other.masks, chosen),
        has_mask=other.has_mask[chosen],
        stored_size=other.stored_size[chosen],
        # Both datasets may have a class 3.
        classes=[f"{dataset}/{other.classes[i]}" for i in chosen],
        files=[f"{dataset}/{other.files[i]}" for i in chosen],
        groups=[f"{dataset}/{other.groups[i]}" for i in chosen],
        official_test=None,
        offsets=None if other.offsets is None else other.offsets[chosen],
        materials=None if other.materials is None else [other.materials[i] for i in chosen],
    )


def join(table: Table, anomalies: Table) -> Table:
    """Appends the images of another dataset, all of them for the test split."""
    masks = [
        part.masks if part.masks is not None else _no_masks(part.images)
        for part in (table, anomalies)
    ]
    official = table.official_test
    if official is not None:
        official = np.concatenate([official, np.ones(len(anomalies.files), bool)])
    materials = [part.materials or [""] * len(part.files) for part in (table, anomalies)]
    return Table(
        images=join_images([table.images, anomalies.images]),
        masks=join_images(masks)
        if table.masks is not None or anomalies.masks is not None
        else None,
        has_mask=np.concatenate([table.has_mask, anomalies.has_mask]),
        stored_size=np.concatenate([table.stored_size, anomalies.stored_size]),
        classes=table.classes + anomalies.classes,
        files=table.files + anomalies.files,
        groups=table.groups + anomalies.groups,
        official_test=official,
        # Both are cut by the same framing.
        offsets=None
        if table.offsets is None
        else np.concatenate([table.offsets, anomalies.offsets]),
        materials=materials[0] + materials[1] if any(map(any, materials)) else None,
    )
