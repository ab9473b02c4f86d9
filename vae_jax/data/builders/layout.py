"""Layouts of the user's own images: one folder per class, or the layout of MVTec AD.

    DIR/good/*.png                       DIR/train/good/*.png
    DIR/scratch/*.png                    DIR/test/good/*.png
    DIR/ground_truth/scratch/*.png       DIR/test/scratch/*.png
                                         DIR/ground_truth/scratch/*.png

Source of the second layout: P. Bergmann et al., MVTec AD, CVPR 2019.

A name is the path of a file relative to DIR. `mask_names.py` describes where masks may be.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Iterable, Mapping

from vae_jax.data import medical, region
from vae_jax.data.builders import groups
from vae_jax.data.builders.folder_walk import walk_folder
from vae_jax.data.builders.image_suffixes import count_suffixes, is_image
from vae_jax.data.builders.mask_names import split_at_mask_folder
from vae_jax.errors import UserError
from vae_jax.runtime.printable import make_printable

# MVTec AD 2 uses the names validation and test_public.
_SPLITS = dict.fromkeys(("train", "val", "validation"), "train") | dict.fromkeys(
    ("test", "test_public"), "test"
)
# Suffixes of files that describe images. A folder that holds nothing else is not the folder of a class.
_DOCUMENTS = {
    ".txt", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".md", ".rst", ".html", ".htm", ".pdf",
    ".doc", ".docx", ".xls", ".xlsx", ".ods", ".odt", ".log", ".ini", ".cfg", ".toml", ".py", ".ipynb",
    ".m", ".sh", ".zip", ".gz", ".tar", ".7z", ".rar",
}  # fmt: skip
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


@dataclasses.dataclass(frozen=True)
class FilesBelow:
    """The files below the user's folder, except for the region of interest and the table of groups.

    Attributes:
        images: name -> file.
        others: names of the files that are not images by their suffix.
        empty_folders: names of the folders in which there is nothing.
    """

    images: dict[str, pathlib.Path]
    others: list[str]
    empty_folders: list[str]


def list_files_below(folder: pathlib.Path) -> FilesBelow:
    """Lists the files below a folder, except for what a walk passes over.

    A name is printable: what a terminal cannot show, for example a line break or a byte that is not UTF-8,
    is escaped in it.

    Raises:
        UserError: if two files get the same name, or a folder cannot be read.
    """
    images, others, empty_folders = {}, [], []
    for directory, files, is_empty in walk_folder(folder):
        parts = [make_printable(part) for part in directory.relative_to(folder).parts]
        if is_empty:
            empty_folders.append("/".join(parts))
        for name in files:
            relative = "/".join([*parts, make_printable(name)])
            if relative in (region.DATASET_FILE, groups.FILE_NAME):
                continue
            if relative in images:
                raise UserError(
                    f"{folder} has two files whose names are shown as {relative}; rename one of them"
                )
            if is_image(name) or medical.is_readable(name):
                images[relative] = directory / name
            else:
                others.append(relative)
    return FilesBelow(images, others, empty_folders)


def locate_images(names: Iterable[str]) -> dict[str, ImageLocation]:
    """Returns name -> location of every image, from the names of all files that are not masks.

    If there is a split `train`, images outside the splits are left out.
    """
    images = [name for name in names if name != groups.FILE_NAME]
    parts = {name: name.partition("/") for name in images}
    if not any(first.lower() == "train" and path for first, _, path in parts.values()):
        return {name: ImageLocation("train", name) for name in images}
    return {
        name: ImageLocation(_SPLITS[first.lower()], path)
        for name, (first, _, path) in parts.items()
        if path and first.lower() in _SPLITS
    }


def locate_labelled_images(names: Iterable[str]) -> dict[str, ImageLocation]:
    """Returns name -> location of images that are to be judged; all of them are test images.

    If there is a folder `test`, images outside it are left out.

    Args:
        names: the names of all files that are not masks.
    """
    names = list(names)
    folders = list_folders_of_split(names, "test")
    if not folders:
        return {name: ImageLocation("test", name) for name in names}
    parts = {name: name.partition("/") for name in names}
    return {
        name: ImageLocation("test", path)
        for name, (first, _, path) in parts.items()
        if path and first in folders
    }


def list_folders_of_split(names: Iterable[str], split: str) -> list[str]:
    """Returns the topmost folders whose names are those of a split, as they are spelled."""
    folders = {name.split("/")[0] for name in names if "/" in name}
    return sorted(folder for folder in folders if _SPLITS.get(folder.lower()) == split)


def list_test_folders(names: Iterable[str]) -> list[str]:
    """Returns the topmost folders of the test split, as they are spelled; [] without a split `train`."""
    names = list(names)
    if not any(folder.lower() == "train" for folder in list_folders_of_split(names, "train")):
        return []
    return list_folders_of_split(names, "test")


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


def check_left_out(folder: pathlib.Path, files: FilesBelow) -> None:
    """Refuses folders of classes from which no image is read, because their classes would vanish.

    A folder of documents, for example of labels in XML, is not the folder of a class.

    Args:
        folder: the user's folder, for the message.
        files: the files below it.

    Raises:
        UserError: if the folder of a class holds files, but no image, or is empty.
    """
    has_splits = any(name.lower().startswith("train/") for name in files.images)
    class_folders = {_parse_class_folder(name, has_splits) for name in files.images}
    if class_folders == {""}:
        return  # all images are in no folder, so the folders are not classes
    left_out = collections.defaultdict(list)
    for name in files.others:
        class_folder = _parse_class_folder(name, has_splits)
        if class_folder and class_folder not in class_folders:
            left_out[class_folder].append(name)
    for class_folder, names in left_out.items():
        if any(medical.get_suffix(name) not in _DOCUMENTS for name in names):
            raise UserError(
                f"{folder / class_folder} has no image that can be read, only {count_suffixes(names)}; "
                "convert its images, for example to PNG, or move the folder out of the dataset"
            )
    for name in files.empty_folders:
        path = f"{name}/"
        if _parse_class_folder(path, has_splits) == name and not split_at_mask_folder(path):
            raise UserError(f"{folder / name} is empty; put its images there, or remove the folder")


def _parse_class_folder(name: str, has_splits: bool) -> str:
    """Returns the folder of the class that a file belongs to, or "" if it is in no such folder."""
    *folders, _ = name.split("/")
    depth = 2 if has_splits else 1
    if len(folders) < depth or (has_splits and folders[0].lower() not in _SPLITS):
        return ""
    return "/".join(folders[:depth])
