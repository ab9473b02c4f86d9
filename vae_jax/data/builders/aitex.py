"""AITEX: woven fabric in strips of 4096x256 pixels, by the roll without defects, and with masks of defects.

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
from vae_jax.data.builders.reading import SourceImage
from vae_jax.data.sources import OfficialSource
from vae_jax.errors import UserError

_ROLLS, _DEFECTS, _MASKS = "NODefect_images", "Defect_images", "Mask_images"
# Number of the image, code of the defect (000 none), code of the fabric.
_NAME = re.compile(r"(?P<strip>\d+_\d+_(?P<fabric>\d+))(?P<mask>_mask\d*)?\.png", re.IGNORECASE)

_log = logging.getLogger(__name__)


class Aitex(ImageDatasetBuilder, skip_registration=True):
    """One split, `train`; an image is a whole strip, and so is a group.

    Cut into tiles, a defective strip gives tiles of the class `defect`, where the mask marks a pixel, and
    `clean` ones elsewhere, which are only ever tested on. Where a strip has several masks, they are one.
    """

    name = "vae_jax_aitex"
    CLASSES = ("roll", "defect", "clean")
    CLEAN_TILES = {"defect": "clean"}  # noqa: RUF012  (declared ClassVar in the base class)
    OFFICIAL = OfficialSource(
        address="https://www.aitex.es/afid/",
        files={f"{folder}.7z": None for folder in (_ROLLS, _DEFECTS, _MASKS)},
        layout=f"the folder with the unpacked {_ROLLS} (one folder a roll), {_DEFECTS} and {_MASKS}",
        manual_only=True,
    )

    @classmethod
    def locate_files(cls, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Finds the PNG files of the three folders; warns of those whose names say nothing."""
        found, unknown = {}, []
        for part in (_ROLLS, _DEFECTS, _MASKS):
            paths = [path for path in sorted((folder / part).rglob("*.png")) if path.name[0] != "."]
            if not paths:
                raise cls.OFFICIAL.make_error(f"{folder / part} has no images")
            for path in paths:
                known = _NAME.fullmatch(path.name)
                if known and bool(known["mask"]) == (part == _MASKS):
                    found[path.relative_to(folder).as_posix()] = path
                else:
                    unknown.append(path.relative_to(folder).as_posix())
        if unknown:
            _log.warning("aitex: left out files of unknown name: %s", ", ".join(unknown))
        return found

    @classmethod
    def parse_material(cls, file: str) -> str:
        """Returns the code of the fabric, the last of the three numbers in the name."""
        found = _NAME.fullmatch(file.rpartition("/")[2])
        return found["fabric"] if found else ""

    def list_images(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[SourceImage]]:
        """Joins strips and masks by name.

        Raises:
            UserError: names masks of one strip that cannot be united.
        """
        masks = collections.defaultdict(list)
        for name, path in files.items():
            if name.startswith(_MASKS):
                masks[_NAME.fullmatch(path.name)["strip"]].append(path)
        listed = []
        for name, path in files.items():
            if name.startswith(_ROLLS):
                listed.append(SourceImage(path, "roll", name, name))
            elif name.startswith(_DEFECTS):
                own = masks.pop(path.stem, [])
                mask = _united(own) if len(own) > 1 else own[0] if own else None
                listed.append(SourceImage(path, "defect", name, name, mask))
        if masks:
            _log.warning("aitex: masks of strips that are not there: %s", ", ".join(sorted(masks)))
        return {"train": listed}


def _united(paths: Sequence[pathlib.Path]) -> bytes:
    """Returns one mask, as PNG, white wherever one of them is."""
    try:
        whole = np.stack([decode.decode_whole_mask(path.read_bytes()) for path in paths]).any(
            axis=0
        )
    except Exception as error:  # Pillow's plugins raise anything, NumPy if sizes differ
        raise UserError(
            f"{', '.join(path.name for path in paths)} cannot be united to one mask "
            f"({' '.join(str(error).split())}); get them again"
        ) from error
    return png.encode_images(whole[None] * np.uint8(255))[0]
