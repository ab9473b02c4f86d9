"""Reads every image once, and keeps a few numbers and thumbnails of each.

N images, T crops of one image, D pixels of a thumbnail, F trivial features.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageChops

from vae_jax.audit.borders import Borders, measure_borders
from vae_jax.audit.image_facts import ImageFacts, MaskArea, Request
from vae_jax.data import decode
from vae_jax.data.builders.reading import CheckedImage, SourceImage, make_chunks, read_chunk
from vae_jax.data.crops import Crops, cut_crops
from vae_jax.data.framing import Framing
from vae_jax.data.image_file import open_image
from vae_jax.data.image_store import zero_outside_region
from vae_jax.data.intensity import KIND, REDUCED
from vae_jax.data.near_duplicates import MAX_IMAGES, make_thumbnails
from vae_jax.data.stored_values import is_deep, measure_levels
from vae_jax.data.view import measure_view_shares
from vae_jax.errors import UserError
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.scoring.trivial import compute_features

PICTURE = 112  # pixels; longer side of a picture for the page

_OVERVIEW = 96  # pixels; longer side of the image in which borders are measured
_NEAR_BLACK, _NEAR_WHITE = 8, 250  # grey levels up to which, or from which on, a pixel is empty
_BITS = {
    "1": 1,
    "I;16": 16,
    "I;16B": 16,
    "I;16L": 16,
    "I": 32,
    "F": 32,
}  # of Pillow's modes; others 8


def measure_images(sources: Sequence[SourceImage], request: Request) -> Iterator[ImageFacts | str]:
    """Yields the facts of each image or, if it cannot be read, one line that gives the reason."""
    # Images that this package has encoded are small; threads would only wait for the interpreter's lock.
    num_threads = 1 if sources and isinstance(sources[0].image, bytes) else os.cpu_count()
    with (
        contextlib.closing(open_progress_bar(len(sources), "auditing", "image")) as bar,
        concurrent.futures.ThreadPoolExecutor(num_threads) as pool,
    ):
        for facts in pool.map(lambda chunk: _measure_chunk(chunk, request), make_chunks(sources)):
            yield from facts
            bar.update(len(facts))


def can_keep_thumbnails(num_images: int) -> bool:
    """Returns whether so many images can be compared with each other."""
    return num_images <= MAX_IMAGES


def _measure_chunk(sources: Sequence[SourceImage], request: Request) -> list[ImageFacts | str]:
    contents = read_chunk(sources, request.mask_values, request.max_pixels)
    return [
        _measure_or_explain(checked, source.file in request.pictured, request)
        for source, checked in zip(sources, contents, strict=True)
    ]


def _measure_or_explain(
    checked: CheckedImage | str, is_pictured: bool, request: Request
) -> ImageFacts | str:
    """Measures one image; returns the reason, as one line, if it or its mask cannot be read."""
    if isinstance(checked, str):
        return checked
    try:
        return _measure_image(checked, is_pictured, request)
    except Exception as error:  # Pillow's plugins raise any error on damaged files
        return " ".join(str(error).split()) or type(error).__name__


def _measure_image(checked: CheckedImage, is_pictured: bool, request: Request) -> ImageFacts:
    framing, encoded = request.framing, checked.image
    with open_image(io.BytesIO(encoded)) as stored:
        file_format = stored.format or "unknown"
        tables = getattr(stored, "quantization", None)
        mode = stored.mode
    upright = decode.open_upright(encoded)
    whole = decode.decode_image(
        upright, None, 3, 1.0, framing.intensity, "stretch", framing.background
    )
    tones = _measure_tones(whole)
    borders = measure_borders(_shrink(whole, _OVERVIEW))
    stored_size = np.array([[upright.width, upright.height, len(encoded)]], np.int32)
    out_of_view = 1 - float(measure_view_shares(stored_size, framing)[0])
    crops, problem = _cut(checked, request)
    levels = measure_levels(upright)
    thumbnails = None
    if request.keeps_thumbnails:
        rows = np.arange(len(crops.images))
        thumbnails = make_thumbnails(crops.images, rows, framing.framing == "pad")
    return ImageFacts(
        width=upright.width,
        height=upright.height,
        num_bytes=len(encoded),
        file_format=file_format,
        kind=_describe_kind(mode, levels),
        is_coloured=tones.is_coloured,
        quantisation=float(np.mean(tables[0])) if tables else 0.0,
        levels=levels,
        digest=_hash_pixels(upright, whole),
        std=tones.std,
        black=tones.black,
        white=tones.white,
        borders=borders,
        visible_borders=borders if out_of_view == 0 else _measure_view(crops),
        out_of_view=out_of_view,
        mask=_measure_mask(checked, framing),
        features=compute_features(crops.images, np.repeat(stored_size, len(crops.images), axis=0))
        if len(crops.images)
        else {},
        crop_digests=[_hash(image.tobytes()) for image in crops.images],
        thumbnails=thumbnails,
        has_defect=crops.has_defect.tolist(),
        picture=_shrink(whole, PICTURE) if is_pictured else None,
        problem=problem,
    )


def _cut(checked: CheckedImage, request: Request) -> tuple[Crops, str]:
    """Returns the crops, and why they are not the tiles that were asked for, or ""."""
    problem = ""
    try:
        crops = cut_crops(checked.image, checked.mask or None, request.framing)
    except UserError as error:
        problem = str(error)
        whole = dataclasses.replace(request.framing, tile_stride=0)
        crops = cut_crops(checked.image, checked.mask or None, whole)
    if request.region is not None:
        images = zero_outside_region(crops.images, request.region.mask)
        crops = dataclasses.replace(crops, images=images)
    return crops, problem


def _describe_kind(mode: str, levels: tuple[int | float, ...]) -> str:
    bits = 16 if levels[KIND] == REDUCED else _BITS.get(mode, 8)
    return f"{mode.partition(';')[0]}, {bits} bit{'' if bits == 1 else 's'}"


def _hash_pixels(upright: Image.Image, whole: UInt8[np.ndarray, "H W 3"]) -> bytes:
    size = f"{upright.width}x{upright.height}".encode()
    if is_deep(upright):
        return _hash(size + np.asarray(upright).tobytes())
    return _hash(size + whole.tobytes())


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=12).digest()


def _shrink(image: UInt8[np.ndarray, "H W 3"], side: int) -> UInt8[np.ndarray, "h w 3"]:
    """Returns the image with its longer side shortened to `side` pixels; smaller images stay."""
    shrunk = Image.fromarray(np.ascontiguousarray(image))
    shrunk.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(shrunk)


class _Tones(NamedTuple):
    """Brightness and colour of one image; the fields are those of `ImageFacts`."""

    std: float
    black: float
    white: float
    is_coloured: bool


def _measure_tones(whole: UInt8[np.ndarray, "H W 3"]) -> _Tones:
    # Pillow's operations on channels are faster than NumPy's along an axis of three values.
    image = Image.fromarray(np.ascontiguousarray(whole))
    red, green, blue = image.split()
    levels = np.arange(256)
    grey, lightest, darkest = (
        np.array(band.histogram()) / (image.width * image.height)
        for band in (
            image.convert("L"),
            ImageChops.lighter(ImageChops.lighter(red, green), blue),
            ImageChops.darker(ImageChops.darker(red, green), blue),
        )
    )
    variance = (grey * levels**2).sum() - (grey * levels).sum() ** 2
    differences = (ImageChops.difference(red, other) for other in (green, blue))
    return _Tones(
        std=float(np.sqrt(max(variance, 0.0))),
        black=float(lightest[: _NEAR_BLACK + 1].sum()),
        white=float(darkest[_NEAR_WHITE:].sum()),
        is_coloured=any(difference.getbbox() is not None for difference in differences),
    )


def _measure_view(crops: Crops) -> Borders | None:
    if not len(crops.images):
        return None
    image = crops.images[0]
    return measure_borders(_shrink(np.broadcast_to(image, (*image.shape[:2], 3)), _OVERVIEW))


def _measure_mask(checked: CheckedImage, framing: Framing) -> MaskArea | None:
    if not checked.mask:
        return None
    visible = checked.num_marked
    if not framing.cuts_strips:
        visible = int(decode.decode_mask(checked.mask, None, framing.crop, framing.framing).sum())
    return MaskArea(checked.num_marked, visible, checked.num_mask_pixels)
