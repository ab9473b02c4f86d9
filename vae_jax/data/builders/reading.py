"""Reads and checks the images of a source and their masks; it uses all cores if files must be decoded."""

import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterator, Sequence

from vae_jax.data import decode

# The suffixes of image files, in lower case.
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}

_CHUNK = 16  # images per task of a thread


@dataclasses.dataclass(frozen=True)
class SourceImage:
    """One image of the source, with everything that is known before it is decoded.

    Attributes:
        image: the encoded file, or its bytes if the source is not a folder of images.
        class_name: the class of the image, spelled as in the dataset.
        file: unique path relative to the source.
        group: patient, video or set of duplicates; the file itself if nothing is known.
        mask: encoded file of the abnormal region, or its bytes, or None if there is no mask.
        size: (width, height) in pixels of an image that this package has encoded itself; None for a file,
            which is decoded to check it.
    """

    image: pathlib.Path | bytes
    class_name: str
    file: str
    group: str
    mask: pathlib.Path | bytes | None = None
    size: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class CheckedImage:
    """The content of a source image, after it has been checked.

    Attributes:
        image: the encoded image.
        mask: the encoded mask; b"" if there is none.
        size: (width, height) of the image in pixels.
        digest: SHA-256 of image and mask, hexadecimal.
    """

    image: bytes
    mask: bytes
    size: tuple[int, int]
    digest: str


def read_images(images: Sequence[SourceImage]) -> Iterator[CheckedImage | str]:
    """Yields the content of each image or, if it cannot be read, one line that gives the reason."""
    if all(isinstance(image.image, bytes) for image in images):
        yield from map(_read_image, images)
        return
    # Threads are enough, because Pillow and hashlib release the interpreter lock while they work.
    chunks = [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for chunk in pool.map(lambda chunk: [_read_image(image) for image in chunk], chunks):
            yield from chunk


def _read_image(source: SourceImage) -> CheckedImage | str:
    """Reads and checks one image and its mask; returns the reason, as one line, if that fails."""
    part = ""
    try:
        image = source.image if isinstance(source.image, bytes) else source.image.read_bytes()
        size = source.size or decode.check_image(image)
        mask = b""
        if isinstance(source.mask, bytes):  # it has been united from several files
            part, mask = "its united mask: ", source.mask
        elif source.mask is not None:
            part = f"its mask {source.mask.name}: "
            mask = source.mask.read_bytes()
        if source.mask is not None:
            decode.check_mask(mask, image)
    except Exception as error:  # Pillow's plugins raise any error on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        if "cannot identify image file" in reason:
            reason = "not an image"
        return part + reason
    return CheckedImage(image, mask, size, hashlib.sha256(image + mask).hexdigest())
