"""The masks of the frames of a medical file: the slices of NIfTI files, or one image for a single frame."""

import dataclasses
import pathlib
from collections.abc import Sequence

from vae_jax.data import medical, nifti
from vae_jax.data.frame_file import encode_mask
from vae_jax.data.regular_file import read_file


@dataclasses.dataclass(frozen=True)
class FrameMasks:
    """The masks of one medical file.

    Attributes:
        files: encoded masks of a single frame.
        volumes: masks that have a slice for each slice of the image.
        image: the volume whose masks they are; None without masks of volumes.
    """

    files: list[bytes]
    volumes: list[nifti.Volume]
    image: nifti.Volume | None

    def read(self, frame: int) -> list[bytes]:
        """Returns the encoded masks of a frame.

        Raises:
            ValueError: if a mask is damaged, or its values are no labels.
        """
        slices = [volume.read_slice(frame, self.image) for volume in self.volumes]
        return self.files + [encode_mask(values) for values in slices]


def open_masks(
    image: pathlib.Path,
    masks: pathlib.Path | Sequence[pathlib.Path],
    num_frames: int,
    max_pixels: int,
) -> FrameMasks:
    """Opens the masks of a medical file.

    Args:
        image: the medical file.
        masks: its masks.
        num_frames: number of its frames.
        max_pixels: largest number of pixels of a mask that is accepted.

    Raises:
        ValueError: if a mask cannot belong to the image.
    """
    paths = [masks] if isinstance(masks, pathlib.Path) else list(masks)
    in_volumes = [path for path in paths if medical.is_nifti(path.name)]
    others = [path for path in paths if path not in in_volumes]
    refuse_volumes(others)
    if others and num_frames > 1:
        raise ValueError(
            f"one image for a file of {num_frames} frames; store the masks of a volume as NIfTI"
        )
    files = [read_file(path) for path in others]
    if not in_volumes:
        return FrameMasks(files, [], None)
    if not medical.is_nifti(image.name):
        raise ValueError("NIfTI masks belong to NIfTI images only; store the mask as PNG")
    volume = nifti.Volume(image, max_pixels)
    opened = [nifti.Volume(path, max_pixels) for path in in_volumes]
    for mask in opened:
        if mask.layout != volume.layout:
            raise ValueError(
                f"shape and orientation are {mask.layout}, but those of its image {volume.layout}; they "
                "must be equal"
            )
    return FrameMasks(files, opened, volume)


def refuse_volumes(masks: Sequence[pathlib.Path]) -> None:
    """Refuses masks that only a volume can have.

    Raises:
        ValueError: if one of them is a medical file.
    """
    if any(medical.is_medical(path.name) for path in masks):
        raise ValueError("a medical file cannot be the mask of this image; store it as PNG")
