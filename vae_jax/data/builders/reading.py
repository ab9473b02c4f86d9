"""Reads and checks the images of a source and their masks; it uses all cores if files must be decoded."""

import concurrent.futures
import dataclasses
import hashlib
import itertools
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from vae_jax.data import decode, medical
from vae_jax.data.builders import frame_masks, mask_levels
from vae_jax.data.regular_file import read_file
from vae_jax.validate import HIGHEST_MAX_PIXELS

_CHUNK = 16  # images per task of a thread
_MAX_NAMED = 5  # unreadable files that an error names; it only counts the others


@dataclasses.dataclass(frozen=True)
class SourceImage:
    """One image of the source, with everything that is known before it is decoded.

    Attributes:
        image: the encoded file, or its bytes if the source is not a folder of images.
        class_name: the class of the image, spelled as in the dataset.
        file: unique path relative to the source.
        group: patient, video or set of duplicates; the file itself if nothing is known.
        mask: encoded file of the abnormal region, or several of them, which are united, or the bytes of one
            mask, or None if there is no mask.
        size: (width, height) in pixels of an image that this package encodes itself; None for a file,
            which is decoded to check it.
        frame: number of a frame or slice of a medical file, from 0; None for all other images.
        num_frames: number of frames in that file.
        equal_to: name of the first image with the same pixels, if there are several of them; otherwise "".
    """

    image: pathlib.Path | bytes
    class_name: str
    file: str
    group: str
    mask: pathlib.Path | tuple[pathlib.Path, ...] | bytes | None = None
    size: tuple[int, int] | None = None
    frame: int | None = None
    num_frames: int = 1
    equal_to: str = ""


@dataclasses.dataclass(frozen=True)
class CheckedImage:
    """The content of a source image, after it has been checked.

    Attributes:
        image: the encoded image.
        mask: the encoded mask, brighter than half where the image is abnormal; b"" if there is none.
        num_marked: number of pixels that the mask marks.
        num_mask_pixels: number of pixels of the mask.
        size: (width, height) of the image in pixels.
        digest: SHA-256 of image and mask, hexadecimal.
    """

    image: bytes
    mask: bytes
    num_marked: int
    num_mask_pixels: int
    size: tuple[int, int]
    digest: str


def read_images(
    images: Sequence[SourceImage],
    mask_values: str = "auto",
    max_pixels: int = HIGHEST_MAX_PIXELS,
) -> Iterator[CheckedImage | str]:
    """Yields the content of each image or, if it cannot be read, one line that gives the reason.

    Args:
        images: the images to read.
        mask_values: which values of a mask are abnormal, a rule of `mask_levels.py`.
        max_pixels: images with more pixels are not read.
    """
    if all(isinstance(image.image, bytes) for image in images):
        yield from (read_image(image, mask_values, max_pixels) for image in images)
        return
    # Threads are enough, because Pillow and hashlib release the interpreter lock while they work.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for chunk in pool.map(
            lambda chunk: read_chunk(chunk, mask_values, max_pixels), make_chunks(images)
        ):
            yield from chunk


def make_chunks(images: Sequence[SourceImage]) -> list[list[SourceImage]]:
    """Divides images into tasks; frames of one medical file stay together, so that it is read once."""
    chunks: list[list[SourceImage]] = [[]]
    for image in images:
        last = chunks[-1][-1] if chunks[-1] else None
        same_file = image.frame is not None and last is not None and last.image == image.image
        if len(chunks[-1]) >= _CHUNK and not same_file:
            chunks.append([])
        chunks[-1].append(image)
    return chunks


def read_chunk(
    images: Sequence[SourceImage], mask_values: str, max_pixels: int
) -> list[CheckedImage | str]:
    """Reads a few images in this thread; see `read_images`."""
    contents = []
    for key, members in itertools.groupby(
        images, key=lambda image: None if image.frame is None else image.image
    ):
        if key is None:
            contents += [read_image(image, mask_values, max_pixels) for image in members]
        else:
            contents += _read_frames(list(members), mask_values, max_pixels)
    return contents


def _read_frames(
    sources: Sequence[SourceImage], mask_values: str, max_pixels: int
) -> list[CheckedImage | str]:
    """Reads some frames of one medical file, and their masks."""
    contents: list[CheckedImage | str] = []
    path = sources[0].image
    part = ""
    try:
        masks = None
        if sources[0].mask is not None:
            part = _describe_masks(sources[0].mask)
            masks = frame_masks.open_masks(path, sources[0].mask, sources[0].num_frames, max_pixels)
            part = ""
        frames = medical.read_frames(path, [source.frame for source in sources], max_pixels)
        for source, frame in zip(sources, frames, strict=True):
            size = decode.open_upright(frame.encoded).size
            digest = hashlib.sha256(frame.content)
            if masks is None:
                contents.append(CheckedImage(frame.encoded, b"", 0, 0, size, digest.hexdigest()))
                continue
            part = _describe_masks(source.mask)
            encoded_masks = masks.read(source.frame)
            for mask in encoded_masks:
                decode.check_mask(mask, frame.encoded, max_pixels)
            mask = mask_levels.standardise_masks(encoded_masks, mask_values)
            digest.update(mask.content)
            counts = mask.num_marked, mask.num_pixels
            contents.append(
                CheckedImage(frame.encoded, mask.encoded, *counts, size, digest.hexdigest())
            )
            part = ""
    except Exception as error:  # readers raise any error on damaged files
        contents += [part + decode.describe_error(error)] * (len(sources) - len(contents))
    return contents


def read_image(source: SourceImage, mask_values: str, max_pixels: int) -> CheckedImage | str:
    """Reads and checks one image and its mask; returns the reason, as one line, if that fails."""
    part = ""
    try:
        image = source.image if isinstance(source.image, bytes) else read_file(source.image)
        size = source.size or decode.check_image(image, max_pixels)
        if source.mask is None:
            return CheckedImage(image, b"", 0, 0, size, hashlib.sha256(image).hexdigest())
        part = _describe_masks(source.mask)
        masks = _read_masks(source.mask)
        for mask in masks:
            decode.check_mask(mask, image, max_pixels)
        mask = mask_levels.standardise_masks(masks, mask_values)
    except Exception as error:  # Pillow's plugins raise any error on damaged files
        return part + decode.describe_error(error)
    digest = hashlib.sha256(image + mask.content).hexdigest()
    return CheckedImage(image, mask.encoded, mask.num_marked, mask.num_pixels, size, digest)


def _read_masks(mask: pathlib.Path | tuple[pathlib.Path, ...] | bytes) -> list[bytes]:
    """Returns the content of the masks of one image."""
    if isinstance(mask, bytes):
        return [mask]
    paths = mask if isinstance(mask, tuple) else (mask,)
    frame_masks.refuse_volumes(paths)
    return [read_file(path) for path in paths]


def _describe_masks(mask: pathlib.Path | tuple[pathlib.Path, ...] | bytes) -> str:
    """Returns the beginning of a message about the masks of one image."""
    if isinstance(mask, bytes):
        return "its united mask: "
    paths = mask if isinstance(mask, tuple) else (mask,)
    return f"its mask {', '.join(path.name for path in paths)}: "


def describe_unreadable(reasons: Mapping[str, str]) -> str:
    """Returns an error message that names unreadable images, from file -> reason."""
    return (
        f"{len(reasons)} unreadable image{'s' if len(reasons) > 1 else ''}: {name_unreadable(reasons)}; "
        "replace them, or skip and list them with --config.data.skip_corrupt=true"
    )


def name_unreadable(reasons: Mapping[str, str]) -> str:
    """Returns the first few unreadable images with their reasons, and the number of the others."""
    named = "; ".join(f"{file} ({reason})" for file, reason in list(reasons.items())[:_MAX_NAMED])
    more = f"; and {len(reasons) - _MAX_NAMED} more" if len(reasons) > _MAX_NAMED else ""
    return named + more


def describe_lost_class(images: Sequence[SourceImage], reasons: Mapping[str, str]) -> str:
    """Returns an error message if no image of some class can be read, or "".

    Args:
        images: all images of the dataset.
        reasons: file -> reason, of the images that cannot be read.
    """
    classes = {image.class_name for image in images}
    lost = sorted(classes - {image.class_name for image in images if image.file not in reasons})
    if not lost:
        return ""
    part = "" if len(lost) == len(classes) else f" of the class {lost[0]}"
    reasons = {image.file: reasons[image.file] for image in images if image.class_name in lost}
    return f"no image{part} could be read; {describe_unreadable(reasons)}"
