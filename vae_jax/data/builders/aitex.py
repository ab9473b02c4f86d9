"""AITEX: woven fabric in strips of 4096x256 pixels. Some have no defect, some have defects and masks.

Source: J. Silvestre-Blanes et al., A Public Fabric Database for Defect Detection Methods and Results,
Autex Research Journal 19(4), 2019.
"""

import collections
import logging
import pathlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from vae_jax.data import decode
from vae_jax.data.builders import png
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.builders.folder_walk import walk_folder
from vae_jax.data.builders.reading import SourceImage
from vae_jax.data.regular_file import read_file
from vae_jax.data.sources import OfficialSource
from vae_jax.errors import UserError
from vae_jax.runtime.printable import make_printable

_ROLLS, _DEFECTS, _MASKS = "NODefect_images", "Defect_images", "Mask_images"
# The number of the image, the code of the defect (000 means none) and the code of the fabric.
_NAME = re.compile(r"(?P<strip>\d+_\d+_(?P<fabric>\d+))(?P<mask>_mask\d*)?\.png", re.IGNORECASE)

_log = logging.getLogger(__name__)


class Aitex(ImageDatasetBuilder, skip_registration=True):
    """One split, `train`. Each image is a whole strip and a group of its own.

    If strips are cut into tiles, a tile of a defective strip has the class `defect` if the mask marks one
    of its pixels; otherwise it has the class `clean` and is always a test image. Several masks of one strip
    are united.
    """

    name = "vae_jax_aitex"
    CLASSES = ("roll", "defect", "clean")
    CLEAN_TILES = {"defect": "clean"}  # noqa: RUF012  (declared ClassVar in the base class)
    # New images may lie in folders with the official names.
    ALIASES = {_ROLLS: "roll", _DEFECTS: "defect"}  # noqa: RUF012
    MASK_VALUES = "half"  # the borders of the masks are smooth
    OFFICIAL = OfficialSource(
        address="https://www.aitex.es/afid/",
        files={f"{folder}.7z": None for folder in (_ROLLS, _DEFECTS, _MASKS)},
        layout=f"the folder with the unpacked {_ROLLS} (one folder per roll), {_DEFECTS} and {_MASKS}",
        manual_only=True,
    )

    @classmethod
    def locate_files(cls, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Finds the PNG files of the three folders; warns of file names that do not follow the pattern."""
        located, unknown = {}, []
        for part in (_ROLLS, _DEFECTS, _MASKS):
            paths = []
            if (folder / part).is_dir():
                paths = sorted(
                    directory / name
                    for directory, files, _ in walk_folder(folder / part)
                    for name in files
                    if name.endswith(".png")
                )
            if not paths:
                raise cls.OFFICIAL.make_error(f"{folder / part} has no images")
            for path in paths:
                match = _NAME.fullmatch(path.name)
                if match and bool(match["mask"]) == (part == _MASKS):
                    located[make_printable(path.relative_to(folder).as_posix())] = path
                else:
                    unknown.append(path.relative_to(folder).as_posix())
        if unknown:
            _log.warning(
                "aitex: ignored files whose names do not follow the pattern: %s", ", ".join(unknown)
            )
        return located

    @classmethod
    def parse_material(cls, file: str) -> str:
        """Returns the code of the fabric, the last of the three numbers in the name."""
        match = _NAME.fullmatch(file.rpartition("/")[2])
        return match["fabric"] if match else ""

    def list_images(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[SourceImage]]:
        """Joins strips and masks by name.

        Raises:
            UserError: if the masks of one strip cannot be united. The message names them.
        """
        masks = collections.defaultdict(list)
        for name, path in files.items():
            if name.startswith(_MASKS):
                masks[_NAME.fullmatch(path.name)["strip"]].append(path)
        num_masked = len(masks)
        images = []
        for name, path in files.items():
            if name.startswith(_ROLLS):
                images.append(SourceImage(path, "roll", name, name))
            elif name.startswith(_DEFECTS):
                parts = masks.pop(path.stem, [])
                mask = _unite_masks(parts) if len(parts) > 1 else parts[0] if parts else None
                images.append(SourceImage(path, "defect", name, name, mask))
        if masks:
            _log.warning(
                "aitex: the masks of %d of %d strips are ignored, because these strips do not exist: %s",
                len(masks), num_masked, ", ".join(sorted(masks)),
            )  # fmt: skip
        return {"train": images}


def _unite_masks(paths: Sequence[pathlib.Path]) -> bytes:
    """Returns one mask as PNG; it is white where at least one of the given masks is white."""
    try:
        mask = np.stack([decode.decode_whole_mask(read_file(path)) for path in paths]).any(axis=0)
    except Exception as error:  # Pillow's plugins raise any error; NumPy raises one if sizes differ
        raise UserError(
            f"{', '.join(path.name for path in paths)} cannot be united into one mask "
            f"({' '.join(str(error).split())}); get these files again"
        ) from error
    return png.encode_images(mask[None] * np.uint8(255))[0]
