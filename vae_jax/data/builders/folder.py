"""A folder of the user's own images; `layout.py` describes the layouts that it may have."""

import logging
import os
import pathlib
from collections.abc import Collection, Iterable, Mapping

from vae_jax.data import medical
from vae_jax.data.builders import duplicates, frames, groups, layout, mask_content, mask_names
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.builders.image_suffixes import count_suffixes
from vae_jax.data.builders.layout import ImageLocation
from vae_jax.data.builders.mask_names import Masks
from vae_jax.data.builders.reading import SourceImage
from vae_jax.data.sources import OfficialSource
from vae_jax.errors import UserError
from vae_jax.runtime.printable import make_printable

_MASK_FOLDER = "ground_truth"
_MAX_NAMED = 5  # folders that a message names; it only counts the others

_log = logging.getLogger(__name__)


class Folder(ImageDatasetBuilder, skip_registration=True):
    """Splits `train` and, if the user's folder contains folders `train` and `test`, `test`.

    A class has the name of its folder, and its images may be in folders below that folder. Training images
    that are in no folder have the class `normal`. A mask is above 0 where its image is abnormal;
    `mask_names.py` describes its name. An optional table `groups.csv` with
    the columns file (the path of an image, as in `scores.csv`) and group says which images belong together,
    for example the images of one patient or one workpiece. Every other image is a group of its own. Images
    with equal pixels are one group, whatever their names.
    """

    name = "vae_jax_folder"
    CLASSES = None
    USUAL_NORMAL_CLASSES = ("good", "normal", "ok")
    OFFICIAL = OfficialSource(
        address="",
        files={},
        layout="a folder that contains one folder of images per class, or train and test with such folders",
        manual_only=True,
    )

    @classmethod
    def locate_files(cls, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Finds images, masks and `groups.csv`; warns of images that are ignored."""
        below = layout.list_files_below(folder)
        files = move_masks_of_same_stem(below.images, layout.list_test_folders(below.images))
        locations, masks = _separate_masks(files)
        if not locations:
            left_out = f", only {count_suffixes(below.others)}" if below.others else ""
            raise cls.OFFICIAL.make_error(f"{folder} has no images that can be read{left_out}")
        layout.check_left_out(folder, below)
        layout.check_classes(folder, locations)
        located = {
            name: path
            for name, path in files.items()
            if name in locations or name in masks.names.difference(masks.copies)
        }
        ignored = files.keys() - located.keys() - set(masks.copies)
        if ignored:
            _log.warning(
                "%s: ignored what is outside train and test: %s", folder, name_top_folders(ignored)
            )
        if below.others:
            _log.warning(
                "%s: left out %d files that are not images by their suffix: %s",
                folder, len(below.others), count_suffixes(below.others),
            )  # fmt: skip
        if masks.copies:
            _log.warning(
                "%s: ignored %d copies and previews of images that labelme wrote, for example %s",
                folder, len(masks.copies), masks.copies[0],
            )  # fmt: skip
        if os.path.lexists(folder / groups.FILE_NAME):
            located[groups.FILE_NAME] = folder / groups.FILE_NAME
        return located

    @classmethod
    def list_classes(cls, files: Iterable[str]) -> tuple[str, ...]:
        """Returns the classes in the files of `locate_files`, in alphabetical order."""
        locations, _ = _separate_masks(files)
        return tuple(sorted({location.class_name for location in locations.values()}))

    def check_files(self, files: Mapping[str, pathlib.Path]) -> None:
        """Refuses images whose content is that of a mask, and masks whose content is that of an image."""
        locations, masks = _separate_masks(files)
        mask_content.check_masks(masks, files)
        if self.builder_config.mask_like_images == "refuse":
            mask_content.check_images({name: files[name] for name in locations})

    def list_images(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[SourceImage]]:
        """Joins images with their masks and groups, and warns of masks without an image.

        Raises:
            UserError: if an image has two masks, or `groups.csv` names images that do not exist.
        """
        locations, masks = _separate_masks(files)
        group_names = {}
        if groups.FILE_NAME in files:
            group_names = read_group_table(files[groups.FILE_NAME], locations)
        splits: dict[str, list[SourceImage]] = {}
        for name, location in locations.items():
            image = SourceImage(
                image=files[name],
                class_name=location.class_name,
                file=name,
                group=group_names.get(name, name),
                mask=tuple(files[mask] for mask in masks.of_image.get(name, ())) or None,
            )
            splits.setdefault(location.split, []).append(image)
        if masks.unmatched:
            _log.warning(
                "folder: %d of %d masks have no image and are ignored, for example %s",
                len(masks.unmatched), len(masks.names - set(masks.copies)), masks.unmatched[0],
            )  # fmt: skip
        return duplicates.merge_groups(frames.list_frames(splits, with_group=group_names))


def _separate_masks(files: Iterable[str]) -> tuple[dict[str, ImageLocation], Masks]:
    """Returns name -> location of every image, and the masks, from the names of all files."""
    names = [name for name in files if name != groups.FILE_NAME]
    masks = mask_names.find_masks(names, layout.list_test_folders(names))
    mask_files = masks.names
    return layout.locate_images(name for name in names if name not in mask_files), masks


def move_masks_of_same_stem(
    files: Mapping[str, pathlib.Path], test_folders: Collection[str]
) -> dict[str, pathlib.Path]:
    """Renames masks such as `bad/0.png` beside the image `bad/0.jpg` to `ground_truth/bad/0.png`.

    From there on, names alone show what is a mask.

    Args:
        files: name -> file, of all images and masks.
        test_folders: see `mask_names.find_masks`.

    Raises:
        UserError: if an image has two masks.
    """
    mask_files = mask_names.find_masks(files, test_folders).names
    images = {name: path for name, path in files.items() if name not in mask_files}
    moved = mask_content.find_masks_of_same_stem(images)
    for mask, image in moved.items():
        if f"{_MASK_FOLDER}/{mask}" in files:
            raise UserError(
                f"{mask} and {_MASK_FOLDER}/{mask} are masks of the same image {image}; keep one of them"
            )
    return {
        f"{_MASK_FOLDER}/{name}" if name in moved else name: path for name, path in files.items()
    }


def read_group_table(path: pathlib.Path, locations: Mapping[str, ImageLocation]) -> dict[str, str]:
    """Returns name of an image -> its group.

    Raises:
        UserError: if the table names images that do not exist.
    """
    table: dict[str, str] = {}
    for (name,), group in groups.read_groups(path, ("file",)).items():
        file = _remove_frame(make_printable(name))
        if table.setdefault(file, group) != group:
            raise UserError(
                f"{path} puts images of {file} into the groups {table[file]} and {group}; all frames of a "
                "file are one group"
            )
    missing = [file for file in table if file not in locations]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of {len(table)} rows name an image that does not exist, for example "
            f"{missing[0]!r}; write the path below {path.parent}, for example {next(iter(locations))!r}"
        )
    return table


def _remove_frame(name: str) -> str:
    """Returns the file of an image such as `scan.dcm#3`, or the name itself."""
    return name.rpartition("#")[0] if medical.is_slice(name) else name


def name_top_folders(names: Iterable[str]) -> str:
    """Returns the topmost folders of some images, the first few by name."""
    folders = sorted({name.split("/")[0] for name in names})
    more = f" and {len(folders) - _MAX_NAMED} more" if len(folders) > _MAX_NAMED else ""
    return ", ".join(folders[:_MAX_NAMED]) + more
