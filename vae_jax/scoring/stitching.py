"""Tiles of a stored image, and their anomaly maps, put together again to the strip that they were cut from.

A value of a strip's map is the mean over the tiles that show the place, weighted by how far from a tile's
end it lies: there a network sees least of the surroundings, and a seam would be the brightest line.

T tiles of one strip, N tiles of several, H W tile, H L strip, all in pixels that the model sees. A strip
that stands upright is laid on its side, tiles and masks with it.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vae_jax.data.examples import Examples


@dataclasses.dataclass(frozen=True)
class Strip:
    """A stored image put together from its tiles.

    Attributes:
        file: path of the stored image.
        label: 1 if any of its tiles is an anomaly.
        map_name: whose map it is.
        image: as the model saw it; white where no tile is.
        values: standard deviations above calibration normals; 0 where no tile is.
        mask: 1 where abnormal.
        covered: which pixels a tile shows, and the region of interest holds.
    """

    file: str
    label: int
    map_name: str
    image: UInt8[np.ndarray, "H L C"]
    values: Float[np.ndarray, "H L"]
    mask: UInt8[np.ndarray, "H L"]
    covered: Bool[np.ndarray, "H L"]

    @property
    def score(self) -> float:
        """The highest value of the map."""
        return float(self.values[self.covered].max())


def assemble_strip(
    test: Examples,
    rows: Int[np.ndarray, "T"],
    map_name: str,
    values: Float[np.ndarray, "T H W"],
    region: Bool[np.ndarray, "H W"] | None = None,
) -> Strip:
    """Puts the tiles of a strip, and their maps, in their places.

    Args:
        test: tiles of any strips.
        rows: those of one strip.
        map_name: whose map it is.
        values: maps of these tiles.
        region: which pixels of a tile count; None for all.
    """
    width, height = test.stored_size[rows[0], :2].tolist()
    size = values.shape[1]
    scale = size / min(width, height)
    # Rounded half up, so that the last tile ends where the strip does.
    starts = np.floor(test.offsets[rows] * scale + 0.5).astype(np.int64)
    length = int(np.floor(max(width, height) * scale + 0.5))
    images = test.images[rows]
    masks = np.zeros(values.shape, np.uint8) if test.masks is None else test.masks[rows]
    counts = np.ones(values.shape[1:], bool) if region is None else region
    if height > width:
        images, values, masks = (array.swapaxes(1, 2) for array in (images, values, masks))
        counts = counts.T
    image = np.full((size, length, images.shape[3]), 255, np.uint8)
    mask = np.zeros((size, length), np.uint8)
    for start, tile, tile_mask in zip(starts, images, masks, strict=True):
        image[:, start : start + size] = tile
        mask[:, start : start + size] |= tile_mask
    blended, covered = blend_tiles(values, starts, length, counts)
    label = int(test.labels[rows].any())
    return Strip(test.files[rows[0]], label, map_name, image, blended, mask, covered)


def blend_tiles(
    tiles: Float[np.ndarray, "T H W"],
    starts: Int[np.ndarray, "T"],
    length: int,
    counts: Bool[np.ndarray, "H W"],
) -> tuple[Float[np.ndarray, "H L"], Bool[np.ndarray, "H L"]]:
    """Returns the weighted mean of the tiles at each place, and which places have one.

    A tile's weight rises linearly from either end to its middle; divided by their sum, the weights at a
    place sum to one, whatever the stride and whichever tiles are there. Where none is, the value is 0.

    Args:
        tiles: their maps.
        starts: first column of each.
        length: L.
        counts: which pixels of a tile have a value.
    """
    num_tiles, height, width = tiles.shape
    ramp = np.arange(1, width + 1)
    weight = np.minimum(ramp, ramp[::-1]) * counts
    total, weights = np.zeros((height, length)), np.zeros((height, length))
    for i in range(num_tiles):
        place = np.s_[:, starts[i] : starts[i] + width]
        total[place] += weight * np.where(counts, tiles[i], 0)
        weights[place] += weight
    covered = weights > 0
    return total / np.where(covered, weights, 1), covered
