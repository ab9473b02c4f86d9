"""Prepared data -> decoded uint8 images with a role each.

Names: `N` images of a role, `H W` the square that the model sees, `C` channels.
"""

import collections
import dataclasses
import hashlib
import logging
from typing import Any

import ml_collections
import numpy as np
from jaxtyping import Bool, Int, Int32, UInt8

from vae_jax.data import class_roles, material_contrast, splits, table
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.framing import Framing
from vae_jax.data.image_store import Images, take, within
from vae_jax.data.prepare import prepare_dataset
from vae_jax.data.region import Region, load_region

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Examples:
    """One role.

    Attributes:
        images: cropped and resized, decoded once; an array, or `ImagesOnDisk` where they stay on disk.
        labels: 0 normal, 1 anomaly.
        classes: class name of each image.
        files: path of each image, relative to the data folder.
        groups: patient, video or near-duplicate; never across roles.
        stored_size: width, height (pixels) and bytes of the stored file, a trivial baseline.
        masks: 1 where abnormal; None where the dataset has no masks.
        has_mask: which images have a mask; a normal has an empty one.
        offsets: where along the longer side of the stored image a tile starts, pixels; None where images
            are not cut into tiles.
        materials: what the object in each image is made of; None where the dataset knows of none.
    """

    images: UInt8[Images, "N H W C"]
    labels: Int32[np.ndarray, "N"]
    classes: list[str]
    files: list[str]
    groups: list[str]
    stored_size: Int32[np.ndarray, "N 3"]
    masks: UInt8[Images, "N H W"] | None
    has_mask: Bool[np.ndarray, "N"]
    offsets: Int32[np.ndarray, "N"] | None = None
    materials: list[str] | None = None

    @property
    def names(self) -> list[str]:
        """A name for each image: its file, and where it is a tile also where that starts."""
        if self.offsets is None:
            return self.files
        return [f"{file}@{offset}" for file, offset in zip(self.files, self.offsets, strict=True)]

    def take(self, rows: Int[np.ndarray, "M"]) -> "Examples":
        """Returns some of the images, in the order of `rows`."""

        def chosen(values: Any) -> Any:
            if values is None:
                return None
            if isinstance(values, list):
                return [values[row] for row in rows]
            return take(values, rows)

        return Examples(*(chosen(getattr(self, f.name)) for f in dataclasses.fields(self)))


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
    region: Region | None = None


def prepare_all(data: ml_collections.ConfigDict) -> None:
    """Prepares what the `data` group names; imports no JAX, and checks names before any image is read.

    Raises:
        UserError: as `load`.
    """
    class_roles.choose_class_roles(data)
    _prepare(data, data.dataset, data.manual_dir)
    if data.anomaly_dataset:
        _prepare(data, data.anomaly_dataset, data.anomaly_manual_dir)


def load(data: ml_collections.ConfigDict, seed: int) -> Dataset:
    """Prepares what is not prepared, decodes what is not decoded, and gives each image its role.

    Args:
        data: the `data` group of the configuration.
        seed: of the split.

    Raises:
        UserError: if data is missing or damaged, a class does not exist, a role stays empty, or the data
            cannot be cut or normalised as asked.
    """
    normal, anomaly = class_roles.choose_class_roles(data)
    framing = Framing.of(data)
    region = load_region(data)

    builder = _prepare(data, data.dataset, data.manual_dir)
    whole = table.read(builder, framing, data.cache)
    fingerprint = builder.preparation["fingerprint"]
    if data.anomaly_dataset:
        other_builder = _prepare(data, data.anomaly_dataset, data.anomaly_manual_dir)
        other = table.read(other_builder, framing, data.cache)
        other = table.anomalies_of(other, anomaly, data.anomaly_dataset)
        labels = splits.label(whole.classes, normal, (), data.dataset)
        labels[labels == 1] = -1  # the anomaly is the other dataset
        whole = table.join(whole, other)
        labels = np.concatenate([labels, np.ones(len(other.files), labels.dtype)])
        both = fingerprint + other_builder.preparation["fingerprint"]
        fingerprint = hashlib.sha256(both.encode()).hexdigest()[:16]
    else:
        labels = splits.label(whole.classes, normal, anomaly, data.dataset)
    if builder.CLASSES is None:
        _tell(whole, labels, data)

    fractions = splits.Fractions(data.val_fraction, data.calibration_fraction, data.test_fraction)
    test_only = np.isin(whole.classes, list(builder.CLEAN_TILES.values()))
    roles = splits.assign(labels, whole.groups, whole.official_test, fractions, seed, test_only)
    if data.normalise == "material":
        whole = material_contrast.by_material(whole, roles["train"], data.dataset)
    if data.balanced_test:
        roles["test"] = splits.balance(roles["test"], labels, whole.files, seed)
    return Dataset(
        name=data.dataset,
        fingerprint=fingerprint,
        image_size=data.image_size,
        channels=data.channels,
        region=region,
        **{role: _examples(whole, labels, indices, region) for role, indices in roles.items()},
    )


def _tell(
    whole: table.Table, labels: Int[np.ndarray, "N"], data: ml_collections.ConfigDict
) -> None:
    """Logs what was made of the user's own images: what each class is taken for, and what is not seen."""
    for value, kind in ((0, "normal"), (1, "abnormal"), (-1, "left out")):
        counts = collections.Counter(np.array(whole.classes)[labels == value].tolist())
        if counts:
            listed = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
            _log.info("%s: %s: %s", data.dataset, kind, listed)
    short, long = np.sort(whole.stored_size[:, :2]).T
    if (short < long).any():
        _log.info(
            "%s: %d of %d images are not square; seen is the centre, of longer sides %.0f %% on average",
            data.dataset, (short < long).sum(), len(short), 100 * np.mean(data.crop * short / long),
        )  # fmt: skip


def _prepare(data: ml_collections.ConfigDict, dataset: str, manual_dir: str) -> ImageDatasetBuilder:
    return prepare_dataset(dataset, manual_dir, data.dir, data.skip_corrupt)


def _examples(
    whole: table.Table,
    labels: Int[np.ndarray, "N"],
    indices: Int[np.ndarray, "M"],
    region: Region | None,
) -> Examples:
    """Returns the images of a role, black outside the region of interest, so that nothing sees further."""
    chosen = labels[indices].astype(np.int32)
    images = take(whole.images, indices)
    masks = None if whole.masks is None else take(whole.masks, indices)
    if region is not None:
        images = within(images, region.mask)
        masks = None if masks is None else within(masks, region.mask)
    return Examples(
        images=images,
        labels=chosen,
        classes=[whole.classes[i] for i in indices],
        files=[whole.files[i] for i in indices],
        groups=[whole.groups[i] for i in indices],
        stored_size=whole.stored_size[indices],
        masks=masks,
        has_mask=whole.has_mask[indices] | ((chosen == 0) & (masks is not None)),
        offsets=None if whole.offsets is None else whole.offsets[indices],
        materials=None if whole.materials is None else [whole.materials[i] for i in indices],
    )
