"""Layouts of the user's own images: one folder per class, or the layout of MVTec AD.

    DIR/good/*.png                       DIR/train/good/*.png
    DIR/scratch/*.png                    DIR/test/good/*.png
    DIR/ground_truth/scratch/*.png       DIR/test/scratch/*.png
                                         DIR/ground_truth/scratch/*.png

Source of the second layout: P. Bergmann et al., MVTec AD, CVPR 2019.

A name is the path of a file relative to DIR; a stem is the path of an image within its split, without its
suffix.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping

from vae_jax.data import region
from vae_jax.data.builders import groups
from vae_jax.data.builders.reading import SUFFIXES
from vae_jax.errors import UserError

_MASK_FOLDER = "ground_truth"
# Folders with these names may hold masks as well. Taken for a class, masks would be easy to detect.
_SUSPECT_FOLDERS = (
    "mask", "masks", "gt", "groundtruth", "label", "labels", "annotation", "annotations",
)  # fmt: skip
# MVTec AD 2 uses the names validation and test_public.
_SPLITS = dict.fromkeys(("train", "val", "validation"), "train") | dict.fromkeys(
    ("test", "test_public"), "test"
)
# A folder with these files is the workdir of a run; its figures are not images of the dataset.
_WORKDIR_FILES = {"config.json", "metrics.jsonl"}
_DEFAULT_CLASS = "normal"  # class of training images that are not in a folder


@dataclasses.dataclass(frozen=True)
class ImageLocation:
    """Where an image belongs.

    Attributes:
        split: train or test.
        path: path of the image within its split.
    """

    split: str
    path: str

    @property
    def class_name(self) -> str:
        """The class of the image: the name of its topmost folder."""
        return self.path.split("/")[0] if "/" in self.path else _DEFAULT_CLASS

    @property
    def stem(self) -> str:
        """The path without its suffix; the image shares it with its mask."""
        return _remove_suffix(self.path)


def list_images_below(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns name -> image file. Hidden files and folders are ignored, and so are the workdirs of runs.

    Raises:
        UserError: if a name is not UTF-8.
    """
    images = {}
    for directory, folders, files in os.walk(folder, followlinks=True):
        if _WORKDIR_FILES.issubset(files):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        for name in sorted(files):
            path = pathlib.Path(directory, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                images[path.relative_to(folder).as_posix()] = path
    for name in images:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UserError(
                f"the file name {name!a} in {folder} is not valid UTF-8; rename that file"
            ) from None
    images.pop(region.DATASET_FILE, None)
    return images


def locate_images(names: Iterable[str]) -> dict[str, ImageLocation]:
    """Returns name -> location of every image that is not a mask.

    If there is a split `train`, images outside the splits are left out.
    """
    images = [name for name in names if name != groups.FILE_NAME and not parse_mask_stem(name)]
    parts = {name: name.partition("/") for name in images}
    if not any(first.lower() == "train" and path for first, _, path in parts.values()):
        return {name: ImageLocation("train", name) for name in images}
    return {
        name: ImageLocation(_SPLITS[first.lower()], path)
        for name, (first, _, path) in parts.items()
        if path and first.lower() in _SPLITS
    }


def match_masks(names: Iterable[str]) -> dict[str, str]:
    """Returns stem of an image -> name of its mask.

    Raises:
        UserError: if an image has two masks.
    """
    masks: dict[str, str] = {}
    for name in names:
        stem = parse_mask_stem(name)
        if stem and masks.setdefault(stem, name) != name:
            raise UserError(
                f"{masks[stem]} and {name} are masks of the same image; keep one of them"
            )
    return masks


def parse_mask_stem(name: str) -> str:
    """Returns the stem of the image that a mask belongs to, or "" if the file is not a mask."""
    folders = name.lower().split("/")[:-1]
    if _MASK_FOLDER not in folders:
        return ""
    path = "/".join(name.split("/")[folders.index(_MASK_FOLDER) + 1 :])
    return _remove_suffix(path).removesuffix("_mask")


def _remove_suffix(name: str) -> str:
    return str(pathlib.PurePosixPath(name).with_suffix(""))


def check_masks(folder: pathlib.Path, names: Iterable[str]) -> None:
    """Refuses masks that would be taken for images.

    Args:
        folder: the user's folder, for the message.
        names: the names of all image files in it.

    Raises:
        UserError: if an image looks like a mask. The message names it.
    """
    images = [name for name in names if not parse_mask_stem(name)]
    stems = {_remove_suffix(name) for name in images}
    for name in images:
        folders, stem = name.lower().split("/")[:-1], _remove_suffix(name)
        is_beside_image = stem.endswith("_mask") and stem.removesuffix("_mask") in stems
        if is_beside_image or not set(folders).isdisjoint(_SUSPECT_FOLDERS):
            raise UserError(
                f"{folder / name} looks like a mask; if it is one, move it below "
                f"{folder / _MASK_FOLDER}, into the folder of its class; otherwise rename it or its folder"
            )


def check_classes(folder: pathlib.Path, locations: Mapping[str, ImageLocation]) -> None:
    """Refuses layouts in which an image would get a class that the user did not intend.

    Args:
        folder: the user's folder, for the message.
        locations: name -> location of every image in it.

    Raises:
        UserError: if there are test images without training images, if the folder holds several datasets,
            or if only some of the images are in the folder of a class.
    """
    if not any(name.lower().startswith("train/") for name in locations):
        if any(name.lower().startswith("test/") for name in locations):
            raise UserError(
                f"{folder} has a folder test but no folder train; add train, or rename test"
            )
        first_folders = {tuple(name.split("/")[:2]) for name in locations if name.count("/") > 1}
        for first, second in sorted(first_folders):
            if second.lower() == "train":
                raise UserError(
                    f"{folder / first} has a folder train; point data.manual_dir at it instead"
                )
    splits_with_classes = {
        location.split for location in locations.values() if "/" in location.path
    }
    for name, location in locations.items():
        needs_class = location.split in splits_with_classes or location.split == "test"
        if "/" not in location.path and needs_class:
            raise UserError(
                f"{folder / name} is not in the folder of a class; move it into one or, if its class is "
                "unknown, out of the dataset"
            )
