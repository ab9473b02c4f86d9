"""What a corruption starts from, and the operations on images that corruptions are made of.

Images are floats in grey levels, 0 to 255. H W image, C channels.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

_COARSE = 1 / 16  # standard deviation of the blur that leaves no details, relative to the side
_MIN_CONTRAST = 6.0  # grey levels; of an image that is nearly constant


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a corruption starts from.

    Attributes:
        image: the normal image, grey levels. Outside the region each pixel repeats the nearest one inside,
            so that what a corruption moves comes from the region.
        donor: the image that a pasted patch comes from, filled outside the region in the same way.
        region: True where a pixel counts.
        contrast: the unit of the strength of corruptions, grey levels: the geometric mean of the standard
            deviations of the grey image and of its details inside the region.
    """

    image: Float[np.ndarray, "H W C"]
    donor: Float[np.ndarray, "H W C"]
    region: Bool[np.ndarray, "H W"]
    contrast: float

    @property
    def side(self) -> float:
        """Side of the square that has as many pixels as the image."""
        return math.sqrt(self.region.size)


def make_scene(
    image: UInt8[np.ndarray, "H W C"],
    donor: UInt8[np.ndarray, "H W C"],
    region: Bool[np.ndarray, "H W"],
) -> Scene:
    """Returns the scene of an image.

    Args:
        image: a normal image.
        donor: the image that a pasted patch comes from.
        region: True where a pixel counts; at least one does.
    """
    nearest = ndimage.distance_transform_edt(~region, return_distances=False, return_indices=True)
    filled = [source[tuple(nearest)].astype(np.float64) for source in (image, donor)]
    grey = filled[0].mean(axis=2)
    details = grey - ndimage.gaussian_filter(grey, _COARSE * math.sqrt(region.size))
    # The image alone says too much where its parts differ in brightness, the details alone too little.
    contrast = math.sqrt(grey[region].std() * details[region].std())
    return Scene(*filled, region, max(contrast, _MIN_CONTRAST))


def blend_images(
    image: Float[np.ndarray, "H W C"],
    altered: Float[np.ndarray, "H W C"],
    weight: Float[np.ndarray, "H W"],
) -> Float[np.ndarray, "H W C"]:
    """Returns the image, and the altered image where the weight is 1."""
    return image + weight[..., None] * (altered - image)


def blur_image(image: Float[np.ndarray, "H W C"], sigma: float) -> Float[np.ndarray, "H W C"]:
    """Returns the image after a Gaussian blur, whose standard deviation is in pixels."""
    return ndimage.gaussian_filter(image, (sigma, sigma, 0))


def sample_image(
    image: Float[np.ndarray, "H W C"], points: Float[np.ndarray, "2 H W"]
) -> Float[np.ndarray, "H W C"]:
    """Returns the bilinear values of an image at rows and columns; beyond its edge it is mirrored."""
    channels = np.moveaxis(image, 2, 0)
    return np.stack(
        [ndimage.map_coordinates(channel, points, order=1, mode="mirror") for channel in channels],
        axis=2,
    )


def turn_points(
    size: tuple[int, int],
    centre: np.ndarray,
    origin: np.ndarray,
    angle: float,
    scale: float = 1.0,
) -> Float[np.ndarray, "2 H W"]:
    """Returns the points that a turned and scaled copy reads: at `centre` it reads the pixel `origin`."""
    rows, columns = np.indices(size) - np.reshape(centre, (2, 1, 1))
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    turned = np.stack([cosine * rows - sine * columns, sine * rows + cosine * columns])
    return turned + np.reshape(origin, (2, 1, 1))
