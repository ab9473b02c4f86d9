"""The region of interest: the pixels that count in loss, scores, maps and metrics.

B batch, H W image, C channels, P pixels in the region.
"""

import dataclasses

import numpy as np
from jaxtyping import Array, Bool, Float


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """Which pixels count, the same for every image.

    Attributes:
        mask: True where a pixel counts; at least one does.
    """

    mask: Bool[np.ndarray, "H W"]

    def pixels(self, values: Float[Array, "B h w C"]) -> Float[Array, "B 1 P C"]:
        """Returns the values inside, as a line of pixels, so that means and sums run over them alone.

        Values of a smaller grid (as of a window that fits inside the image) lie in the image's middle.
        """
        height, width = values.shape[1:3]
        top, left = (self.mask.shape[0] - height) // 2, (self.mask.shape[1] - width) // 2
        inside = np.flatnonzero(self.mask[top : top + height, left : left + width])
        flat = values.reshape(len(values), height * width, -1)
        return flat[:, inside][:, None]

    def cover(self, images: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Returns the images, black outside."""
        return images * self.mask[None, :, :, None].astype(np.float32)
