"""Recognises masks by their content: they have a few flat grey levels, and share their name with an image.

Only samples are read, so the checks take about as long for a large folder as for a small one.
"""

import collections
import enum
import pathlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

from vae_jax.data import medical, nifti
from vae_jax.data.builders.mask_names import Masks, normalise_name, remove_suffix
from vae_jax.data.image_file import open_image
from vae_jax.errors import UserError
from vae_jax.validate import HIGHEST_MAX_PIXELS

_SAMPLE = 8  # files that are read per folder or per pattern of names
_MAX_LEVELS = 8  # different values of a mask, for example one per kind of defect
# Lossy compression and smooth borders give a mask more levels; this share of its pixels is black or white.
_MIN_EXTREME = 0.98
_DARK, _BRIGHT = 16, 239  # grey levels that count as black or white
_LOSSY = {".jpg", ".jpeg", ".jfif", ".jpe", ".mpo", ".webp", ".avif", ".jp2"}
_SEPARATORS = re.compile(r"[\W_]+")


class Content(enum.Enum):
    """What the pixels of a file look like."""

    FLAT = "one level"  # an empty mask, or a constant image
    MASK = "a few flat levels"
    IMAGE = "many levels"  # also a file that cannot be read, which is reported when it is prepared


def classify(path: pathlib.Path) -> Content:
    """Returns what the pixels of a file look like; those of a volume all together."""
    try:
        if medical.is_nifti(path.name):
            num_levels = nifti.Volume(path, HIGHEST_MAX_PIXELS).count_levels(_MAX_LEVELS)
            return _classify_levels(num_levels)
        if medical.is_medical(path.name):
            return Content.IMAGE  # DICOM files of segmentations are refused when they are prepared
        with open_image(path) as image:
            num_levels = _count_levels(image)
            if num_levels > _MAX_LEVELS and not image.mode.startswith(("I", "F")):
                histogram = np.asarray(image.convert("L").histogram())
                dark, bright = histogram[: _DARK + 1].sum(), histogram[_BRIGHT:].sum()
                if bright and dark and dark + bright >= _MIN_EXTREME * histogram.sum():
                    return Content.MASK
    except Exception:  # Pillow's plugins raise any error on damaged files
        return Content.IMAGE
    return _classify_levels(num_levels)


def _classify_levels(num_levels: int) -> Content:
    if num_levels > _MAX_LEVELS:
        return Content.IMAGE
    return Content.MASK if num_levels > 1 else Content.FLAT


def _count_levels(image: Image.Image) -> int:
    """Returns the number of different pixels; more than `_MAX_LEVELS` are not counted further."""
    if image.mode.startswith(("I", "F")):
        return len(np.unique(np.asarray(image)))
    return len(image.getcolors(_MAX_LEVELS) or range(_MAX_LEVELS + 1))


def find_masks_of_same_stem(images: Mapping[str, pathlib.Path]) -> dict[str, str]:
    """Finds masks such as `0.png` beside the photograph `0.jpg`, as in Real-IAD.

    Args:
        images: name -> file, of all files that are not masks by their names.

    Returns:
        Name of a mask -> name of its image. A folder in which only some of these files look like masks has
        none.
    """
    pairs = collections.defaultdict(list)  # (folder, suffix of the masks) -> (mask, image)
    for names in _group_by_stem(images).values():
        lossy = [name for name in names if _suffix(name) in _LOSSY]
        others = [name for name in names if _suffix(name) not in _LOSSY]
        if len(lossy) == len(others) == 1:
            pairs[names[0].rpartition("/")[0], _suffix(others[0])].append((others[0], lossy[0]))
    masks = {}
    for group in pairs.values():
        contents = [classify(images[mask]) for mask, _ in _sample(group)]
        if Content.MASK in contents and Content.IMAGE not in contents:
            masks |= dict(group)
    return masks


def check_images(images: Mapping[str, pathlib.Path]) -> None:
    """Refuses images that look like masks and share their name with an image.

    Args:
        images: name -> file, of everything that will be used as an image.

    Raises:
        UserError: names such a file, and the config field that allows it.
    """
    for suspects in (_pair_within_folders(images), _pair_across_folders(images)):
        for name, partner in suspects:
            if classify(images[name]) is Content.MASK and (
                classify(images[partner]) is Content.IMAGE
            ):
                raise UserError(
                    f"{images[name]} looks like the mask of {partner}: it has a few flat grey levels; "
                    "if it is one, move it below a folder ground_truth, into the folder of its class; if "
                    "it is an image, set --config.data.mask_like_images=images"
                )


def check_masks(masks: Masks, files: Mapping[str, pathlib.Path]) -> None:
    """Refuses images that would be used as masks, or ignored, only because of the name of their folder.

    Args:
        masks: the masks by name. Those below `ground_truth` are not checked.
        files: name -> file.

    Raises:
        UserError: names such a file.
    """
    names_of_folder = collections.defaultdict(list)
    for name in sorted(masks.names.difference(masks.copies)):
        folder = name.rpartition("/")[0]
        if "groundtruth" not in map(normalise_name, folder.split("/")):
            names_of_folder[folder].append(name)
    for names in names_of_folder.values():
        for name in _sample(names):
            if classify(files[name]) is Content.IMAGE:
                raise UserError(
                    f"{files[name]} is a mask by its name or by that of its folder, but it has many grey "
                    "levels; if it is an image, rename it or its folder; if it is a mask, move it below a "
                    "folder ground_truth"
                )


def _pair_within_folders(images: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yields samples of (file, file whose stem is the start or the end of its stem) in one folder."""
    by_stem = _group_by_stem(images)
    pairs = collections.defaultdict(list)  # (folder, suffix, what is added to the stem) -> pairs
    for name in images:
        folder, _, file = remove_suffix(name).rpartition("/")
        prefix = f"{folder}/" if folder else ""
        for partner in by_stem[prefix + file]:
            if partner != name:
                pairs[folder, _suffix(name), ""].append((name, partner))
        for separator in _SEPARATORS.finditer(file):
            start, end = file[: separator.start()], file[separator.end() :]
            for stem, extra in ((start, end), (end, start)):
                if stem and prefix + stem in by_stem:
                    pattern = re.sub(r"\d+", "0", extra)
                    pair = (name, by_stem[prefix + stem][0])
                    pairs[folder, _suffix(name), pattern].append(pair)
    for group in pairs.values():
        yield from _sample(group)


def _pair_across_folders(images: Mapping[str, pathlib.Path]) -> Iterator[tuple[str, str]]:
    """Yields (file, file of the same stem in another folder) for folders that hold only masks."""
    names_of_folder = collections.defaultdict(list)
    names_of_file = collections.defaultdict(list)  # stem without folders -> names
    for name in images:
        folder, _, stem = remove_suffix(name).rpartition("/")
        names_of_folder[folder].append(name)
        names_of_file[stem].append(name)
    for folder, names in names_of_folder.items():
        sample = _sample(names)
        partners = {
            name: [
                other
                for other in names_of_file[remove_suffix(name).rpartition("/")[2]]
                if other.rpartition("/")[0] != folder
            ]
            for name in sample
        }
        if not all(partners.values()) or not all(
            classify(images[name]) is not Content.IMAGE for name in sample
        ):
            continue
        for name in sample:
            yield from ((name, other) for other in _sample(partners[name]))


def _group_by_stem(names: Collection[str]) -> dict[str, list[str]]:
    groups = collections.defaultdict(list)
    for name in names:
        groups[remove_suffix(name)].append(name)
    return groups


def _suffix(name: str) -> str:
    return medical.get_suffix(name)


def _sample(items: Sequence) -> list:
    """Returns up to `_SAMPLE` items, evenly spaced."""
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, _SAMPLE).astype(int))]
