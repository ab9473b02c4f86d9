"""Random shapes that a synthetic anomaly fills: smooth blobs and turned rectangles.

A shape has between 0.5 % and 10 % of the area of the region of interest and lies inside the region. All
diameters between these two are as frequent.

H W image.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

# Smallest and largest share of the region that a shape covers.
AREA = (0.005, 0.1)

_HARMONICS = np.arange(2, 6)  # waves along the outline of a blob
_WAVINESS = 0.25  # size of these waves, relative to the radius


@dataclasses.dataclass(frozen=True)
class Shape:
    """Where an image changes.

    Attributes:
        mask: True inside the shape.
        weight: how much of the change a pixel gets, from 1 deep inside to 0 beyond the edge; it is 0
            outside the region of interest.
        radius: radius of the disc of the same area, pixels.
    """

    mask: Bool[np.ndarray, "H W"]
    weight: Float[np.ndarray, "H W"]
    radius: float


def draw_blob(region: Bool[np.ndarray, "H W"], rng: np.random.Generator) -> Shape:
    """Returns an ellipse with a wavy outline and a soft edge.

    Args:
        region: True where a pixel counts; at least one does.
        rng: source of the position, area, form and softness.
    """
    area = _draw_area(region, rng)
    radius = math.sqrt(area / math.pi)
    u, v = _draw_axes(region, math.exp(rng.uniform(0, math.log(2.5))), rng)
    amplitudes = _WAVINESS * rng.normal(size=_HARMONICS.size) / _HARMONICS
    phases = rng.uniform(0, 2 * math.pi, _HARMONICS.size)
    waves = np.cos(np.arctan2(v, u)[..., None] * _HARMONICS + phases) @ amplitudes
    distance = np.hypot(u, v) / radius * np.exp(waves)
    mask, level = _take_nearest(distance, region, area)
    edge = rng.uniform(0.25, 0.6)
    share = np.clip((level - distance) / (edge * level) + 0.5, 0, 1)
    return Shape(mask, np.where(region, share * share * (3 - 2 * share), 0), radius)


def draw_rectangle(region: Bool[np.ndarray, "H W"], rng: np.random.Generator) -> Shape:
    """Returns a turned rectangle, from a square to a scar of eight times its width, with a sharp edge.

    Args:
        region: True where a pixel counts; at least one does.
        rng: source of the position, area, form and angle.
    """
    area = _draw_area(region, rng)
    u, v = _draw_axes(region, math.exp(rng.uniform(0, math.log(8))), rng)
    mask, _ = _take_nearest(np.maximum(np.abs(u), np.abs(v)), region, area)
    # The edge is as sharp as that of an object in a photograph, not of pixels that were cut out.
    weight = ndimage.gaussian_filter(mask.astype(np.float64), 0.6)
    return Shape(mask, np.where(region, weight, 0), math.sqrt(area / math.pi))


def _draw_area(region: Bool[np.ndarray, "H W"], rng: np.random.Generator) -> int:
    """Returns a number of pixels: a share within AREA of the region's pixels, at least one."""
    num_pixels = int(region.sum())
    share = rng.uniform(*np.sqrt(AREA)) ** 2
    low, high = math.ceil(AREA[0] * num_pixels), math.floor(AREA[1] * num_pixels)
    return max(low, min(round(share * num_pixels), high))


def _draw_axes(
    region: Bool[np.ndarray, "H W"], aspect: float, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "H W"], Float[np.ndarray, "H W"]]:
    """Returns coordinates about a random pixel of the region, turned, and scaled to a ratio of sides."""
    # Half a pixel at random, because a shape of few pixels has no pixel in its middle in general.
    row, column = np.argwhere(region)[rng.integers(region.sum())] + rng.uniform(-0.5, 0.5, 2)
    angle = rng.uniform(0, math.pi)
    rows, columns = np.indices(region.shape)
    rows, columns = rows - row, columns - column
    along = rows * math.sin(angle) + columns * math.cos(angle)
    across = rows * math.cos(angle) - columns * math.sin(angle)
    return along / math.sqrt(aspect), across * math.sqrt(aspect)


def _take_nearest(
    distance: Float[np.ndarray, "H W"], region: Bool[np.ndarray, "H W"], area: int
) -> tuple[Bool[np.ndarray, "H W"], float]:
    """Returns the `area` pixels of the region that are nearest, and the largest distance among them."""
    order = np.argsort(np.where(region, distance, np.inf), axis=None, kind="stable")[:area]
    mask = np.zeros(region.shape, bool)
    mask.flat[order] = True
    return mask, float(distance.flat[order[-1]])
