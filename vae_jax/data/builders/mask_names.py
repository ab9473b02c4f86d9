"""Finds the masks among the images of a folder by the names that public datasets use.

Below a folder for masks:              DIR/ground_truth/scratch/0.png      (MVTec AD)
                                       DIR/COVID-19/infection masks/0.png  (COVID-QU-Ex)
                                       DIR/polyps-masks/0.png              (Kvasir-SEG)
                                       DIR/eye/1st_manual/21_manual1.gif   (DRIVE; the image is
                                       DIR/eye/images/21_training.tif)
Beside the image DIR/scratch/0.jpg:    0_label.bmp (KolektorSDD), 0_GT.png (KolektorSDD2),
                                       0_segmentation.png (ISIC), 0_mask_1.png (BUSI),
                                       0_json/label.png (labelme)

Whether `0.png` beside `0.jpg` is a mask (Real-IAD) depends on its content; see `mask_content.py`.
"""

import collections
import dataclasses
import functools
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from vae_jax.errors import UserError

# Names of folders in lower case, without spaces, underscores, dots and hyphens.
_FOLDERS = {
    "groundtruth", "groundtruths", "gt", "gts", "mask", "masks", "maskimages", "label", "labels",
    "annotation", "annotations", "segmentation", "segmentations", "segmentationclass",
    "segmentationobject", "infectionmask", "lungmask", "manual", "manual1", "manual2", "1stmanual",
    "2ndmanual",
}  # fmt: skip
# A folder `polyps-masks` holds masks; a class called `with_masks` holds images of people.
_MASKS_OF = re.compile(r"(?!(?:with|without|no)[\W_])(.+?)[\W_]+masks", re.IGNORECASE)
_SUFFIX = re.compile(
    r"(?P<image>.+?)[ _.-]+(?:masks?|labels?|gt|ground[ _-]?truth|seg|segmentation)(?P<number>[ _-]?\d+)?",
    re.IGNORECASE,
)
# In folders for masks, the names of DRIVE: the mask 21_manual1 of the image 21_training.
_MANUAL = re.compile(r"(?P<image>.+?)[ _.-]+manual[ _-]?\d*", re.IGNORECASE)
_SPLIT_SUFFIX = re.compile(r"(?P<image>.+?)[ _.-]+(?:training|train|test)", re.IGNORECASE)
_MANUAL_MARK = "\0manual"  # ends the stem under which an image such as 21_training is also listed
_LABELME_FOLDER = "_json"
_LABELME_MASK = "label"  # the other images in a folder of labelme are copies and previews


@dataclasses.dataclass(frozen=True)
class Masks:
    """The masks in a folder.

    Attributes:
        of_image: name of an image -> names of its masks; several masks have numbered names.
        unmatched: names of masks whose image does not exist.
        copies: names of copies and previews of images, which the program labelme writes.
    """

    of_image: dict[str, list[str]]
    unmatched: list[str]
    copies: list[str]

    @property
    def names(self) -> set[str]:
        """The names of all files that are not images of the dataset."""
        matched = itertools.chain.from_iterable(self.of_image.values())
        return {*matched, *self.unmatched, *self.copies}


def find_masks(names: Collection[str], test_folders: Collection[str] = ()) -> Masks:
    """Finds the masks by their names.

    Args:
        names: the names of all image files.
        test_folders: the topmost folders of the test split, if the dataset has such a split. A mask that
            is outside the splits then belongs to a test image.

    Raises:
        UserError: if a mask may belong to several images, or an image has two masks that are not numbered.
    """
    names = dict.fromkeys(names)  # a set that keeps the order
    labelme = {name: role for name in names if (role := _parse_labelme(name, names))}
    in_folders = [name for name in names if name not in labelme and split_at_mask_folder(name)]
    others = [name for name in names if name not in labelme and not split_at_mask_folder(name)]
    beside = _find_masks_beside(others)
    images = _Images([name for name in others if name not in beside], test_folders)

    matches = {name: images.find_below(name) for name in in_folders}
    matches |= {name: images.find_stems([stem]) for name, stem in beside.items()}
    matches |= {name: images.find_stems([stem]) for name, stem in labelme.items() if stem != "copy"}
    of_image: dict[str, list[str]] = collections.defaultdict(list)
    for mask, candidates in matches.items():
        if len(candidates) > 1:
            raise UserError(
                f"the mask {mask} may belong to {candidates[0]} and to {candidates[1]}; give its "
                "image a name of its own, or move the mask into a folder that is named as its class"
            )
        if candidates:
            of_image[candidates[0]].append(mask)
    for image, masks in of_image.items():
        _check_numbering(image, masks)
    return Masks(
        of_image=dict(of_image),
        unmatched=[mask for mask, candidates in matches.items() if not candidates],
        copies=[name for name, role in labelme.items() if role == "copy"],
    )


def split_at_mask_folder(name: str) -> tuple[list[str], str, list[str]] | None:
    """Splits a name at its topmost folder for masks.

    Returns:
        The folders above it, its name, and the path below it without the suffix of the file; or None if no
        folder of the file is one for masks.
    """
    *folders, _ = name.split("/")
    for i, folder in enumerate(folders):
        if _is_mask_folder(folder):
            return folders[:i], folder, remove_suffix(name).split("/")[i + 1 :]
    return None


@functools.cache
def _is_mask_folder(folder: str) -> bool:
    return normalise_name(folder) in _FOLDERS or bool(_MASKS_OF.fullmatch(folder))


def remove_suffix(name: str) -> str:
    """Returns a name without the suffix of its file."""
    # This is called several times per file of a large folder, and `pathlib` would take most of the time.
    if name[-7:].lower() == ".nii.gz":
        return name[:-7]
    stem, _, suffix = name.rpartition("/")[2].rpartition(".")
    return name[: -len(suffix) - 1] if stem and suffix else name


def normalise_name(name: str) -> str:
    """Returns a name in lower case, without spaces, underscores, dots and hyphens."""
    return re.sub(r"[\W_]+", "", name).lower()


def _parse_labelme(name: str, names: Collection[str]) -> str:
    """Returns the stem of the image whose mask labelme wrote, "copy" for its other files, or ""."""
    folder, _, file = name.rpartition("/")
    if not folder.lower().endswith(_LABELME_FOLDER):
        return ""
    if not any(f"{folder}/{_LABELME_MASK}{suffix}" in names for suffix in (".png", ".PNG")):
        return ""
    is_mask = remove_suffix(file).lower() == _LABELME_MASK
    return folder[: -len(_LABELME_FOLDER)] if is_mask else "copy"


def _find_masks_beside(names: Collection[str]) -> dict[str, str]:
    """Returns name of a mask -> stem of its image, for the masks in the folders of their images.

    If a folder holds such masks, a file with such a name is a mask also where its image is missing.
    """
    stems = {remove_suffix(name) for name in names}
    parsed = {}
    for name in names:
        folder, _, file = remove_suffix(name).rpartition("/")
        match = _SUFFIX.fullmatch(file)
        if match:
            parsed[name] = f"{folder}/{match['image']}" if folder else match["image"]
    folders = {name.rpartition("/")[0] for name, stem in parsed.items() if stem in stems}
    return {name: stem for name, stem in parsed.items() if name.rpartition("/")[0] in folders}


def _check_numbering(image: str, masks: list[str]) -> None:
    """Refuses several masks of one image, unless they are `x_mask`, `x_mask_1`, `x_mask_2` and so on."""
    if len(masks) == 1:
        return
    unnumbered = {re.sub(r"[ _-]?\d+$", "", remove_suffix(mask)) for mask in masks}
    numbered = all(_SUFFIX.fullmatch(remove_suffix(mask).rpartition("/")[2]) for mask in masks)
    if not numbered or len(unnumbered) > 1 or len({*map(remove_suffix, masks)}) < len(masks):
        raise UserError(
            f"{masks[0]} and {masks[1]} are masks of the same image {image}; keep one of them"
        )


class _Images:
    """An index of the images, which finds the image of a mask."""

    def __init__(self, names: Iterable[str], test_folders: Collection[str]) -> None:
        self._of_stem: Mapping[str, list[str]] = collections.defaultdict(list)
        # (path without one of its folders, position of that folder) -> images
        self._of_shortened: Mapping[tuple[str, int], list[str]] = collections.defaultdict(list)
        names = list(names)
        for name in names:
            self._add(remove_suffix(name), name)
        stems = {*self._of_stem}
        for name in names:
            folder, slash, file = remove_suffix(name).rpartition("/")
            match = _SPLIT_SUFFIX.fullmatch(file)
            if match and folder + slash + match["image"] not in stems:
                self._add(f"{folder}{slash}{match['image']}{_MANUAL_MARK}", name)
        self._test_folders = test_folders

    def _add(self, stem: str, name: str) -> None:
        self._of_stem[stem].append(name)
        parts = stem.split("/")
        for i in range(len(parts) - 1):
            shortened = "/".join(parts[:i] + parts[i + 1 :])
            self._of_shortened[shortened, i].append(name)

    def find_stems(self, stems: Iterable[str]) -> list[str]:
        """Returns the images of the first stem that has any."""
        return next((self._of_stem[stem] for stem in stems if stem in self._of_stem), [])

    def find_below(self, mask: str) -> list[str]:
        """Returns the images that a mask in a folder for masks may belong to."""
        for folders, below in _list_places(mask, self._test_folders):
            images = self.find_stems(["/".join([*folders, *below])])
            if images:
                return images
        for folders, below in _list_places(mask, self._test_folders):
            shortened = "/".join([*folders, *below]), len(folders)
            images = self._of_shortened.get(shortened, [])
            siblings = [
                image for image in images if _is_named_after(mask, image.split("/")[len(folders)])
            ]
            if images:
                return siblings or images
        return []


def _list_places(mask: str, test_folders: Collection[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Yields where the image of a mask may be, most likely first: (folders above, path below them).

    For the image, a further folder may stand between the two, such as `images` beside `masks`.
    """
    above, _, below = split_at_mask_folder(mask)
    match = _SUFFIX.fullmatch(below[-1])
    stems = [match["image"], below[-1]] if match else [below[-1]]
    manual = _MANUAL.fullmatch(below[-1])
    if manual:
        stems += [manual["image"], manual["image"] + _MANUAL_MARK]
    starts = [[folder] for folder in test_folders] or [[]]
    for stem in stems:
        path = [*below[:-1], stem]
        if above:
            yield above, path
        # In MVTec AD the path below the folder for masks starts with the class, in the test split.
        for start in starts:
            yield start, path
            yield [*start, *above], path
        yield [], path


def _is_named_after(mask: str, folder: str) -> bool:
    """Returns whether the folder of a mask is named after a folder of images, as polyps-masks."""
    match = _MASKS_OF.fullmatch(split_at_mask_folder(mask)[1])
    return bool(match) and normalise_name(match[1]) == normalise_name(folder)
