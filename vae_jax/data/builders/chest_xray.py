"""Chest X-rays of healthy children and of children with pneumonia, with the official test split.

Source: D. Kermany et al., Identifying Medical Diagnoses and Treatable Diseases by Image-Based Deep
Learning, Cell 172, 2018; data: Mendeley Data, rscbjbr9sj, CC BY 4.0.
"""

import logging
import pathlib
import re
from collections.abc import Mapping

from vae_jax.data import medical
from vae_jax.data.builders import duplicates, frames
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.builders.folder_walk import walk_folder
from vae_jax.data.builders.image_suffixes import count_suffixes
from vae_jax.data.builders.reading import SourceImage
from vae_jax.data.sources import OfficialSource
from vae_jax.runtime.printable import make_printable

_SUFFIXES = {".jpeg", ".jpg", ".png"}
# Kaggle's copy has moved 16 images of the official training folder into a folder `val`.
_SPLITS = {"train": "train", "val": "train", "test": "test"}
_ARCHIVE_FOLDER = "chest_xray"  # the folder in the archive; Kaggle's copy nests two of them
_PATIENT = re.compile(r"(person\d+)_|((?:NORMAL\d+-)?IM-\d+)-")

_log = logging.getLogger(__name__)


class ChestXray(ImageDatasetBuilder, skip_registration=True):
    """Splits `train` and `test`. A group is a patient of a split.

    The name of a pneumonia image starts with its patient, `personN`. The name of a normal image contains
    the running number of a study, which may have several images (`IM-0429-0001-0002`,
    `NORMAL2-IM-0587-0001`). Both splits use the same numbers for different patients, so the name of a group
    contains its split.
    Images with equal pixels are one group, whatever their names.
    """

    name = "vae_jax_chest_xray"
    CLASSES = ("NORMAL", "PNEUMONIA")
    OFFICIAL = OfficialSource(
        address="https://data.mendeley.com/datasets/rscbjbr9sj",
        files={"ChestXRay2017.zip": None},
        layout="the unpacked folder, in which train and test each contain NORMAL and PNEUMONIA",
        manual_only=True,
    )

    @classmethod
    def locate_files(cls, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Finds the four folders, here or inside the folders of an archive; `val` belongs to train.

        It warns of files with other suffixes, which are left out.
        """
        nested = [folder, folder / _ARCHIVE_FOLDER, folder / _ARCHIVE_FOLDER / _ARCHIVE_FOLDER]
        root = next((inner for inner in nested if (inner / "train").is_dir()), None)
        if root is None:
            raise cls.OFFICIAL.make_error(f"{folder} has no folder train")
        located, others = {}, []
        for split in _SPLITS:
            for class_name in cls.CLASSES:
                class_folder = root / split / class_name
                images, left_out = {}, []
                if class_folder.is_dir():
                    ((_, files, _),) = walk_folder(class_folder, max_depth=0)
                    for name in files:
                        if medical.get_suffix(name) in _SUFFIXES or medical.is_readable(name):
                            images[f"{split}/{class_name}/{make_printable(name)}"] = (
                                class_folder / name
                            )
                        else:
                            left_out.append(name)
                if not images and split != "val":
                    counts = f", only {count_suffixes(left_out)}" if left_out else ""
                    raise cls.OFFICIAL.make_error(f"{class_folder} has no images{counts}")
                located |= images
                others += left_out
        if others:
            _log.warning(
                "%s: left out %d files whose suffix is none of %s: %s",
                root, len(others), ", ".join(sorted(_SUFFIXES)), count_suffixes(others),
            )  # fmt: skip
        return located

    def list_images(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[SourceImage]]:
        """Reads split, class and patient from each name, and merges the groups of equal images."""
        images: dict[str, list[SourceImage]] = {"train": [], "test": []}
        for name, path in files.items():
            folder, class_name, file = name.split("/")
            split = _SPLITS[folder]
            images[split].append(
                SourceImage(path, class_name, name, f"{split}/{_parse_patient(file)}")
            )
        return duplicates.merge_groups(frames.list_frames(images))


def _parse_patient(file: str) -> str:
    """Returns the patient or study in the name of a file, or the name if it contains neither."""
    match = _PATIENT.match(file)
    return match[1] or match[2] if match else file
