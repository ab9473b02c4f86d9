"""Images with their labels, classes, masks and other columns, and the four roles of a dataset.

N images, H W image that the model sees, C channels.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int, Int32, UInt8

from vae_jax.data.image_store import Images, join_images
from vae_jax.data.intensity import EIGHT_BITS
from vae_jax.data.region import Region

NO_LABEL = -1  # label of an image that no role takes


def _make_empty_masks(examples: "Examples") -> UInt8[np.ndarray, "N H W"]:
    """Returns masks without an abnormal pixel; they take no memory."""
    return np.broadcast_to(np.uint8(0), examples.images.shape[:3])


def _make_eight_bit_levels(examples: "Examples") -> Float64[np.ndarray, "N 6"]:
    return np.tile(np.array(EIGHT_BITS, np.float64), (len(examples), 1))


def _make_all_false(examples: "Examples") -> Bool[np.ndarray, "N"]:
    return np.zeros(len(examples), bool)


def _make_no_regions(examples: "Examples") -> Int32[np.ndarray, "N 2"]:
    return np.zeros((len(examples), 2), np.int32)


def _make_unknown_materials(examples: "Examples") -> list[str]:
    return [""] * len(examples)


@dataclasses.dataclass(frozen=True)
class Examples:
    """Images, one row per image: all of a dataset, or those of one role.

    Every field is a column of N rows, or None where the dataset lacks this column. `take` and
    `join_examples` treat a column by its type, so a new column is declared here and nowhere else in this
    module. The metadata `fill` of an optional field makes the column for examples that lack it, where they
    are joined with examples that have it.

    Attributes:
        images: cropped and resized, decoded once; an array, or `ImagesOnDisk` where they stay on disk.
        labels: 0 normal, 1 anomaly, `NO_LABEL` for an image that no role takes. A role holds only 0 and 1.
        classes: class name of each image.
        files: path of each image, relative to the data folder.
        groups: patient, video or set of near-duplicates; images of one group never have different roles.
        stored_size: width (pixels), height (pixels) and size (bytes) of the stored file.
        stored_levels: lowest and highest value of the stored image, the range of its type, what the values
            are, and transparency (the columns in `intensity.py`); None where nothing is known about them.
        out_of_view: in which images the stored mask marks pixels, but none that the model sees.
        unmarked: which images are slices of a medical file whose mask marks nothing in them.
        mask_regions: number of regions that the stored mask marks in view, and how many of them have one
            pixel only because no region may be lost where the mask is resized; None where nothing is known.
        view_share: share of the area of the stored image that the model sees, in [0, 1].
        masks: 1 where a pixel is abnormal; None where the dataset has no masks.
        has_mask: which images have a mask; in a role with masks, a normal image counts as having an empty
            one.
        offsets: where along the longer side of the stored image the tile of a strip starts, pixels; None
            where images are not cut into tiles that are judged by themselves.
        boxes: left, top and side of a tile in its upright stored image, pixels; None where images are not
            cut into tiles that cover them. The tiles of one image share its file, class and group.
        materials: material of the object in each image; None where the dataset records no materials.
        official_test: which images belong to the official test split; None where there is no such split.
        grey: training images before they became black and white; None unless `data.binarise` is dynamic.
        observed: `observation.observed.ObservedImages`, what a model reads that does not explain pixels
            alone; None for other models. Of the training images it may hold augmented copies behind them.
    """

    images: UInt8[Images, "N H W C"]
    labels: Int32[np.ndarray, "N"]
    classes: list[str]
    files: list[str]
    groups: list[str]
    stored_size: Int32[np.ndarray, "N 3"]
    has_mask: Bool[np.ndarray, "N"]
    stored_levels: Float64[np.ndarray, "N 6"] | None = dataclasses.field(
        default=None, metadata={"fill": _make_eight_bit_levels}
    )
    out_of_view: Bool[np.ndarray, "N"] | None = dataclasses.field(
        default=None, metadata={"fill": _make_all_false}
    )
    unmarked: Bool[np.ndarray, "N"] | None = dataclasses.field(
        default=None, metadata={"fill": _make_all_false}
    )
    mask_regions: Int32[np.ndarray, "N 2"] | None = dataclasses.field(
        default=None, metadata={"fill": _make_no_regions}
    )
    view_share: Float64[np.ndarray, "N"] | None = None
    masks: UInt8[Images, "N H W"] | None = dataclasses.field(
        default=None, metadata={"fill": _make_empty_masks}
    )
    offsets: Int32[np.ndarray, "N"] | None = None
    boxes: Int32[np.ndarray, "N 3"] | None = None
    materials: list[str] | None = dataclasses.field(
        default=None, metadata={"fill": _make_unknown_materials}
    )
    official_test: Bool[np.ndarray, "N"] | None = None
    grey: Images | None = None
    observed: Any = None

    def __len__(self) -> int:
        return len(self.files)

    @property
    def names(self) -> list[str]:
        """Unique name of each image: its file, followed by `@` and the place where it is a tile."""
        if self.boxes is not None:
            places = self.boxes[:, :2].tolist()
            return [f"{file}@{x},{y}" for file, (x, y) in zip(self.files, places, strict=True)]
        if self.offsets is None:
            return self.files
        return [f"{file}@{offset}" for file, offset in zip(self.files, self.offsets, strict=True)]

    def take(self, rows: Int[np.ndarray, "M"]) -> "Examples":
        """Returns the examples of some rows, in the order of `rows`; images on disk are not read."""
        columns = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return Examples(**{name: _take_rows(column, rows) for name, column in columns.items()})


def _take_rows(column: Any, rows: Int[np.ndarray, "M"]) -> Any:
    if column is None:
        return None
    if isinstance(column, list):
        return [column[row] for row in rows]
    return column[rows] if isinstance(column, np.ndarray) else column.take(rows)


def join_examples(parts: Sequence[Examples]) -> Examples:
    """Returns the examples of all parts, one part after the other; images on disk are not read.

    Raises:
        ValueError: if some of the parts lack a column that cannot be filled.
    """
    if len(parts) == 1:
        return parts[0]
    return Examples(
        **{field.name: _join_column(field, parts) for field in dataclasses.fields(Examples)}
    )


def _join_column(field: dataclasses.Field, parts: Sequence[Examples]) -> Any:
    columns = [getattr(part, field.name) for part in parts]
    if all(column is None for column in columns):
        return None
    if any(column is None for column in columns):
        if "fill" not in field.metadata:
            raise ValueError(
                f"only some of the examples to join have {field.name}; all or none of them must have it"
            )
        fill = field.metadata["fill"]
        columns = [
            fill(part) if column is None else column
            for part, column in zip(parts, columns, strict=True)
        ]
    if isinstance(columns[0], list):
        return [value for column in columns for value in column]
    return join_images(columns)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A dataset whose images have their roles.

    Attributes:
        name: `data.dataset` of the config.
        fingerprint: hexadecimal hash that changes when the stored images change.
        image_size: H and W, pixels.
        channels: C, 1 grey or 3 RGB.
        train: normal images to train on.
        val: normal images for early stopping and for the scale of each score.
        calibration: normal images for thresholds and p-values.
        test: normal and abnormal images that are used by the evaluation alone.
        region: pixels that count; None where all pixels count.
        split: what the split into roles left out or kept together; None where this is unknown.
        preprocessing: `data.preprocessing.Preprocessing`, which made the images from stored files; None for
            images that were made in memory.
        observers: `FittedObserver`s that observed the images; () where a model reads pixels alone.
    """

    name: str
    fingerprint: str
    image_size: int
    channels: int
    train: Examples
    val: Examples
    calibration: Examples
    test: Examples
    region: Region | None = None
    split: Any = None
    preprocessing: Any = None
    observers: Any = ()
