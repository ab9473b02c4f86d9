"""Kvasir: endoscopy of the gut, one folder per class, as in Kvasir v2 or in HyperKvasir's nested layout.

Sources: K. Pogorelov et al., Kvasir, MMSys 2017; H. Borgli et al., HyperKvasir, Scientific Data 7, 2020.
"""

import collections
import functools
import logging
import os
import pathlib
from collections.abc import Mapping

from vae_jax.data.builders import groups
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.builders.reading import SUFFIXES, SourceImage
from vae_jax.data.sources import OfficialSource

ARCHIVE = "kvasir-dataset-v2.zip"

_NO_IMAGES = {"thumbs.db", "desktop.ini"}  # what file managers leave behind
_DEPTH = 6  # folders below the given one in which class folders are looked for

_log = logging.getLogger(__name__)


class Kvasir(ImageDatasetBuilder, skip_registration=True):
    """One split, `train`.

    Groups come from an optional `groups.csv` with the columns class, file and group. A group in it may
    span classes (frames of one video), so its name stands alone; an image it does not list is its own.
    """

    name = "vae_jax_kvasir"
    CLASSES = (
        "normal-cecum", "normal-pylorus", "normal-z-line",
        "polyps", "ulcerative-colitis", "esophagitis", "dyed-lifted-polyps", "dyed-resection-margins",
        "barretts", "barretts-short-segment", "bbps-0-1", "bbps-2-3", "esophagitis-a",
        "esophagitis-b-d", "hemorrhoids", "ileum", "impacted-stool", "retroflex-rectum",
        "retroflex-stomach", "ulcerative-colitis-grade-0-1", "ulcerative-colitis-grade-1",
        "ulcerative-colitis-grade-1-2", "ulcerative-colitis-grade-2",
        "ulcerative-colitis-grade-2-3", "ulcerative-colitis-grade-3",
    )  # fmt: skip
    # HyperKvasir's names of what Kvasir v2 calls normal.
    ALIASES = {  # noqa: RUF012  (declared ClassVar in the base class)
        "cecum": "normal-cecum",
        "pylorus": "normal-pylorus",
        "z-line": "normal-z-line",
    }
    OFFICIAL = OfficialSource(
        address="https://datasets.simula.no/downloads/kvasir/",
        files={ARCHIVE: None},
        layout="the unpacked folder (one folder per class; HyperKvasir's labeled-images works too)",
    )

    @classmethod
    def locate_files(cls, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Finds class folders, mask folders and `groups.csv`; warns of other folders with images."""
        found, counts, unknown = {}, collections.Counter(), []
        for directory, folders, files in os.walk(folder, followlinks=True):
            place = pathlib.Path(directory)
            relative = place.relative_to(folder)
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith((".", "__")) and len(relative.parts) < _DEPTH
            )
            images = sorted(name for name in files if _counts_as_image(name))
            role = _role(relative.as_posix())
            if role is None:
                if any(pathlib.Path(name).suffix.lower() in SUFFIXES for name in images):
                    unknown.append(str(relative))
                continue
            counts[role] += len(images)
            if not images:
                raise cls.OFFICIAL.make_error(
                    f"{place} is empty; copy its images or remove the folder"
                )
            prefix = "" if relative == pathlib.Path() else f"{relative.as_posix()}/"
            found |= {prefix + name: place / name for name in images}
        if not any(kind == "image" for kind, _ in counts):
            raise cls.OFFICIAL.make_error(f"{folder} has no folder of a class of Kvasir")
        for kind, class_name in counts:
            if kind == "mask" and ("image", class_name) not in counts:
                raise cls.OFFICIAL.make_error(f"{folder} has masks but no images of {class_name}")
        if unknown:
            _log.warning("kvasir: left out folders of unknown name: %s", ", ".join(unknown))
        if (folder / groups.FILE_NAME).is_file():
            found[groups.FILE_NAME] = folder / groups.FILE_NAME
        return found

    def list_images(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[SourceImage]]:
        """Joins images, masks (by stem) and groups."""
        known = (
            groups.read_groups(files[groups.FILE_NAME], ("class", "file"))
            if groups.FILE_NAME in files
            else {}
        )
        known = {
            (self.ALIASES.get(name, name), file): group for (name, file), group in known.items()
        }
        images, masks = [], {}
        for name, path in files.items():
            if name == groups.FILE_NAME:
                continue
            kind, class_name = _role(name.rpartition("/")[0])
            if kind == "mask":
                masks[class_name, path.stem] = path
            else:
                images.append((class_name, name, path))
        orphans = masks.keys() - {(class_name, path.stem) for class_name, _, path in images}
        if orphans:
            _log.warning("kvasir: %d masks belong to no image that is there", len(orphans))
        return {
            "train": [
                SourceImage(
                    image=path,
                    class_name=class_name,
                    file=name,
                    group=known.get((class_name, path.name), name),
                    mask=masks.get((class_name, path.stem)),
                )
                for class_name, name, path in images
            ]
        }


def _counts_as_image(name: str) -> bool:
    return not (name.startswith(".") or name.endswith(".csv") or name.lower() in _NO_IMAGES)


@functools.cache
def _role(folder: str) -> tuple[str, str] | None:
    """Returns ("image" or "mask", class) of the files in a folder, None if they are neither."""
    *above, name = folder.lower().split("/")
    if "segmented-images" in above:  # HyperKvasir; its images stand in polyps, too
        return ("mask", "polyps") if name == "masks" else None
    kind = "mask" if name.endswith("-masks") else "image"
    name = name.removesuffix("-masks")
    name = Kvasir.ALIASES.get(name, name)
    return (kind, name) if name in Kvasir.CLASSES else None
