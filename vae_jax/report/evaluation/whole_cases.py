"""Pictures of whole images that were cut into tiles: for the galleries of a report, and one by one.

All pictures of a gallery have the same size: a whole image is made smaller, if necessary, and put in the
middle of a white square.

T tiles of one image, n images, h w whole image, S side of the squares, C channels.
"""

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from vae_jax.data.examples import Examples
from vae_jax.data.shrink import shrink_images
from vae_jax.data.whole_images import (
    assemble_image,
    assemble_mask,
    lay_out_rows,
    list_tiles_of_images,
)
from vae_jax.scoring.pictures import Pictures
from vae_jax.scoring.stitching import Strip
from vae_jax.scoring.whole_maps import blend_whole_maps

_SIDE = 256  # pixels; S, unless the tiles are larger
_MAX_SIDE = 1300  # pixels; the longest side of an image that is drawn alone
_BATCH_SIZE = 64  # tiles whose maps are computed at a time

# Images, reconstructions or None, maps, and masks or None, of all cases.
WholePictures = tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray | None]


def draw_whole_images(
    pictures: Pictures, test: Examples, images: Int[np.ndarray, "n"]
) -> WholePictures:
    """Returns images, reconstructions, maps and masks of whole images, each [n, S, S, ...].

    Args:
        pictures: draws reconstructions and maps of tiles.
        test: tiles of all test images.
        images: rows of the whole images to draw.
    """
    side = max(_SIDE, test.images.shape[2])
    drawn = [
        _draw_whole_image(pictures, test, rows, side) for rows in list_tiles_of_images(test, images)
    ]
    channels = test.images.shape[3]
    shapes = {"image": (channels,), "reconstruction": (channels,), "map": (), "mask": ()}
    stacked = {
        name: np.array([part[name] for part in drawn], np.float32).reshape(-1, side, side, *shape)
        for name, shape in shapes.items()
        if not drawn or name in drawn[0]
    }
    reconstructions = None if pictures.map_name else stacked.get("reconstruction")
    masks = None if test.masks is None else stacked["mask"] > 0
    return stacked["image"], reconstructions, stacked["map"], masks


def _draw_whole_image(
    pictures: Pictures, test: Examples, rows: Int[np.ndarray, "T"], side: int
) -> dict[str, np.ndarray]:
    """Returns the pictures of one image, by name."""
    layout = lay_out_rows(test, rows)

    def compute_pictures(tiles: Examples) -> dict[str, np.ndarray]:
        reconstructions, maps = pictures.compute(tiles)
        computed = pictures.scale.apply({"map": maps})
        return (
            computed if reconstructions is None else computed | {"reconstruction": reconstructions}
        )

    drawn = dict(blend_whole_maps(compute_pictures, test, rows, _BATCH_SIZE).take_maps())
    drawn["map"] = np.maximum(drawn["map"], 0)
    drawn["image"] = assemble_image(test.images[rows], layout).astype(np.float32) / 255
    if test.masks is not None:
        drawn["mask"] = assemble_mask(test.masks[rows], layout).astype(np.float32)
    return {
        name: _fit(values, side, 1.0 if name in ("image", "reconstruction") else 0.0)
        for name, values in drawn.items()
    }


def draw_large_images(
    pictures: Pictures, test: Examples, images: Int[np.ndarray, "n"]
) -> list[Strip]:
    """Returns whole images with their blended maps, in their own shape.

    Args:
        pictures: draws maps of tiles.
        test: tiles of all test images.
        images: rows of the whole images to draw.
    """
    large = []
    for rows in list_tiles_of_images(test, images):
        layout = lay_out_rows(test, rows)
        whole = blend_whole_maps(
            lambda tiles: pictures.scale.apply({"map": pictures.compute(tiles)[1]}),
            test,
            rows,
            _BATCH_SIZE,
        )
        covered = whole.covered
        values = dict(whole.take_maps())["map"]
        mask = np.zeros(layout.shape, np.uint8)
        if test.masks is not None:
            mask = assemble_mask(test.masks[rows], layout)
        image = assemble_image(test.images[rows], layout)
        parts = [
            shrink_images(part.astype(np.float32)[None], _MAX_SIDE)[0]
            for part in (image, values[..., None], mask[..., None], covered[..., None])
        ]
        large.append(
            Strip(
                test.files[rows[0]],
                int(test.labels[rows[0]]),
                pictures.map_name or "error",
                np.rint(parts[0]).astype(np.uint8),
                parts[1][..., 0],
                (parts[2][..., 0] > 0).astype(np.uint8),
                parts[3][..., 0] > 0,
                noun="image",
            )
        )
    return large


def _fit(
    values: Float[np.ndarray, "h w *C"], side: int, margin: float
) -> Float[np.ndarray, "S S *C"]:
    """Returns a picture in the middle of a square whose margins have one value."""
    height, width = values.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = max(1, round(scale * width)), max(1, round(scale * height))
    square = np.full((side, side, *values.shape[2:]), margin, np.float32)
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    place = np.s_[top : top + size[1], left : left + size[0]]
    bands = values.reshape(height, width, -1)
    resized = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(bands[..., i])).resize(size, Image.Resampling.BOX)
        )
        for i in range(bands.shape[2])
    ]
    square[place] = np.stack(resized, -1).reshape(size[1], size[0], *values.shape[2:])
    return square
