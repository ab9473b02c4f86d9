"""A folder of labelled images that are to be judged by a trained run: class folders, or `test` with them.

    DIR/good/*.png                       DIR/test/good/*.png
    DIR/scratch/*.png                    DIR/test/scratch/*.png
    DIR/ground_truth/scratch/*.png       DIR/ground_truth/scratch/*.png

The rules are those of the user's own images in `folder.py`, also for `groups.csv`; only training images are
not needed.
"""

import logging
import os
import pathlib
from collections.abc import Mapping

from vae_jax.data.builders import frames, groups, layout, mask_content, mask_names
from vae_jax.data.builders.folder import (
    move_masks_of_same_stem,
    name_top_folders,
    read_group_table,
)
from vae_jax.data.builders.image_suffixes import count_suffixes
from vae_jax.data.builders.layout import ImageLocation
from vae_jax.data.builders.reading import SourceImage
from vae_jax.errors import UserError

_log = logging.getLogger(__name__)


def list_labelled_images(folder: pathlib.Path, mask_like_images: str) -> list[SourceImage]:
    """Lists the images of a folder with their masks; the class of an image is the name of its folder.

    Args:
        folder: the user's folder. If it contains a folder `test`, images outside that one are left out.
        mask_like_images: `data.mask_like_images`.

    Raises:
        UserError: if there is no such folder, it holds no image, an image is in no class folder, or masks
            and images cannot be told apart.
    """
    if not folder.is_dir():
        raise UserError(
            f"--input={folder} is not a folder; name a folder with one folder per class, or one that "
            "contains test with such folders"
        )
    below = layout.list_files_below(folder)
    if not below.images:
        others = f", only {count_suffixes(below.others)}" if below.others else ""
        raise UserError(f"{folder} has no images that can be read{others}; name another --input")
    test_folders = layout.list_folders_of_split(below.images, "test")
    files = move_masks_of_same_stem(below.images, test_folders)
    masks = mask_names.find_masks(files, test_folders)
    mask_files = masks.names
    images = [name for name in files if name not in mask_files]
    locations = layout.locate_labelled_images(images)
    _check_classes(folder, images, locations)
    mask_content.check_masks(masks, files)
    if mask_like_images == "refuse":
        mask_content.check_images({name: files[name] for name in locations})
    group_of = {}
    if os.path.lexists(folder / groups.FILE_NAME):
        group_of = read_group_table(folder / groups.FILE_NAME, locations)
    _log_left_out(folder, set(images) - locations.keys(), below.others, masks.unmatched)
    sources = [
        SourceImage(
            image=files[name],
            class_name=location.class_name,
            file=name,
            group=group_of.get(name, name),
            mask=tuple(files[mask] for mask in masks.of_image.get(name, ())) or None,
        )
        for name, location in locations.items()
    ]
    return frames.list_frames({"test": sources}, with_group=group_of)["test"]


def _check_classes(
    folder: pathlib.Path, images: list[str], locations: Mapping[str, ImageLocation]
) -> None:
    """Refuses a folder of training images, and images that are in no class folder."""
    if layout.list_folders_of_split(images, "train") and not layout.list_folders_of_split(
        images, "test"
    ):
        raise UserError(
            f"{folder} has training images and no folder test; name a folder with one folder per class"
        )
    for name, location in locations.items():
        if "/" not in location.path:
            raise UserError(
                f"{folder / name} is not in the folder of a class; move it into one or, if its class is "
                "unknown, score it with --mode=predict"
            )


def _log_left_out(
    folder: pathlib.Path, ignored: set[str], others: list[str], unmatched: list[str]
) -> None:
    if ignored:
        _log.warning("%s: ignored what is outside test: %s", folder, name_top_folders(ignored))
    if others:
        _log.warning(
            "%s: left out %d files that are not images by their suffix: %s",
            folder, len(others), count_suffixes(others),
        )  # fmt: skip
    if unmatched:
        _log.warning(
            "%s: %d masks have no image and are ignored, for example %s",
            folder, len(unmatched), unmatched[0],
        )  # fmt: skip
