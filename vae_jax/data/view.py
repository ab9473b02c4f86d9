"""What of the stored images is in view: which share of their area, and which anomalies are left in it.

N images.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float64, Int

from vae_jax.data.examples import Examples
from vae_jax.data.framing import Framing
from vae_jax.data.region import Region


def measure_view_shares(
    stored_size: Int[np.ndarray, "N 3"], framing: Framing
) -> Float64[np.ndarray, "N"]:
    """Returns the share of each stored image's area that the model sees, apart from a region of interest.

    Args:
        stored_size: width, height and bytes of each image.
        framing: how images become squares or tiles.
    """
    if framing.cuts_strips:
        return np.ones(len(stored_size))
    shares = np.full(len(stored_size), float(framing.crop**2))
    if framing.framing == "crop":
        short, long = np.sort(stored_size[:, :2].astype(np.float64)).T
        shares *= short / long
    return shares


def hide_outside_region(examples: Examples, region: Region) -> Bool[np.ndarray, "N"]:
    """Returns in which images no marked pixel is in view, if pixels outside a region are hidden."""
    out_of_view = examples.out_of_view.copy()
    if examples.masks is None:
        return out_of_view
    for row in np.flatnonzero(examples.has_mask & (examples.labels == 1)):
        mask = examples.masks[int(row)]
        out_of_view[row] |= bool(mask.any() and not mask[region.mask].any())
    return out_of_view


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How much of the test images is in view.

    Attributes:
        mean_share: mean share of the area of a stored image.
        num_partial: number of images that are not seen whole.
        num_masked_anomalies: number of anomalies with a mask.
        num_out_of_view: number of anomalies whose mask marks no pixel that the model sees.
    """

    mean_share: float
    num_partial: int
    num_masked_anomalies: int
    num_out_of_view: int


def summarise_view(test: Examples) -> Coverage:
    """Returns how much of the images of the test role is in view."""
    shares = np.ones(len(test)) if test.view_share is None else test.view_share
    masked = (test.labels == 1) & test.has_mask
    lost = np.zeros(len(test), bool) if test.out_of_view is None else test.out_of_view
    return Coverage(
        mean_share=float(shares.mean()),
        num_partial=int((shares < 1).sum()),
        num_masked_anomalies=int(masked.sum()),
        num_out_of_view=int((masked & lost).sum()),
    )


def count_mask_regions(test: Examples) -> tuple[int, int]:
    """Counts the marked regions of anomalies that are in view; those of tiles in each tile.

    Returns:
        Their number; and how many of them have one pixel only because no region may be lost where its mask
        is resized.
    """
    if test.mask_regions is None:
        return 0, 0
    num_regions, num_kept = test.mask_regions[test.labels == 1].sum(axis=0).tolist()
    return num_regions, num_kept
