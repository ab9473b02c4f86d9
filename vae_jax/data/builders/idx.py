"""The MNIST family: images and labels in idx files, with an official test split.

Source of the format: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits, section
"File formats for the MNIST database".
"""

import math
import pathlib
import struct
from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8

from vae_jax.data.archives import read_start
from vae_jax.data.builders import png
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.builders.reading import SourceImage
from vae_jax.data.regular_file import MAX_BYTES
from vae_jax.data.sources import OfficialSource
from vae_jax.errors import UserError

_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
_MAGIC = {
    1: 0x00000801,
    3: 0x00000803,
}  # number of dimensions -> first word of a file of unsigned bytes
_LAYOUT = "the folder with these four files, with or without .gz"


class Idx(ImageDatasetBuilder, skip_registration=True):
    """Splits `train` and `test`, classes `0` to `9`. Each image is its own group."""

    CLASSES = tuple("0123456789")

    @classmethod
    def locate_files(cls, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Finds the four files, each of them compressed or not."""
        located, missing = {}, []
        for name in (name for pair in _FILES.values() for name in pair):
            paths = [folder / name, folder / name.removesuffix(".gz")]
            present = [path for path in paths if path.is_file() and path.stat().st_size]
            if present:
                located[name] = present[0]
            else:
                missing.append(name)
        if missing:
            raise cls.OFFICIAL.make_error(f"{folder} lacks {', '.join(missing)}")
        return located

    def list_images(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[SourceImage]]:
        """Returns the images of both splits, each encoded as PNG.

        Raises:
            UserError: if a file is damaged, or two files do not belong together. The message names them.
        """
        splits = {}
        for split, (image_file, label_file) in _FILES.items():
            images, labels = read_idx(files[image_file], 3), read_idx(files[label_file], 1)
            if len(images) != len(labels):
                raise UserError(
                    f"{files[image_file]} holds {len(images)} images but {files[label_file]} "
                    f"{len(labels)} labels; these files do not belong together: get both again"
                )
            if labels.max(initial=0) > 9:
                raise UserError(f"{files[label_file]} has the label {labels.max()}; valid: 0 to 9")
            size = (images.shape[2], images.shape[1])
            names = [f"{split}/{index:05}" for index in range(len(images))]
            splits[split] = [
                SourceImage(encoded, str(label), name, name, size=size)
                for encoded, label, name in zip(
                    png.encode_images(images), labels, names, strict=True
                )
            ]
        return splits


class Mnist(Idx, skip_registration=True):
    """60,000 + 10,000 grey images of handwritten digits, 28x28 pixels (LeCun, Cortes, Burges)."""

    name = "vae_jax_mnist"
    OFFICIAL = OfficialSource(
        address="https://storage.googleapis.com/cvdf-datasets/mnist/",
        files={
            "train-images-idx3-ubyte.gz": (
                9912422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            "train-labels-idx1-ubyte.gz": (
                28881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            "t10k-images-idx3-ubyte.gz": (
                1648877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            "t10k-labels-idx1-ubyte.gz": (
                4542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        },
        layout=_LAYOUT,
    )


class FashionMnist(Idx, skip_registration=True):
    """60,000 + 10,000 grey images of clothes, 28x28 pixels (H. Xiao, K. Rasul, R. Vollgraf, 2017)."""

    name = "vae_jax_fashion_mnist"
    OFFICIAL = OfficialSource(
        address="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        files={
            "train-images-idx3-ubyte.gz": (
                26421880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            "train-labels-idx1-ubyte.gz": (
                29515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            "t10k-images-idx3-ubyte.gz": (
                4422102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            "t10k-labels-idx1-ubyte.gz": (
                5148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        },
        layout=_LAYOUT,
    )


def read_idx(path: pathlib.Path, num_dimensions: int) -> UInt8[np.ndarray, "..."]:
    """Reads an idx file of unsigned bytes.

    Args:
        path: the file, compressed with gzip or not.
        num_dimensions: number of dimensions of the array, 1 or 3.

    Returns:
        The array, with the shape in the header of the file.

    Raises:
        UserError: if the file is damaged or has another format. The message names it.
    """
    num_header = 4 * (1 + num_dimensions)
    try:
        header = read_start(path, num_header)
        if len(header) < num_header:
            raise ValueError("it ends within its header")
        magic, *shape = struct.unpack(f">{1 + num_dimensions}I", header)
        if magic != _MAGIC[num_dimensions]:
            raise UserError(
                f"{path} starts with 0x{magic:08x}, not 0x{_MAGIC[num_dimensions]:08x}; "
                "it is not the idx file that its name promises: get it again"
            )
        expected = math.prod(shape)
        announced = f"its header {tuple(shape)} announces {expected} bytes"
        if expected > MAX_BYTES:
            raise ValueError(f"{announced}, more than the limit of {MAX_BYTES}")
        # One byte more shows whether the file ends there.
        content = read_start(path, num_header + expected + 1)
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); get it again") from error
    num_bytes = len(content) - num_header
    if num_bytes != expected:
        follow = f"{num_bytes} follow" if num_bytes < expected else "more follow"
        raise UserError(f"{path} is damaged: {announced}, but {follow}; get it again")
    return np.frombuffer(content, np.uint8, offset=num_header).reshape(shape)
