"""Where the user's own images stand, told from their paths: a folder for each class, or as in MVTec AD.

    DIR/good/*.png                       DIR/train/good/*.png
    DIR/scratch/*.png                    DIR/test/good/*.png
    DIR/ground_truth/scratch/*.png       DIR/test/scratch/*.png
                                         DIR/ground_truth/scratch/*.png

Source of the second: P. Bergmann et al., MVTec AD, CVPR 2019.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping

from vae_jax.data import region
from vae_jax.data.builders import groups
from vae_jax.data.builders.reading import SUFFIXES
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
# In a workdir, whose figures are no images of the dataset.
_OF_RUN = {"config.json", "metrics.jsonl"}
_LOOSE = "normal"  # class of training images that stand in no folder


@dataclasses.dataclass(frozen=True)
class ImageLocation:
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
        return _stem(self.inside)


def list_images_below(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns path relative to the folder -> image; what is hidden, and runs, are passed over."""
    found = {}
    for directory, folders, files in os.walk(folder, followlinks=True):
        if _OF_RUN.issubset(files):
            folders.clear()
            continue
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
    found.pop(region.DATASET_FILE, None)
    return found


def locate_images(files: Iterable[str]) -> dict[str, ImageLocation]:
    """Returns name -> place of every image that is no mask and stands where an image of a split does."""
    images = [name for name in files if name != groups.FILE_NAME and not parse_mask_stem(name)]
    parts = {name: name.partition("/") for name in images}
    if not any(first.lower() == "train" and inside for first, _, inside in parts.values()):
        return {name: ImageLocation("train", name) for name in images}
    return {
        name: ImageLocation(_SPLITS[first.lower()], inside)
        for name, (first, _, inside) in parts.items()
        if inside and first.lower() in _SPLITS
    }


def match_masks(files: Iterable[str]) -> dict[str, str]:
    """Returns stem of an image -> its mask.

    Raises:
        UserError: if an image has two.
    """
    masks: dict[str, str] = {}
    for name in files:
        stem = parse_mask_stem(name)
        if stem and masks.setdefault(stem, name) != name:
            raise UserError(f"{masks[stem]} and {name} are masks of one image; keep one of them")
    return masks


def parse_mask_stem(name: str) -> str:
    """Returns class and name of the image that a mask belongs to, "" for what is no mask."""
    folders = name.lower().split("/")[:-1]
    if _MASKS not in folders:
        return ""
    inside = "/".join(name.split("/")[folders.index(_MASKS) + 1 :])
    return _stem(inside).removesuffix("_mask")


def _stem(name: str) -> str:
    return str(pathlib.PurePosixPath(name).with_suffix(""))


def check_masks(folder: pathlib.Path, files: Iterable[str]) -> None:
    """Refuses masks that would be taken for images.

    Raises:
        UserError: names one.
    """
    images = [name for name in files if not parse_mask_stem(name)]
    stems = {_stem(name) for name in images}
    for name in images:
        folders, stem = name.lower().split("/")[:-1], _stem(name)
        beside = stem.endswith("_mask") and stem.removesuffix("_mask") in stems
        if beside or not set(folders).isdisjoint(_OTHER_MASKS):
            raise UserError(
                f"{folder / name} looks like a mask; put it into {folder / _MASKS}, below its class, or, "
                "if it is none, give it or its folder another name"
            )


def check_classes(folder: pathlib.Path, places: Mapping[str, ImageLocation]) -> None:
    """Refuses what would be given a class that nobody meant.

    Raises:
        UserError: for tests without training images, for folders of several datasets, and for images in no
            folder among others that have one.
    """
    if not any(name.lower().startswith("train/") for name in places):
        if any(name.lower().startswith("test/") for name in places):
            raise UserError(
                f"{folder} has a folder test and none called train; add it, or rename test"
            )
        tops = {tuple(name.split("/")[:2]) for name in places if name.count("/") > 1}
        for top, second in sorted(tops):
            if second.lower() == "train":
                raise UserError(
                    f"{folder / top} has a folder train; point data.manual_dir at it instead"
                )
    with_class = {place.split for place in places.values() if "/" in place.inside}
    for name, place in places.items():
        if "/" not in place.inside and (place.split in with_class or place.split == "test"):
            raise UserError(
                f"{folder / name} stands in no folder of a class; move it into one, or elsewhere if its "
                "class is not known"
            )
