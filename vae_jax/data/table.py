"""All images of a prepared dataset, decoded, before anybody has a role.

Names: `N` images, `H W` the square that the model sees, `C` channels.
"""

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Bool, Int32, UInt8

from vae_jax.data import cache, decode
from vae_jax.data.builders.records import ImageRecords
from vae_jax.errors import UserError
from vae_jax.progress import progress

_CHUNK = 64  # records that a thread decodes in one go
_SMALL_BYTES = 4096  # mean size of a record


@dataclasses.dataclass(frozen=True)
class Table:
    """All images of a dataset; `official_test` is None where it has no such split."""

    images: UInt8[np.ndarray, "N H W C"]
    masks: UInt8[np.ndarray, "N H W"] | None
    has_mask: Bool[np.ndarray, "N"]
    stored_size: Int32[np.ndarray, "N 3"]
    classes: list[str]
    files: list[str]
    groups: list[str]
    official_test: Bool[np.ndarray, "N"] | None


def read(builder: ImageRecords, image_size: int, channels: int, crop: float) -> Table:
    """Decodes all splits of prepared data, or finds that done beside the records.

    Raises:
        UserError: if the prepared data is damaged.
    """
    parts = []
    for split in builder.info.splits:
        name = (
            f"{split}-{builder.preparation['fingerprint']}-{image_size}px-{channels}c-"
            f"crop{crop:g}-v{decode.VERSION}.npz"
        )
        path = pathlib.Path(builder.data_dir) / "decoded" / name
        arrays = cache.read(path)
        if arrays is None:
            arrays = _decode(builder, split, image_size, channels, crop)
            cache.write(path, arrays)
        parts.append(arrays | {"official_test": np.full(len(arrays["files"]), split == "test")})
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Table(
        images=whole["images"],
        masks=whole["masks"] if whole["has_mask"].any() else None,
        has_mask=whole["has_mask"],
        stored_size=whole["stored_size"],
        classes=whole["classes"].tolist(),
        files=whole["files"].tolist(),
        groups=whole["groups"].tolist(),
        official_test=whole["official_test"] if whole["official_test"].any() else None,
    )


def _decode(
    builder: ImageRecords, split: str, image_size: int, channels: int, crop: float
) -> dict[str, np.ndarray]:
    """Returns the arrays of one split, as they are cached; text as fixed-width unicode, never pickled."""
    encoded = {name: tfds.decode.SkipDecoding() for name in ("image", "mask")}
    source = builder.as_data_source(split, decoders=encoded)
    num = len(source)
    images = np.empty((num, image_size, image_size, channels), np.uint8)
    masks = np.zeros((num, image_size, image_size), np.uint8)
    has_mask = np.zeros(num, np.bool_)
    stored_size = np.empty((num, 3), np.int32)

    def decode_chunk(indices: Sequence[int]) -> list[tuple[str, str, str]]:
        text = []
        for i, record in zip(indices, source.__getitems__(indices), strict=True):
            images[i] = decode.pixels(record["image"], image_size, channels, crop)
            has_mask[i] = record["has_mask"]
            if has_mask[i]:
                masks[i] = decode.mask(record["mask"], image_size, crop)
            stored_size[i] = record["width"], record["height"], record["bytes"]
            text.append(tuple(record[name].decode() for name in ("class", "file", "group")))
        return text

    chunks = [list(range(num))[start : start + _CHUNK] for start in range(0, num, _CHUNK)]
    # Small images are decoded within the interpreter's lock, where threads only stand in each other's way.
    size = builder.info.splits[split].num_bytes / max(num, 1)
    threads = os.cpu_count() if size > _SMALL_BYTES else 1
    text: list[tuple[str, str, str]] = []
    try:
        with (
            contextlib.closing(progress(num, f"decoding {builder.name} {split}", "image")) as bar,
            concurrent.futures.ThreadPoolExecutor(threads) as pool,
        ):
            for decoded in pool.map(decode_chunk, chunks):
                text += decoded
                bar.update(len(decoded))
    except Exception as error:  # all was readable when it was prepared: the records are damaged
        raise UserError(
            f"prepared data in {builder.data_dir} is damaged ({' '.join(str(error).split())}); "
            "delete that folder, it will be prepared again"
        ) from error
    classes, files, groups = (np.array(column) for column in zip(*text, strict=True))
    return {
        "images": images,
        "masks": masks if has_mask.any() else masks[:, :0, :0],
        "has_mask": has_mask,
        "stored_size": stored_size,
        "classes": classes,
        "files": files,
        "groups": groups,
    }


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
        images=other.images[chosen],
        masks=None if other.masks is None else other.masks[chosen],
        has_mask=other.has_mask[chosen],
        stored_size=other.stored_size[chosen],
        # Both datasets may have a class 3.
        classes=[f"{dataset}/{other.classes[i]}" for i in chosen],
        files=[f"{dataset}/{other.files[i]}" for i in chosen],
        groups=[f"{dataset}/{other.groups[i]}" for i in chosen],
        official_test=None,
    )


def join(table: Table, anomalies: Table) -> Table:
    """Appends the images of another dataset, all of them for the test split."""
    masks = [
        part.masks if part.masks is not None else np.zeros(part.images.shape[:3], np.uint8)
        for part in (table, anomalies)
    ]
    official = table.official_test
    if official is not None:
        official = np.concatenate([official, np.ones(len(anomalies.files), bool)])
    return Table(
        images=np.concatenate([table.images, anomalies.images]),
        masks=np.concatenate(masks)
        if table.masks is not None or anomalies.masks is not None
        else None,
        has_mask=np.concatenate([table.has_mask, anomalies.has_mask]),
        stored_size=np.concatenate([table.stored_size, anomalies.stored_size]),
        classes=table.classes + anomalies.classes,
        files=table.files + anomalies.files,
        groups=table.groups + anomalies.groups,
        official_test=official,
    )
