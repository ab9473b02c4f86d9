"""Which images a dataset consists of, with their classes, groups and masks; nothing is decoded here.

Whatever would stop a run at this point becomes a finding. The folder is then listed by its names alone, so
that the images in it can be audited nevertheless.

N images.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

import ml_collections
import numpy as np
from jaxtyping import Bool

from vae_jax.audit.findings import Finding, make_refusal
from vae_jax.data.builders import groups, layout, mask_names
from vae_jax.data.builders.base import ImageDatasetBuilder, SourceConfig
from vae_jax.data.builders.image_suffixes import is_image
from vae_jax.data.builders.reading import SourceImage
from vae_jax.data.prepare import (
    BUILDERS,
    download_source,
    list_manual_files,
    locate_prepared_data,
)
from vae_jax.data.quiet_tfds import open_builder
from vae_jax.data.region import DATASET_FILE
from vae_jax.errors import UserError
from vae_jax.workdir import MARKER_FILE


@dataclasses.dataclass(frozen=True)
class Inventory:
    """The images of one dataset, before they are read.

    Attributes:
        sources: the images.
        official_test: which of them belong to the official test split; None if there is no such split.
        files: every file that the dataset uses, for images, masks, labels and groups.
        num_masks: number of files of masks.
        unmatched_masks: names of the masks that belong to no image.
        builder: the builder of the dataset.
        findings: what would stop a run.
    """

    sources: list[SourceImage]
    official_test: Bool[np.ndarray, "N"] | None
    files: set[str]
    num_masks: int
    unmatched_masks: list[str]
    builder: ImageDatasetBuilder
    findings: list[Finding]


def take_inventory(
    data_config: ml_collections.ConfigDict, dataset: str, manual_dir: str
) -> Inventory:
    """Lists the images of a dataset.

    Args:
        data_config: the `data` group of the config.
        dataset: one of BUILDERS.
        manual_dir: the folder with its files; "" downloads them where that is possible.

    Raises:
        UserError: if there is no such folder, this program has written it, it contains no image, or the
            files cannot be downloaded.
    """
    root = locate_prepared_data(data_config.dir)
    config = SourceConfig(
        name="audit",
        mask_like_images=data_config.mask_like_images,
        mask_values=data_config.mask_values,
        max_pixels=data_config.max_pixels,
    )
    builder = open_builder(BUILDERS[dataset], config, root)
    folder = pathlib.Path(manual_dir).expanduser() if manual_dir else None
    findings = []
    try:
        files = _locate_files(dataset, manual_dir, root)
    except UserError as error:
        if folder is None or not folder.is_dir() or (folder / MARKER_FILE).exists():
            raise
        files = _list_image_files(folder)
        if not files:
            raise
        findings.append(make_refusal("layout", "the folder is not laid out as expected", error))
        splits = _list_by_names(files)
    else:
        splits, more_findings = _list_images(builder, files)
        findings += more_findings
    sources = [source for members in splits.values() for source in members]
    official_test = None
    if splits.get("test"):
        official_test = np.repeat(
            [split == "test" for split in splits], [len(members) for members in splits.values()]
        )
    masks, unmatched = _match_masks(files, sources)
    return Inventory(
        sources=sources,
        official_test=official_test,
        files={os.fspath(path) for path in files.values()},
        num_masks=len(masks),
        unmatched_masks=unmatched,
        builder=builder,
        findings=findings,
    )


def _locate_files(dataset: str, manual_dir: str, root: pathlib.Path) -> dict[str, pathlib.Path]:
    official = BUILDERS[dataset].OFFICIAL
    if official is None:
        return {}
    if manual_dir or official.manual_only:
        return dict(list_manual_files(dataset, manual_dir))
    return download_source(dataset, root)


def _list_images(
    builder: ImageDatasetBuilder, files: dict[str, pathlib.Path]
) -> tuple[dict[str, list[SourceImage]], list[Finding]]:
    """Returns split -> its images, and what would stop a run."""
    findings = []
    try:
        builder.check_files(files)
    except UserError as error:
        findings.append(make_refusal("mask_like_images", "images that look like masks", error))
    try:
        return builder.list_images(files), findings
    except UserError as error:
        findings.append(make_refusal("groups", "images, masks and groups do not fit", error))
    without_groups = {name: path for name, path in files.items() if name != groups.FILE_NAME}
    try:
        return builder.list_images(without_groups), findings
    except UserError:
        return _list_by_names(files), findings


def _list_image_files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns name -> file of all images below a folder; what cannot be read is left out."""
    files = {}
    for directory, folders, names in os.walk(folder):
        path = pathlib.Path(directory)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith((".", "__")) and not (path / name / MARKER_FILE).exists()
        )
        for name in sorted(names):
            if is_image(name) and not name.startswith(".") and name.isprintable():
                relative = (path / name).relative_to(folder).as_posix()
                if relative != DATASET_FILE:
                    files[relative] = path / name
    return files


def _list_by_names(files: Mapping[str, pathlib.Path]) -> dict[str, list[SourceImage]]:
    """Returns split -> its images, from names alone; each image is a group, and no image has a mask."""
    names = [name for name in files if is_image(name)]
    masks = {name for name in names if mask_names.split_at_mask_folder(name)}
    splits: dict[str, list[SourceImage]] = {}
    for name, location in layout.locate_images(n for n in names if n not in masks).items():
        source = SourceImage(files[name], location.class_name, name, name)
        splits.setdefault(location.split, []).append(source)
    return splits


def _match_masks(
    files: Mapping[str, pathlib.Path], sources: list[SourceImage]
) -> tuple[list[str], list[str]]:
    """Returns the names of all files of masks, and of those that belong to no image."""
    if any(isinstance(source.image, bytes) for source in sources):
        return [], []  # the files hold many images each, and no masks
    paths = {source.image for source in sources}
    masks = [
        name
        for name, path in files.items()
        if path not in paths and is_image(name) and name != groups.FILE_NAME
    ]
    used, stems = set(), []
    for source in sources:
        if isinstance(source.mask, bytes):  # of several files, united
            stems.append(source.image.stem)
        elif source.mask is not None:
            used.update(source.mask if isinstance(source.mask, tuple) else (source.mask,))
    unmatched = [
        name
        for name in masks
        if files[name] not in used and not files[name].stem.startswith(tuple(stems))
    ]
    return masks, unmatched
