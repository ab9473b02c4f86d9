"""The handwritten digits that scikit-learn carries: 1,797 images, 8x8, grey. Nothing is downloaded.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test part).
"""

import pathlib
from collections.abc import Mapping

import numpy as np

from vae_jax.data.builders import png
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.builders.reading import SourceImage


class Digits(ImageDatasetBuilder, skip_registration=True):
    """One split, `train`; the writers of the digits are not known, so each image is its own group."""

    name = "vae_jax_digits"
    CLASSES = tuple("0123456789")
    OFFICIAL = None

    @classmethod
    def locate_files(cls, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Needs no file."""
        del folder
        return {}

    def list_images(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[SourceImage]]:
        """Scales the 17 grey levels 0..16 to 0..255."""
        from sklearn import datasets  # slow to import, and only needed here

        del files
        bunch = datasets.load_digits()
        images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
        return {
            "train": [
                SourceImage(encoded, str(target), f"{index:05}", f"{index:05}", size=(8, 8))
                for index, (encoded, target) in enumerate(
                    zip(png.encode_images(images), bunch.target, strict=True)
                )
            ]
        }
