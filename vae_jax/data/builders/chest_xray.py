"""Chest X-rays of children, healthy and with pneumonia, with the official test split.

Source: D. Kermany et al., Identifying Medical Diagnoses and Treatable Diseases by Image-Based Deep
Learning, Cell 172, 2018; data: Mendeley Data, rscbjbr9sj, CC BY 4.0.
"""

import pathlib
import re
from collections.abc import Mapping

from vae_jax.data.builders import duplicates
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.builders.reading import SourceImage
from vae_jax.data.sources import OfficialSource

_SUFFIXES = {".jpeg", ".jpg", ".png"}
# Kaggle's copy took 16 images out of the official training folder and called them validation.
_SPLITS = {"train": "train", "val": "train", "test": "test"}
_ARCHIVE = "chest_xray"  # the folder that the archive unpacks to, in Kaggle's copy twice
_PATIENT = re.compile(r"(person\d+)_|((?:NORMAL\d+-)?IM-\d+)-")


class ChestXray(ImageDatasetBuilder, skip_registration=True):
    """Splits `train` and `test`; a group is a patient of a split.

    `personN` names the patient of a pneumonia; of a healthy child the name of the file gives a running
    number of the study (`IM-0429-0001-0002`, `NORMAL2-IM-0587-0001`), under which there may be several
    images. Numbers restart between train and test, so a group is named by its split as well. Images that
    are equal pixel by pixel are one group, whatever their names.
    """

    name = "vae_jax_chest_xray"
    CLASSES = ("NORMAL", "PNEUMONIA")
    OFFICIAL = OfficialSource(
        address="https://data.mendeley.com/datasets/rscbjbr9sj",
        files={"ChestXRay2017.zip": None},
        layout="the unpacked folder, with train and test and in each NORMAL and PNEUMONIA",
        manual_only=True,
    )

    @classmethod
    def locate_files(cls, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Finds the four folders here or as far down as the archives put them; `val` adds to train."""
        nested = [folder, folder / _ARCHIVE, folder / _ARCHIVE / _ARCHIVE]
        root = next((place for place in nested if (place / "train").is_dir()), None)
        if root is None:
            raise cls.OFFICIAL.make_error(f"{folder} has no folder train")
        found = {}
        for split in _SPLITS:
            for class_name in cls.CLASSES:
                place = root / split / class_name
                images = {}
                if place.is_dir():
                    images = {
                        f"{split}/{class_name}/{path.name}": path
                        for path in sorted(place.iterdir())
                        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
                    }
                if not images and split != "val":
                    raise cls.OFFICIAL.make_error(f"{place} has no images")
                found |= images
        return found

    def list_images(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[SourceImage]]:
        """Reads split, class and patient from each name, and joins duplicates."""
        listed: dict[str, list[SourceImage]] = {"train": [], "test": []}
        for name, path in files.items():
            folder, class_name, file = name.split("/")
            split = _SPLITS[folder]
            listed[split].append(SourceImage(path, class_name, name, f"{split}/{_patient(file)}"))
        return duplicates.merge_groups(listed)


def _patient(file: str) -> str:
    found = _PATIENT.match(file)
    return found[1] or found[2] if found else file
