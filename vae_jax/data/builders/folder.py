"""A folder of the user's own images; `layout.py` says how they may stand in it."""

import functools
import logging
import pathlib
from collections.abc import Iterable, Mapping

from vae_jax.data.builders import duplicates, groups, layout
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.builders.layout import ImageLocation
from vae_jax.data.builders.reading import SUFFIXES, SourceImage
from vae_jax.data.sources import OfficialSource
from vae_jax.errors import UserError

_NAMED = 5  # folders that a message names

_log = logging.getLogger(__name__)


class Folder(ImageDatasetBuilder, skip_registration=True):
    """Splits `train` and, where there is a folder `train` to go with it, `test`.

    A class is called as its folder, and its images may lie in folders below that. Training images in no
    folder are of the class `normal`. A mask, white where its image is abnormal, has the image's class and
    name, with or without `_mask` after it. An optional `groups.csv` with the columns file (its path, as in
    `scores.csv`) and group tells which images belong together, as of one patient or one workpiece; each
    other image is alone. Images that are equal pixel by pixel are one group, whatever their names.
    """

    name = "vae_jax_folder"
    CLASSES = None
    USUAL_NORMAL_CLASSES = ("good", "normal", "ok")
    OFFICIAL = OfficialSource(
        address="",
        files={},
        layout="a folder that holds a folder of images for each class, or train and test with such folders",
        manual_only=True,
    )

    @classmethod
    def locate_files(cls, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Finds images, masks and `groups.csv`; warns of images that are neither."""
        found = layout.list_images_below(folder)
        places = layout.locate_images(found)
        if not places:
            raise cls.OFFICIAL.make_error(f"{folder} has no images ({', '.join(sorted(SUFFIXES))})")
        layout.check_masks(folder, found)
        layout.check_classes(folder, places)
        kept = {
            name: path
            for name, path in found.items()
            if name in places or layout.parse_mask_stem(name)
        }
        if strangers := found.keys() - kept.keys():
            _warn_once(f"{folder}: left out beside train and test: {_folders(strangers)}")
        if (folder / groups.FILE_NAME).is_file():
            kept[groups.FILE_NAME] = folder / groups.FILE_NAME
        return kept

    @classmethod
    def list_classes(cls, files: Iterable[str]) -> tuple[str, ...]:
        """Returns the classes that `locate` found, in alphabetical order."""
        return tuple(sorted({place.class_name for place in layout.locate_images(files).values()}))

    def list_images(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[SourceImage]]:
        """Joins images, masks and groups, and duplicates; warns of masks without an image.

        Raises:
            UserError: if an image has two masks, or `groups.csv` names images that are not there.
        """
        places = layout.locate_images(files)
        known = _groups(files[groups.FILE_NAME], places) if groups.FILE_NAME in files else {}
        masks = layout.match_masks(files)
        # A training image may share its name with a tested one, whose mask it is.
        tested = any(place.split == "test" for place in places.values())
        listed: dict[str, list[SourceImage]] = {}
        for name, place in places.items():
            mask = masks.get(place.stem) if place.split == "test" or not tested else None
            item = SourceImage(
                image=files[name],
                class_name=place.class_name,
                file=name,
                group=known.get(name, name),
                mask=files[mask] if mask else None,
            )
            listed.setdefault(place.split, []).append(item)
        used = {item.mask for items in listed.values() for item in items}
        unused = [name for name in masks.values() if files[name] not in used]
        if unused:
            _log.warning("folder: %d masks belong to no image, as %s", len(unused), unused[0])
        return duplicates.merge_groups(listed)


def _groups(path: pathlib.Path, places: Mapping[str, ImageLocation]) -> dict[str, str]:
    found = {file: group for (file,), group in groups.read_groups(path, ("file",)).items()}
    strangers = [file for file in found if file not in places]
    if strangers:
        raise UserError(
            f"{path}: {len(strangers)} of {len(found)} rows name no image that is there, as "
            f"{strangers[0]!r}; a file is its path below {path.parent}, as {next(iter(places))!r}"
        )
    return found


@functools.cache
def _warn_once(text: str) -> None:
    """Warns; a start looks for its images several times."""
    _log.warning(text)


def _folders(names: Iterable[str]) -> str:
    """Returns the topmost folders of images, a few by name."""
    found = sorted({name.split("/")[0] for name in names})
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more
