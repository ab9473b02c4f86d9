"""Images that are equal pixel by pixel, whatever their names: none may be tested on another's copy."""

import collections
import concurrent.futures
import dataclasses
import hashlib
import io
import os
import pathlib
from collections.abc import Mapping, Sequence

from PIL import Image

from vae_jax.data.builders.reading import SourceImage


def merge_groups(splits: Mapping[str, Sequence[SourceImage]]) -> dict[str, list[SourceImage]]:
    """Returns the images with one group for all groups that share an image, also across splits.

    A joined group bears the first of its names in alphabetical order. An image that cannot be read stays
    in its group: whoever prepares it will tell.
    """
    items = [item for listed in splits.values() for item in listed]
    parent = {item.group: item.group for item in items}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    for equal in _equal(items):
        roots = sorted({root(item.group) for item in equal})
        parent.update(dict.fromkeys(roots, roots[0]))
    return {
        split: [dataclasses.replace(item, group=root(item.group)) for item in listed]
        for split, listed in splits.items()
    }


def _equal(items: Sequence[SourceImage]) -> list[list[SourceImage]]:
    """Returns the sets of two or more images with the same pixels."""
    # Images of different sizes differ: where sizes vary, as in hospitals, few are left to decode.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        suspects = [item for same in _grouped(items, pool.map(_size, items)) for item in same]
        return _grouped(suspects, pool.map(_digest, suspects))


def _grouped(items: Sequence[SourceImage], keys) -> list[list[SourceImage]]:
    found = collections.defaultdict(list)
    for item, key in zip(items, keys, strict=True):
        if key is not None:
            found[key].append(item)
    return [same for same in found.values() if len(same) > 1]


def _size(item: SourceImage) -> tuple[int, int] | None:
    try:
        with _open(item) as image:
            return image.size
    except Exception:  # Pillow's plugins raise anything on damaged files.
        return None


def _digest(item: SourceImage) -> str | None:
    try:
        with _open(item) as image:
            if not image.mode.startswith(("I", "F")):  # Pillow would clip these at 255
                # Grey stored as RGB equals the same grey stored as one channel.
                image = image.convert("L")
            return hashlib.sha256(image.mode.encode() + image.tobytes()).hexdigest()
    except Exception:  # as above
        return None


def _open(item: SourceImage) -> Image.Image:
    return Image.open(
        item.image if isinstance(item.image, pathlib.Path) else io.BytesIO(item.image)
    )
