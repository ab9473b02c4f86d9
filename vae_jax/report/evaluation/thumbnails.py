"""Small pictures of the test images for the gallery of the page, and the sheets that hold them.

N test images, n thumbnails of s pixels, H W image, C channels.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int, UInt8
from PIL import Image

from vae_jax.data.examples import Examples
from vae_jax.data.whole_images import assemble_image, lay_out_rows, list_tiles_of_images
from vae_jax.report.evaluation.cases import Thumbnails
from vae_jax.report.images import encode_webp, make_mosaic

SIDE = 72  # pixels; the longest side of a thumbnail
COLUMNS = 16  # thumbnails in each row of a sheet
ROWS = 16  # rows of a sheet
_MAX_IMAGES = 4000  # the gallery shows all test images up to this number
_BATCH_SIZE = 256  # images in memory at a time
# A sheet is as good as the budget of all sheets allows: the qualities of WebP that are tried in turn.
_QUALITIES = (80, 65, 50, 35, 20)


def make_thumbnails(
    rows_of_model: Examples,
    test: Examples,
    flagged: Bool[np.ndarray, "N"],
    shown: Int[np.ndarray, "_"],
    seed: int,
) -> Thumbnails | None:
    """Returns thumbnails of all test images, or of a choice if there are too many; None without images.

    Args:
        rows_of_model: the test images as the model sees them: whole images, or their tiles.
        test: the test images, one row per whole image.
        flagged: which of them are flagged.
        shown: rows of images that other galleries show, which therefore have a thumbnail.
        seed: seed of the random choice.
    """
    if not len(test):
        return None
    rows = choose_thumbnails(test.labels, flagged, shown, seed)
    if rows_of_model.boxes is None:
        pictures = _shrink_images(test, rows)
    else:
        pictures = _shrink_whole_images(rows_of_model, rows)
    names = test.names
    return Thumbnails(
        rows,
        [names[row] for row in rows.tolist()],
        np.stack(list(pictures)),
        len(rows) == len(test),
    )


def choose_thumbnails(
    labels: Int[np.ndarray, "N"],
    flagged: Bool[np.ndarray, "N"],
    shown: Int[np.ndarray, "_"],
    seed: int,
    max_images: int = _MAX_IMAGES,
) -> Int[np.ndarray, "n"]:
    """Chooses the images of the gallery: all, or the shown and wrong ones first and others at random.

    Images that are decided wrongly take at most half of the places.
    """
    count = len(labels)
    if count <= max_images:
        return np.arange(count)
    rng = np.random.default_rng((seed, count))
    wrong = rng.permutation(np.flatnonzero(flagged != (labels == 1)))[: max_images // 2]
    order = np.concatenate([shown, wrong, rng.permutation(count)])
    _, first = np.unique(order, return_index=True)
    return np.sort(order[np.sort(first)][:max_images])


def _shrink_images(
    test: Examples, rows: Int[np.ndarray, "n"]
) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
    for start in range(0, len(rows), _BATCH_SIZE):
        for image in test.take(rows[start : start + _BATCH_SIZE]).images[:]:
            yield shrink(image)


def _shrink_whole_images(
    tiles: Examples, rows: Int[np.ndarray, "n"]
) -> Iterator[UInt8[np.ndarray, "s s 3"]]:
    for tile_rows in list_tiles_of_images(tiles, rows):
        layout = lay_out_rows(tiles, tile_rows)
        yield shrink(assemble_image(tiles.images[tile_rows], layout), SIDE)


def shrink(image: UInt8[np.ndarray, "H W C"], side: int = 0) -> UInt8[np.ndarray, "s s 3"]:
    """Returns an image in the middle of a grey square, its longest side as long as that of the square.

    Args:
        image: the image.
        side: side of the square; 0 for that of the image, but at most `SIDE`.
    """
    height, width, channels = image.shape
    longest = max(height, width)
    side = side or min(SIDE, longest)
    picture = Image.fromarray(image[..., 0] if channels == 1 else image).convert("RGB")
    if longest != side:
        size = max(1, round(width * side / longest)), max(1, round(height * side / longest))
        picture = picture.resize(size, Image.Resampling.BOX)
    square = Image.new("RGB", (side, side), (128, 128, 128))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return np.asarray(square)


def encode_sheets(pixels: UInt8[np.ndarray, "n s s 3"], budget: int) -> list[bytes]:
    """Returns the thumbnails on sheets, as WebP, row by row.

    Args:
        pixels: the thumbnails.
        budget: most bytes of all sheets together. If even the lowest quality needs more, there are none.
    """
    per_sheet = COLUMNS * ROWS
    mosaics = [
        make_mosaic(pixels[start : start + per_sheet], COLUMNS, gap=0)
        for start in range(0, len(pixels), per_sheet)
    ]
    for quality in _QUALITIES:
        # One sheet tells how much all of them need, so that a quality that is too high costs little.
        first = encode_webp(mosaics[0], quality)
        if len(mosaics) > 1 and len(first) * len(pixels) / per_sheet > 1.3 * budget:
            continue
        sheets = [first, *(encode_webp(mosaic, quality) for mosaic in mosaics[1:])]
        if sum(map(len, sheets)) <= budget:
            return sheets
    return []
