"""Merges the groups of images with equal pixels, so that no training image is tested under another name."""

import collections
import concurrent.futures
import dataclasses
import hashlib
import io
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence

from PIL import Image

from vae_jax.data import medical
from vae_jax.data.builders.reading import SourceImage
from vae_jax.data.image_file import open_image
from vae_jax.data.joined_groups import join_groups


def merge_groups(splits: Mapping[str, Sequence[SourceImage]]) -> dict[str, list[SourceImage]]:
    """Merges groups that contain equal images, also across splits, and sets `equal_to` of these images.

    A merged group has the name that is first in alphabetical order. An image that cannot be read stays in
    its group; it is reported when the dataset is prepared.

    Args:
        splits: split -> its images.

    Returns:
        The same images in the same order, with the groups after merging.
    """
    images = [image for members in splits.values() for image in members]
    equal_images = _find_equal_images(images)
    merged_names = join_groups([image.group for image in members] for members in equal_images)
    first_file = {image.file: members[0].file for members in equal_images for image in members}
    return {
        split: [
            dataclasses.replace(
                image,
                group=merged_names.get(image.group, image.group),
                equal_to=first_file.get(image.file, ""),
            )
            for image in members
        ]
        for split, members in splits.items()
    }


def list_equal_files(images: Iterable[SourceImage]) -> list[list[str]]:
    """Returns the sets of files with the same pixels, from `equal_to` of the images."""
    sets = collections.defaultdict(list)
    for image in images:
        if image.equal_to:
            sets[image.equal_to].append(image.file)
    return list(sets.values())


def _find_equal_images(images: Sequence[SourceImage]) -> list[list[SourceImage]]:
    """Returns every set of two or more images with the same pixels."""
    # Images of different sizes are different. If sizes vary, as in hospitals, few images must be decoded.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        candidates = [
            image
            for members in _group_by(images, pool.map(_read_size, images))
            for image in members
        ]
        return _group_by(candidates, pool.map(_hash_pixels, candidates))


def _group_by(images: Sequence[SourceImage], keys: Iterable) -> list[list[SourceImage]]:
    """Returns every set of two or more images with the same key; None is no key."""
    sets = collections.defaultdict(list)
    for image, key in zip(images, keys, strict=True):
        if key is not None:
            sets[key].append(image)
    return [members for members in sets.values() if len(members) > 1]


def _read_size(source: SourceImage) -> tuple[int, ...] | None:
    """Returns width and height in pixels, or None if the image cannot be read.

    A medical file is compared as a whole: its first frame stands for all of them. Slices without content
    are equal in all volumes, and say nothing.
    """
    if source.frame is not None:
        if source.frame > 0 or source.size is None:
            return None
        return (*source.size, source.num_frames)
    try:
        with _open_image(source) as image:
            return image.size
    except Exception:  # Pillow's plugins raise any error on damaged files
        return None


def _hash_pixels(source: SourceImage) -> str | None:
    """Returns a hash of the pixels, or None if the image cannot be read."""
    try:
        if source.frame is not None:
            content = hashlib.sha256()
            for frame in medical.read_frames(source.image, range(source.num_frames)):
                content.update(frame.content)
            return content.hexdigest()
        with _open_image(source) as image:
            if not image.mode.startswith(("I", "F")):  # Pillow would clip these modes at 255
                # A grey image that is stored as RGB equals the same image with one channel.
                image = image.convert("L")
            return hashlib.sha256(image.mode.encode() + image.tobytes()).hexdigest()
    except Exception:  # Pillow's plugins raise any error on damaged files
        return None


def _open_image(source: SourceImage) -> Image.Image:
    return open_image(
        source.image if isinstance(source.image, pathlib.Path) else io.BytesIO(source.image)
    )
