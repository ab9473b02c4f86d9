"""All images of a prepared dataset, decoded, before anybody has a role.

Names: `N` images, `H W` the square that the model sees, `C` channels.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, UInt8

from vae_jax.data import cache, decoded
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.framing import Framing
from vae_jax.data.image_store import Images, ImagesOnDisk, join_images, take
from vae_jax.errors import UserError


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


def read(builder: ImageDatasetBuilder, framing: Framing, keep: str) -> Table:
    """Returns all splits of prepared data; takes what `squares.read` takes.

    Raises:
        UserError: as that, or if tiles would leave gaps, or no image is left.
    """
    parts = [
        arrays | {"official_test": np.full(len(arrays["files"]), split == "test")}
        for split, arrays in decoded.read(builder, framing, keep).items()
        if len(arrays.get("files", ()))
    ]
    if not parts:
        raise UserError(
            f"no image is left with data.max_saturated={framing.max_saturated:g}: all have a larger "
            "share of near-white pixels; raise it"
        )
    whole = _together(parts)
    files = whole["files"].tolist()
    materials = [builder.parse_material(file) for file in files]
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


def _together(parts: Sequence[cache.Arrays]) -> dict[str, Any]:
    """Returns the arrays of all splits as one; pixels that stay on disk as `ImagesOnDisk`."""
    if not isinstance(parts[0]["images"], np.memmap):
        return cache.joined(parts)
    whole: dict[str, Any] = {
        name: np.concatenate([part[name] for part in parts])
        for name in parts[0]
        if name not in cache.PIXELS
    }
    whole["images"] = ImagesOnDisk.whole([part["images"] for part in parts])
    whole["masks"] = ImagesOnDisk.whole(
        [part["masks"] if part["masks"].size else _no_masks(part["images"]) for part in parts]
    )
    return whole


def _no_masks(images: Images) -> UInt8[np.ndarray, "N H W"]:
    """Returns empty masks, which take no memory."""
    return np.broadcast_to(np.uint8(0), images.shape[:3])


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
