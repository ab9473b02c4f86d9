"""Prepared data -> decoded uint8 images with a role each.

Names: `N` images of a role, `H W` the square that the model sees, `C` channels.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Sequence

import ml_collections
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Bool, Int, Int32, UInt8

from vae_jax.data import cache, decode, splits
from vae_jax.data.builders.records import ImageRecords
from vae_jax.data.prepare import BUILDERS, prepare
from vae_jax.errors import UserError
from vae_jax.progress import progress

_CHUNK = 64  # records that a thread decodes in one go
_SMALL_BYTES = 4096  # mean size of a record


@dataclasses.dataclass(frozen=True)
class Examples:
    """One role, in host memory.

    Attributes:
        images: cropped and resized, decoded once.
        labels: 0 normal, 1 anomaly.
        classes: class name of each image.
        files: path of each image, relative to the data folder.
        groups: patient, video or near-duplicate; never across roles.
        stored_size: width, height (pixels) and bytes of the stored file, a trivial baseline.
        masks: 1 where abnormal; None where the dataset has no masks.
        has_mask: which images have a mask; a normal has an empty one.
    """

    images: UInt8[np.ndarray, "N H W C"]
    labels: Int32[np.ndarray, "N"]
    classes: list[str]
    files: list[str]
    groups: list[str]
    stored_size: Int32[np.ndarray, "N 3"]
    masks: UInt8[np.ndarray, "N H W"] | None
    has_mask: Bool[np.ndarray, "N"]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A dataset under one anomaly protocol; `fingerprint` changes when the stored images do."""

    name: str
    fingerprint: str
    image_size: int
    channels: int
    train: Examples
    val: Examples
    calibration: Examples
    test: Examples


@dataclasses.dataclass(frozen=True)
class _Table:
    """All images of a dataset, before anybody has a role; official_test is None without such a split."""

    images: UInt8[np.ndarray, "N H W C"]
    masks: UInt8[np.ndarray, "N H W"] | None
    has_mask: Bool[np.ndarray, "N"]
    stored_size: Int32[np.ndarray, "N 3"]
    classes: list[str]
    files: list[str]
    groups: list[str]
    official_test: Bool[np.ndarray, "N"] | None


def load(data: ml_collections.ConfigDict, seed: int) -> Dataset:
    """Prepares what is not prepared, decodes what is not decoded, and gives each image its role.

    Args:
        data: the `data` group of the configuration.
        seed: of the split.

    Raises:
        UserError: if data is missing or damaged, a class does not exist, or a role stays empty.
    """
    wanted_normal = splits.class_names(data.normal_classes)
    wanted_anomaly = splits.class_names(data.anomaly_classes)
    # Before anything slow, so that a slip of the pen is answered at once.
    normal = _known(data.dataset, wanted_normal)
    anomaly = _known(data.anomaly_dataset or data.dataset, wanted_anomaly)

    builder = _prepare(data, data.dataset, data.manual_dir)
    table = _read(builder, data.image_size, data.channels, data.crop)
    fingerprint = builder.preparation["fingerprint"]
    if data.anomaly_dataset:
        other_builder = _prepare(data, data.anomaly_dataset, data.anomaly_manual_dir)
        other = _read(other_builder, data.image_size, data.channels, data.crop)
        other = _anomalies_of(other, anomaly, data.anomaly_dataset)
        labels = splits.label(table.classes, normal, (), data.dataset)
        labels[labels == 1] = -1  # the anomaly is the other dataset
        table = _join(table, other)
        labels = np.concatenate([labels, np.ones(len(other.files), labels.dtype)])
        both = fingerprint + other_builder.preparation["fingerprint"]
        fingerprint = hashlib.sha256(both.encode()).hexdigest()[:16]
    else:
        labels = splits.label(table.classes, normal, anomaly, data.dataset)

    fractions = splits.Fractions(data.val_fraction, data.calibration_fraction, data.test_fraction)
    roles = splits.assign(labels, table.groups, table.official_test, fractions, seed)
    if data.balanced_test:
        roles["test"] = splits.balance(roles["test"], labels, table.files, seed)
    return Dataset(
        name=data.dataset,
        fingerprint=fingerprint,
        image_size=data.image_size,
        channels=data.channels,
        **{role: _examples(table, labels, indices) for role, indices in roles.items()},
    )


def _known(dataset: str, names: tuple[str, ...]) -> tuple[str, ...]:
    cls = BUILDERS[dataset]
    return splits.canonical(names, cls.CLASSES, cls.ALIASES, dataset)


def _prepare(data: ml_collections.ConfigDict, dataset: str, manual_dir: str) -> ImageRecords:
    return prepare(dataset, manual_dir, data.dir, data.skip_corrupt)


def _examples(
    table: _Table, labels: Int[np.ndarray, "N"], indices: Int[np.ndarray, "M"]
) -> Examples:
    chosen = labels[indices].astype(np.int32)
    masks = None if table.masks is None else table.masks[indices]
    return Examples(
        images=table.images[indices],
        labels=chosen,
        classes=[table.classes[i] for i in indices],
        files=[table.files[i] for i in indices],
        groups=[table.groups[i] for i in indices],
        stored_size=table.stored_size[indices],
        masks=masks,
        has_mask=table.has_mask[indices] | ((chosen == 0) & (masks is not None)),
    )


def _read(builder: ImageRecords, image_size: int, channels: int, crop: float) -> _Table:
    """Decodes all splits of prepared data, or finds that done."""
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
    return _Table(
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


def _anomalies_of(other: _Table, classes: tuple[str, ...], dataset: str) -> _Table:
    """Keeps the test split and the wanted classes of the dataset that is the anomaly, named after it."""
    keep = np.ones(len(other.files), bool) if other.official_test is None else other.official_test
    if classes:
        keep = keep & np.isin(other.classes, classes)
    chosen = np.flatnonzero(keep)
    if not len(chosen):
        raise UserError(f"{dataset} has no image of data.anomaly_classes={','.join(classes)}")
    return _Table(
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


def _join(table: _Table, anomalies: _Table) -> _Table:
    """Appends the images of another dataset, all of them for the test split."""
    masks = [
        part.masks if part.masks is not None else np.zeros(part.images.shape[:3], np.uint8)
        for part in (table, anomalies)
    ]
    official = table.official_test
    if official is not None:
        official = np.concatenate([official, np.ones(len(anomalies.files), bool)])
    return _Table(
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
