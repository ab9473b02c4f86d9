"""A folder of the user's own images: a folder for each class, or the layout of MVTec AD.

    DIR/good/*.png                       DIR/train/good/*.png
    DIR/scratch/*.png                    DIR/test/good/*.png
    DIR/ground_truth/scratch/*.png       DIR/test/scratch/*.png
                                         DIR/ground_truth/scratch/*.png

Source of the second: P. Bergmann et al., MVTec AD, CVPR 2019.
"""

import dataclasses
import logging
import os
import pathlib
from collections.abc import Iterable, Mapping

from vae_jax.data import roi
from vae_jax.data.builders import duplicates, groups
from vae_jax.data.builders.reading import SUFFIXES, Item
from vae_jax.data.builders.records import ImageRecords
from vae_jax.data.sources import Official
from vae_jax.errors import UserError

_MASKS = "ground_truth"
# By other names a folder of masks would be taken for a class, and an easy one.
_OTHER_MASKS = (
    "mask", "masks", "gt", "groundtruth", "label", "labels", "annotation", "annotations",
)  # fmt: skip
# MVTec AD 2 calls them validation and test_public.
_SPLITS = dict.fromkeys(("train", "val", "validation"), "train") | dict.fromkeys(
    ("test", "test_public"), "test"
)
_LOOSE = "normal"  # class of training images that stand in no folder
_NAMED = 5  # folders that a message names

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where an image stands: its split, and its path within that."""

    split: str
    inside: str

    @property
    def class_name(self) -> str:
        """Of the folder that it stands in."""
        return self.inside.split("/")[0] if "/" in self.inside else _LOOSE

    @property
    def stem(self) -> str:
        """What its mask is called, too: its path without the suffix."""
        return str(pathlib.PurePosixPath(self.inside).with_suffix(""))


class Folder(ImageRecords, skip_registration=True):
    """Splits `train` and, where there is a folder `train` to go with it, `test`.

    A class is called as its folder, and its images may lie in folders below that. Training images in no
    folder are of the class `normal`. A mask, white where its image is abnormal, has the image's class and
    name, with or without `_mask` after it. An optional `groups.csv` with the columns file (its path, as in
    `scores.csv`) and group tells which images belong together, as of one patient or one workpiece; each
    other image is alone. Images that are equal pixel by pixel are one group, whatever their names.
    """

    name = "vae_jax_folder"
    CLASSES = None
    USUAL_NORMALS = ("good", "normal", "ok")
    OFFICIAL = Official(
        address="",
        files={},
        layout="a folder that holds a folder of images for each class, or train and test with such folders",
        by_hand=True,
    )

    @classmethod
    def locate(cls, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Finds images, masks and `groups.csv`."""
        found = _images_below(folder)
        places = _places(found)
        if not places:
            raise cls.OFFICIAL.ask(f"{folder} has no images ({', '.join(sorted(SUFFIXES))})")
        _check_classes(folder, places)
        if (folder / groups.FILE).is_file():
            found[groups.FILE] = folder / groups.FILE
        return found

    @classmethod
    def classes_in(cls, files: Iterable[str]) -> tuple[str, ...]:
        """Returns the classes that `locate` found, in alphabetical order."""
        return tuple(sorted({place.class_name for place in _places(files).values()}))

    def items(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[Item]]:
        """Joins images, masks and groups, and duplicates; warns of what has no role.

        Raises:
            UserError: if an image has two masks, or `groups.csv` names images that are not there.
        """
        places = _places(files)
        known = _groups(files[groups.FILE], places) if groups.FILE in files else {}
        masks = _masks(files)
        # A training image may share its name with a tested one, whose mask it is.
        tested = any(place.split == "test" for place in places.values())
        listed: dict[str, list[Item]] = {}
        for name, place in places.items():
            mask = masks.get(place.stem) if place.split == "test" or not tested else None
            item = Item(
                image=files[name],
                class_name=place.class_name,
                file=name,
                group=known.get(name, name),
                mask=files[mask] if mask else None,
            )
            listed.setdefault(place.split, []).append(item)
        strangers = [name for name in files if name not in places and not _mask_stem(name)]
        left_out = sorted({name.split("/")[0] for name in strangers} - {groups.FILE})
        if left_out:
            more = f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
            _log.warning(
                "folder: left out beside train and test: %s%s", ", ".join(left_out[:_NAMED]), more
            )
        used = {item.mask for items in listed.values() for item in items}
        unused = [name for name in masks.values() if files[name] not in used]
        if unused:
            _log.warning("folder: %d masks belong to no image, as %s", len(unused), unused[0])
        return duplicates.join(listed)


def _images_below(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns path relative to the folder -> image; hidden files and folders are passed over."""
    found = {}
    for directory, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        for name in sorted(files):
            path = pathlib.Path(directory, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                found[path.relative_to(folder).as_posix()] = path
    for name in found:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UserError(f"the name of {name!a} is not UTF-8; rename that file") from None
    found.pop(roi.OF_DATASET, None)
    return found


def _places(files: Iterable[str]) -> dict[str, _Place]:
    """Returns name -> place of every image that is no mask and stands where an image of a split does."""
    images = [name for name in files if name != groups.FILE and not _mask_stem(name)]
    parts = {name: name.partition("/") for name in images}
    if not any(first.lower() == "train" and inside for first, _, inside in parts.values()):
        return {name: _Place("train", name) for name in images}
    return {
        name: _Place(_SPLITS[first.lower()], inside)
        for name, (first, _, inside) in parts.items()
        if inside and first.lower() in _SPLITS
    }


def _masks(files: Iterable[str]) -> dict[str, str]:
    """Returns stem of an image -> its mask."""
    masks: dict[str, str] = {}
    for name in files:
        stem = _mask_stem(name)
        if stem and masks.setdefault(stem, name) != name:
            raise UserError(f"{masks[stem]} and {name} are masks of one image; keep one of them")
    return masks


def _mask_stem(name: str) -> str:
    """Returns class and name of the image that a mask belongs to, "" for what is no mask."""
    folders = name.lower().split("/")[:-1]
    if _MASKS not in folders:
        return ""
    inside = "/".join(name.split("/")[folders.index(_MASKS) + 1 :])
    return _Place("", inside).stem.removesuffix("_mask")


def _check_classes(folder: pathlib.Path, places: Mapping[str, _Place]) -> None:
    """Refuses what would be given a class that nobody meant.

    Raises:
        UserError: for folders of masks and tests without training images, and for images in no folder
            among others that have one.
    """
    names = {place.class_name for place in places.values()}
    for name in sorted(names):
        if name.lower() in _OTHER_MASKS:
            raise UserError(
                f"{folder} has a class {name}; call the folder {_MASKS} if it holds masks, or give the "
                "class another name"
            )
    if any(name.lower() == "test" for name in names):
        raise UserError(f"{folder} has a folder test and none called train; add it, or rename test")
    for name in sorted(names):
        if any(place.inside.startswith(f"{name}/train/") for place in places.values()):
            raise UserError(
                f"{folder / name} has a folder train; point data.manual_dir at it instead"
            )
    with_class = {place.split for place in places.values() if "/" in place.inside}
    for name, place in places.items():
        if "/" not in place.inside and (place.split in with_class or place.split == "test"):
            raise UserError(
                f"{folder / name} stands in no folder of a class; move it into one, or elsewhere if its "
                "class is not known"
            )


def _groups(path: pathlib.Path, places: Mapping[str, _Place]) -> dict[str, str]:
    found = {file: group for (file,), group in groups.read(path, ("file",)).items()}
    strangers = [file for file in found if file not in places]
    if strangers:
        raise UserError(
            f"{path}: {len(strangers)} of {len(found)} rows name no image that is there, as "
            f"{strangers[0]!r}; a file is its path below {path.parent}, as {next(iter(places))!r}"
        )
    return found
