"""The handwritten digits of scikit-learn: 1,797 grey images of 8x8 pixels. Nothing is downloaded.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (the test part).
"""

import pathlib
from collections.abc import Mapping

import numpy as np

from vae_jax.data.builders import png
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.builders.reading import SourceImage


class Digits(ImageDatasetBuilder, skip_registration=True):
    """One split, `train`. The writers of the digits are unknown, so each image is its own group."""

    name = "vae_jax_digits"
    CLASSES = tuple("0123456789")
    OFFICIAL = None

    @classmethod
    def locate_files(cls, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Returns no file, because the dataset needs none."""
        del folder
        return {}

    def list_images(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[SourceImage]]:
        """Returns the images, with the 17 grey levels 0 to 16 scaled to 0 to 255."""
        from sklearn import datasets  # this import is slow, and only this function needs it

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
