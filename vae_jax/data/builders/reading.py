"""Images of a source and their masks, read and checked, on all cores where there are files to decode."""

import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterator, Sequence

from vae_jax.data import decode

# Of files that are images by their names.
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}

_CHUNK = 16  # images that a thread reads in one go


@dataclasses.dataclass(frozen=True)
class SourceImage:
    """One image of the source, and what is known of it without decoding.

    Attributes:
        image: the encoded file, or its bytes where the source is no folder of images.
        class_name: in the dataset's own spelling.
        file: unique path relative to the source.
        group: patient, video or near-duplicate; the file itself where nothing is known.
        mask: encoded file of the abnormal region, or its bytes, or None.
        size: (width, height) of bytes that were encoded here; None for a file, which is to be checked.
    """

    image: pathlib.Path | bytes
    class_name: str
    file: str
    group: str
    mask: pathlib.Path | bytes | None = None
    size: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class CheckedImage:
    """What was read of an item.

    Attributes:
        image: encoded.
        mask: encoded; b"" for none.
        size: (width, height) of the image.
        digest: of image and mask, SHA-256.
    """

    image: bytes
    mask: bytes
    size: tuple[int, int]
    digest: str


def read_images(items: Sequence[SourceImage]) -> Iterator[CheckedImage | str]:
    """Yields what was read of each item, or one line that says why it cannot be read."""
    if all(isinstance(item.image, bytes) for item in items):
        yield from map(_read, items)
        return
    # Threads suffice: Pillow and hashlib release the interpreter while they work.
    chunks = [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for chunk in pool.map(lambda chunk: [_read(item) for item in chunk], chunks):
            yield from chunk


def _read(item: SourceImage) -> CheckedImage | str:
    """Reads and checks one image and its mask; returns why it cannot be read, as one line."""
    damaged = item.file
    try:
        image = item.image if isinstance(item.image, bytes) else item.image.read_bytes()
        size = item.size or decode.check_image(image)
        mask = b""
        if item.mask is not None:
            of_bytes = isinstance(item.mask, bytes)
            damaged = "(of several)" if of_bytes else item.mask.name
            mask = item.mask if of_bytes else item.mask.read_bytes()
            decode.check_mask(mask, image)
    except Exception as error:  # Pillow's plugins raise anything on damaged files.
        reason = " ".join(str(error).split()) or type(error).__name__
        if "cannot identify image file" in reason:
            reason = "not an image"
        return reason if damaged == item.file else f"its mask {damaged}: {reason}"
    return CheckedImage(image, mask, size, hashlib.sha256(image + mask).hexdigest())
