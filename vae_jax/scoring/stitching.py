"""Assembly of tiles and their anomaly maps into the strip or the image that the tiles were cut from.

A value of the map of a strip is a weighted mean over the tiles that contain the place. The weight is small
near the ends of a tile, because a network sees little of the surroundings there, and the seam would be the
brightest line of the map. Tiles that cover an image are blended in the same way; their weight is small near
all four borders.

T tiles of one strip or image, n of them, N tiles of several strips, H W tile, H L strip, h w image, all in
pixels that the model sees. An upright strip is turned on its side, together with its tiles and masks.
"""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vae_jax.data.examples import Examples
from vae_jax.data.tiling import TileLayout


@dataclasses.dataclass(frozen=True)
class Strip:
    """A stored image that was assembled from its tiles.

    Attributes:
        file: path of the stored image.
        label: 1 if any of its tiles is an anomaly, else 0.
        map_name: name of the anomaly map.
        image: pixels as the model sees them; white where there is no tile.
        values: anomaly map, in standard deviations above calibration normals; 0 where there is no tile.
        mask: 1 where the image is abnormal.
        covered: which pixels belong to a tile and to the region of interest.
        noun: what it is for a reader, "strip", or "image" where it is judged as a whole.
    """

    file: str
    label: int
    map_name: str
    image: UInt8[np.ndarray, "H L C"]
    values: Float[np.ndarray, "H L"]
    mask: UInt8[np.ndarray, "H L"]
    covered: Bool[np.ndarray, "H L"]
    noun: str = "strip"

    @property
    def score(self) -> float:
        """Highest value of the map."""
        return float(self.values[self.covered].max())


def assemble_strip(
    test: Examples,
    rows: Int[np.ndarray, "T"],
    map_name: str,
    values: Float[np.ndarray, "T H W"],
    region: Bool[np.ndarray, "H W"] | None = None,
) -> Strip:
    """Assembles the tiles of a strip and their maps.

    Args:
        test: tiles of all strips.
        rows: rows of the tiles of one strip.
        map_name: name of the anomaly map.
        values: anomaly maps of these tiles.
        region: which pixels of a tile count; None for all of them.
    """
    width, height = test.stored_size[rows[0], :2].tolist()
    size = values.shape[1]
    scale = size / min(width, height)
    # Both are rounded half up, so the last tile ends where the strip ends.
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
    """Blends the maps of tiles into one map.

    The weight of a tile rises linearly from both ends to the middle. At every place the weights are divided
    by their sum, so they sum to one for any stride and if tiles are missing.

    Args:
        tiles: maps of the tiles.
        starts: first column of each tile.
        length: L.
        counts: which pixels of a tile have a value.

    Returns:
        The weighted mean of the tiles at each place, 0 where there is none; and the places with a value.
    """
    num_tiles, height, width = tiles.shape
    weight = _make_ramp(width) * counts
    total, weights = np.zeros((height, length)), np.zeros((height, length))
    for i in range(num_tiles):
        place = np.s_[:, starts[i] : starts[i] + width]
        total[place] += weight * np.where(counts, tiles[i], 0)
        weights[place] += weight
    covered = weights > 0
    return total / np.where(covered, weights, 1), covered


class WholeMaps:
    """Blends the maps of the tiles that cover one image; tiles are added in any number of parts.

    The weight of a tile rises linearly from all four borders to the middle. Memory holds one whole map for
    each name, and none of the tiles.

    Args:
        layout: where the tiles lie.
    """

    def __init__(self, layout: TileLayout):
        self._layout = layout
        ramp = _make_ramp(layout.tile_size).astype(np.float32)
        self._weight = np.outer(ramp, ramp)
        self._weights = np.zeros(layout.shape, np.float32)
        for tile in range(len(layout.starts)):
            self._weights[layout.place(tile)] += self._weight
        self._totals: dict[str, np.ndarray] = {}

    def add(self, first: int, maps: Mapping[str, Float[np.ndarray, "n H W *C"]]) -> None:
        """Adds consecutive tiles.

        Args:
            first: number of the first of these tiles in the layout.
            maps: name of a map, or of another picture -> its values for each of the tiles.
        """
        for name, tiles in maps.items():
            shape = (*self._layout.shape, *tiles.shape[3:])
            total = self._totals.setdefault(name, np.zeros(shape, np.float32))
            weight = self._weight.reshape(*self._weight.shape, *(1,) * (tiles.ndim - 3))
            for i, tile in enumerate(tiles):
                total[self._layout.place(first + i)] += weight * tile.astype(np.float32)

    @property
    def covered(self) -> Bool[np.ndarray, "h w"]:
        """Which pixels of the whole image belong to a tile."""
        return self._weights > 0

    def take_maps(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yields name and values [h, w] of each whole map, 0 where there is no tile, and forgets it."""
        weights = np.where(self.covered, self._weights, np.float32(1))
        while self._totals:
            name = next(iter(self._totals))
            total = self._totals.pop(name)
            total /= weights.reshape(*weights.shape, *(1,) * (total.ndim - 2))
            yield name, total


def _make_ramp(length: int) -> Int[np.ndarray, "_"]:
    """Returns weights that rise by one from both ends to the middle."""
    ramp = np.arange(1, length + 1)
    return np.minimum(ramp, ramp[::-1])
