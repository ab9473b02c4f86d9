"""A folder of the user's own images; `layout.py` describes the layouts that it may have."""

import logging
import pathlib
from collections.abc import Iterable, Mapping

from vae_jax.data.builders import duplicates, groups, layout
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.builders.layout import ImageLocation
from vae_jax.data.builders.reading import SUFFIXES, SourceImage
from vae_jax.data.sources import OfficialSource
from vae_jax.errors import UserError

_MAX_NAMED = 5  # folders that a message names; it only counts the others

_log = logging.getLogger(__name__)


class Folder(ImageDatasetBuilder, skip_registration=True):
    """Splits `train` and, if the user's folder contains folders `train` and `test`, `test`.

    A class has the name of its folder, and its images may be in folders below that folder. Training images
    that are in no folder have the class `normal`. A mask is white where its image is abnormal. It has the
    class and the name of its image, with or without `_mask` at the end. An optional table `groups.csv` with
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
        images = layout.list_images_below(folder)
        locations = layout.locate_images(images)
        if not locations:
            raise cls.OFFICIAL.make_error(f"{folder} has no images ({', '.join(sorted(SUFFIXES))})")
        layout.check_masks(folder, images)
        layout.check_classes(folder, locations)
        located = {
            name: path
            for name, path in images.items()
            if name in locations or layout.parse_mask_stem(name)
        }
        ignored = images.keys() - located.keys()
        if ignored:
            _log.warning(
                "%s: ignored what is outside train and test: %s", folder, _name_top_folders(ignored)
            )
        if (folder / groups.FILE_NAME).is_file():
            located[groups.FILE_NAME] = folder / groups.FILE_NAME
        return located

    @classmethod
    def list_classes(cls, files: Iterable[str]) -> tuple[str, ...]:
        """Returns the classes in the files of `locate_files`, in alphabetical order."""
        locations = layout.locate_images(files)
        return tuple(sorted({location.class_name for location in locations.values()}))

    def list_images(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[SourceImage]]:
        """Joins images with their masks and groups, and warns of masks without an image.

        Raises:
            UserError: if an image has two masks, or `groups.csv` names images that do not exist.
        """
        locations = layout.locate_images(files)
        group_names = {}
        if groups.FILE_NAME in files:
            group_names = _read_groups(files[groups.FILE_NAME], locations)
        masks = layout.match_masks(files)
        # A training image may have the same stem as a test image; the mask belongs to the test image.
        has_test_split = any(location.split == "test" for location in locations.values())
        splits: dict[str, list[SourceImage]] = {}
        for name, location in locations.items():
            may_have_mask = location.split == "test" or not has_test_split
            mask = masks.get(location.stem) if may_have_mask else None
            image = SourceImage(
                image=files[name],
                class_name=location.class_name,
                file=name,
                group=group_names.get(name, name),
                mask=files[mask] if mask else None,
            )
            splits.setdefault(location.split, []).append(image)
        used_masks = {image.mask for images in splits.values() for image in images}
        unused = [name for name in masks.values() if files[name] not in used_masks]
        if unused:
            _log.warning(
                "folder: ignored %d masks without an image, for example %s", len(unused), unused[0]
            )
        return duplicates.merge_groups(splits)


def _read_groups(path: pathlib.Path, locations: Mapping[str, ImageLocation]) -> dict[str, str]:
    """Returns name of an image -> its group.

    Raises:
        UserError: if the table names images that do not exist.
    """
    table = {file: group for (file,), group in groups.read_groups(path, ("file",)).items()}
    missing = [file for file in table if file not in locations]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of {len(table)} rows name an image that does not exist, for example "
            f"{missing[0]!r}; write the path below {path.parent}, for example {next(iter(locations))!r}"
        )
    return table


def _name_top_folders(names: Iterable[str]) -> str:
    """Returns the topmost folders of some images, the first few by name."""
    folders = sorted({name.split("/")[0] for name in names})
    more = f" and {len(folders) - _MAX_NAMED} more" if len(folders) > _MAX_NAMED else ""
    return ", ".join(folders[:_MAX_NAMED]) + more
