"""Kvasir: endoscopic images of the gut, one folder per class, as in Kvasir v2 or nested as in HyperKvasir.

Sources: K. Pogorelov et al., Kvasir, MMSys 2017; H. Borgli et al., HyperKvasir, Scientific Data 7, 2020.
"""

import collections
import functools
import logging
import os
import pathlib
from collections.abc import Mapping

from vae_jax.data.archives import unpack_zip
from vae_jax.data.builders import groups
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.builders.folder_walk import walk_folder
from vae_jax.data.builders.image_suffixes import is_image
from vae_jax.data.builders.reading import SourceImage
from vae_jax.data.sources import OfficialSource
from vae_jax.runtime.printable import make_printable

ARCHIVE = "kvasir-dataset-v2.zip"

_MAX_DEPTH = 6  # levels of folders that are searched for class folders

_log = logging.getLogger(__name__)


class Kvasir(ImageDatasetBuilder, skip_registration=True):
    """One split, `train`.

    Groups come from an optional table `groups.csv` with the columns class, file and group. A group may
    contain images of several classes, for example the frames of one video. An image that the table does not
    list is a group of its own.
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
    # HyperKvasir's name of a class -> Kvasir v2's name.
    ALIASES = {  # noqa: RUF012  (declared ClassVar in the base class)
        "cecum": "normal-cecum",
        "pylorus": "normal-pylorus",
        "z-line": "normal-z-line",
    }
    OFFICIAL = OfficialSource(
        address="https://datasets.simula.no/downloads/kvasir/",
        files={ARCHIVE: None},
        layout="the unpacked folder (one folder per class; labeled-images of HyperKvasir works too)",
    )

    @classmethod
    def locate_files(cls, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Finds class folders, mask folders and `groups.csv`; warns of other folders with images."""
        located, num_files, unknown = {}, collections.Counter(), []
        for directory, files, _ in walk_folder(folder, _MAX_DEPTH):
            relative = directory.relative_to(folder)
            # In the folder of a class every file should be an image, except for tables.
            images = [name for name in files if not name.endswith(".csv")]
            role = _parse_role(relative.as_posix())
            if role is None:
                if any(map(is_image, images)):
                    unknown.append(str(relative))
                continue
            num_files[role] += len(images)
            if not images:
                raise cls.OFFICIAL.make_error(
                    f"{directory} is empty; copy its images or remove the folder"
                )
            located |= {
                make_printable((relative / name).as_posix()): directory / name for name in images
            }
        if not any(kind == "image" for kind, _ in num_files):
            raise cls.OFFICIAL.make_error(
                f"{folder} has no folder with the name of a class of Kvasir"
            )
        for kind, class_name in num_files:
            if kind == "mask" and ("image", class_name) not in num_files:
                raise cls.OFFICIAL.make_error(f"{folder} has masks but no images of {class_name}")
        if unknown:
            _log.warning(
                "kvasir: ignored folders whose names are not classes: %s", ", ".join(unknown)
            )
        if os.path.lexists(folder / groups.FILE_NAME):
            located[groups.FILE_NAME] = folder / groups.FILE_NAME
        return located

    @classmethod
    def locate_downloads(cls, downloads: Mapping[str, pathlib.Path]) -> dict[str, pathlib.Path]:
        """Unpacks the official archive, and finds the files in it."""
        archive = downloads[ARCHIVE]
        return cls.locate_files(unpack_zip(archive, archive.with_suffix("")))

    def list_images(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[SourceImage]]:
        """Joins images with their groups, and with the masks of the same class and stem."""
        table = {}
        if groups.FILE_NAME in files:
            table = groups.read_groups(files[groups.FILE_NAME], ("class", "file"))
        group_names = {
            (self.ALIASES.get(class_name, class_name), file): group
            for (class_name, file), group in table.items()
        }
        images, masks = [], {}
        for name, path in files.items():
            if name == groups.FILE_NAME:
                continue
            kind, class_name = _parse_role(name.rpartition("/")[0])
            if kind == "mask":
                masks[class_name, path.stem] = path
            else:
                images.append((class_name, name, path))
        orphans = masks.keys() - {(class_name, path.stem) for class_name, _, path in images}
        if orphans:
            _log.warning(
                "kvasir: %d of %d masks have no image and are ignored, for example %s",
                len(orphans), len(masks), masks[min(orphans)],
            )  # fmt: skip
        return {
            "train": [
                SourceImage(
                    image=path,
                    class_name=class_name,
                    file=name,
                    group=group_names.get((class_name, path.name), name),
                    mask=masks.get((class_name, path.stem)),
                )
                for class_name, name, path in images
            ]
        }


@functools.cache
def _parse_role(folder: str) -> tuple[str, str] | None:
    """Returns ("image" or "mask", class) for the files in a folder, or None if they are neither."""
    *parents, name = folder.lower().split("/")
    if (
        "segmented-images" in parents
    ):  # in HyperKvasir; the images there are copies of images in polyps
        return ("mask", "polyps") if name == "masks" else None
    kind = "mask" if name.endswith("-masks") else "image"
    name = name.removesuffix("-masks")
    name = Kvasir.ALIASES.get(name, name)
    return (kind, name) if name in Kvasir.CLASSES else None
