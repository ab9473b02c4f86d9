"""A folder of the user's own images: a folder for each class, or the layout of MVTec AD.

    DIR/good/*.png                       DIR/train/good/*.png
    DIR/scratch/*.png                    DIR/test/good/*.png
    DIR/ground_truth/scratch/*.png       DIR/test/scratch/*.png
                                         DIR/ground_truth/scratch/*.png

Source of the second: P. Bergmann et al., MVTec AD, CVPR 2019.
"""

import logging
import os
import pathlib
from collections.abc import Iterable, Mapping

from vae_jax.data.builders import duplicates, groups
from vae_jax.data.builders.reading import SUFFIXES, Item
from vae_jax.data.builders.records import ImageRecords
from vae_jax.data.sources import Official
from vae_jax.errors import UserError

_MASKS = "ground_truth"
# MVTec AD 2 holds out some of its training images under another name.
_SPLITS = {"train": "train", "val": "train", "validation": "train", "test": "test"}
_LOOSE = "normal"  # class of images that stand in no folder

_log = logging.getLogger(__name__)


class Folder(ImageRecords, skip_registration=True):
    """Splits `train` and, where there is a folder `train` to go with it, `test`.

    A class is called as its folder, and its images may lie in folders below that. Images in no folder are
    of the class `normal`. A mask, white where its image is abnormal, has the image's class and name, with
    or without `_mask` after it. An optional `groups.csv` with the columns file (as in `scores.csv`)
    and group tells which images belong together, as of one patient or one workpiece; each other image is
    alone. Images that are equal pixel by pixel are one group, whatever their names.
    """

    name = "vae_jax_folder"
    CLASSES = None
    OFFICIAL = Official(
        address="",
        files={},
        layout="a folder that holds a folder of images for each class, or train and test with such folders",
        by_hand=True,
    )

    @classmethod
    def locate(cls, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Finds images, masks and `groups.csv`; warns of folders without a role."""
        found = _images_below(folder)
        split_up = _split_up(found)
        images = {name: path for name, path in found.items() if _place(name, split_up)}
        if not images:
            raise cls.OFFICIAL.ask(f"{folder} has no images ({', '.join(sorted(SUFFIXES))})")
        masks = {name: path for name, path in found.items() if name.startswith(f"{_MASKS}/")}
        left_out = sorted(
            {name.split("/")[0] for name in found.keys() - images.keys() - masks.keys()}
        )
        if left_out:
            _log.warning("folder: left out beside train and test: %s", ", ".join(left_out))
        _check_loose(folder, images, split_up)
        if (folder / groups.FILE).is_file():
            images[groups.FILE] = folder / groups.FILE
        return images | masks

    def items(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[Item]]:
        """Joins images, masks and groups, and duplicates."""
        known = groups.read(files[groups.FILE], ("file",)) if groups.FILE in files else {}
        split_up = _split_up(files)
        masks = {
            _stem(name.removeprefix(f"{_MASKS}/")).removesuffix("_mask"): path
            for name, path in files.items()
            if name.startswith(f"{_MASKS}/")
        }
        listed: dict[str, list[Item]] = {}
        used = set()
        for name, path in files.items():
            place = _place(name, split_up)
            if place is None:
                continue
            split, inside = place
            stem = _stem(inside)
            # In MVTec's layout a training image may share its name with a tested one.
            mask = masks.get(stem) if split == "test" or not split_up else None
            if mask is not None:
                used.add(stem)
            class_name = inside.split("/")[0] if "/" in inside else _LOOSE
            item = Item(path, class_name, name, known.get((name,), name), mask)
            listed.setdefault(split, []).append(item)
        if len(used) < len(masks):
            _log.warning(
                "folder: %d masks belong to no image that is there", len(masks) - len(used)
            )
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
    return found


def _split_up(files: Iterable[str]) -> bool:
    """Whether these are of the layout with a folder `train`."""
    return any(name.startswith("train/") for name in files)


def _place(name: str, split_up: bool) -> tuple[str, str] | None:
    """Returns the split of an image and its path within it; None for what is no image of the dataset."""
    first, _, inside = name.partition("/")
    if first in (_MASKS, groups.FILE):
        return None
    if not split_up:
        return "train", name
    return (_SPLITS[first], inside) if inside and first in _SPLITS else None


def _stem(name: str) -> str:
    return str(pathlib.PurePosixPath(name).with_suffix(""))


def _check_loose(folder: pathlib.Path, images: Iterable[str], split_up: bool) -> None:
    """Refuses images without a folder where others have one: nobody said of which class they are.

    Raises:
        UserError: names one.
    """
    places = {name: _place(name, split_up) for name in images}
    for name, (split, inside) in places.items():
        others = any(s == split and "/" in i for s, i in places.values())
        if "/" not in inside and (others or split == "test"):
            raise UserError(
                f"{folder / name} stands in no folder of a class; move it into one, named as its class is"
            )
