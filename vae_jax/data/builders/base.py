"""The base of all builders: it checks stored images once and writes them, still encoded, with TFDS.

TFDS prepares and reads `array_record` without TensorFlow as long as images arrive encoded. Of its builders
only the shard-based one does so for data of any size: the others shuffle more than 1 GB with TensorFlow.
"""

import abc
import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import writer

from vae_jax.data.builders import duplicates, mask_levels, reading
from vae_jax.data.builders.reading import SourceImage
from vae_jax.data.builders.record_files import UncompressedWriter, divide_into_shards
from vae_jax.data.sources import OfficialSource
from vae_jax.errors import UserError
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.validate import HIGHEST_MAX_PIXELS

# A file beside the records, with the fingerprint of the data and the files that were skipped.
PREPARATION = "preparation.json"


@dataclasses.dataclass(eq=False)
class SourceConfig(tfds.core.BuilderConfig):
    """The source that is prepared; each source needs its own `name`, because `name` is part of the folder.

    Attributes:
        files: official relative name -> file.
        skip_corrupt: whether unreadable images are skipped and listed; otherwise they are an error.
        check_source: raises a UserError if the files have changed since they were listed; it is called when
            all of them have been read. None if nobody else writes to them.
        mask_values: which values of a mask are abnormal, a rule of `mask_levels.py`; auto is MASK_VALUES.
        mask_like_images: refuse | images, for images that look like masks and are not named as masks.
        max_pixels: images with more pixels, width times height, count as unreadable.
    """

    files: dict[str, pathlib.Path] = dataclasses.field(default_factory=dict)
    skip_corrupt: bool = False
    check_source: Callable[[], None] | None = None
    mask_values: str = "auto"
    mask_like_images: str = "refuse"
    max_pixels: int = HIGHEST_MAX_PIXELS


class ImageDatasetBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Base class of the builders: a subclass locates the files of one dataset and lists its images."""

    VERSION = tfds.core.Version("1.0.0")
    # Every class that the dataset can have; None if its folders name the classes.
    CLASSES: ClassVar[tuple[str, ...] | None]
    # Lower-case names of classes that are normal if the user names no normal class.
    USUAL_NORMAL_CLASSES: ClassVar[tuple[str, ...]] = ()
    ALIASES: ClassVar[dict[str, str]] = {}  # another name of a class -> the name of the class
    # The official files and their address; None if the dataset needs no file.
    OFFICIAL: ClassVar[OfficialSource | None]
    # Which values of a mask are abnormal: a rule of `mask_levels.py`.
    MASK_VALUES: ClassVar[str] = "auto"
    # Class of an image with a mask -> class of those of its tiles that the mask does not touch. Such a tile
    # has no defect, but it shares the illumination of a defective image, so it is always a test image.
    CLEAN_TILES: ClassVar[dict[str, str]] = {}

    # The checksums are in OFFICIAL. Without this line TFDS would search for a file of checksums, with a
    # package that may not be installed.
    url_infos = None

    @classmethod
    @abc.abstractmethod
    def locate_files(cls, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Returns official relative name -> file, for a folder in the official layout.

        Raises:
            UserError: if files are missing. The message names them, their official address and where to
                put them.
        """

    @classmethod
    def locate_downloads(cls, downloads: Mapping[str, pathlib.Path]) -> dict[str, pathlib.Path]:
        """Returns the same as `locate_files`, made from official name -> downloaded file.

        A builder whose official file is an archive unpacks it here.
        """
        return dict(downloads)

    @classmethod
    def list_classes(cls, files: Iterable[str]) -> tuple[str, ...]:
        """Returns the classes in the files of `locate_files`, if the folders of the dataset name them."""
        raise NotImplementedError

    def check_files(self, files: Mapping[str, pathlib.Path]) -> None:
        """Refuses files that have another meaning than their names say.

        Args:
            files: the files of `locate_files`.

        Raises:
            UserError: names such a file, and says what to do.
        """
        del files

    @abc.abstractmethod
    def list_images(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[SourceImage]]:
        """Returns split -> its images, from the files of `locate_files`."""

    @classmethod
    def parse_material(cls, file: str) -> str:
        """Returns the material of the object in an image, from the name of its file; "" if unknown."""
        del file
        return ""

    @property
    def preparation(self) -> dict[str, Any]:
        """A summary of the prepared data.

        Its entries are `fingerprint` (hexadecimal), `skipped` (file -> reason) and `equal_images` (sets of
        files with the same pixels), which data that an earlier version has prepared lacks.
        """
        return json.loads((self.data_path / PREPARATION).read_text())

    def is_prepared(self) -> bool:
        """Returns whether the records are complete."""
        return (self.data_path / PREPARATION).is_file()

    def _info(self) -> tfds.core.DatasetInfo:
        encoded = tfds.features.Image(shape=(None, None, None))
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": encoded,
                    "class": tfds.features.Text(),
                    "file": tfds.features.Text(),
                    "group": tfds.features.Text(),
                    "width": np.int32,
                    "height": np.int32,
                    "bytes": np.int32,
                    "mask": encoded,
                    "has_mask": np.bool_,
                }
            ),
        )

    def _download_and_prepare(self, dl_manager: Any, download_config: Any = None) -> None:
        self._hash = hashlib.sha256()
        self._unreadable: dict[str, str] = {}
        rule = self.builder_config.mask_values
        self._mask_values = self.MASK_VALUES if rule == "auto" else rule
        self._num_marked = self._num_mask_pixels = 0
        self.check_files(self.builder_config.files)
        self._images = self.list_images(self.builder_config.files)
        total = sum(len(images) for images in self._images.values())
        with contextlib.closing(
            open_progress_bar(total, f"preparing {self.name}", "image")
        ) as self._bar:
            super()._download_and_prepare(dl_manager, download_config)
        if self.builder_config.check_source is not None:
            self.builder_config.check_source()
        if self._unreadable and not self.builder_config.skip_corrupt:
            raise UserError(reading.describe_unreadable(self._unreadable))
        images = [image for members in self._images.values() for image in members]
        message = reading.describe_lost_class(images, self._unreadable)
        if message:
            raise UserError(message)
        if self._mask_values == "auto":
            mask_levels.check_share(self._num_marked, self._num_mask_pixels)
        # TFDS renames the folder when everything is written, so this file exists if and only if the records
        # are complete.
        summary = {
            "fingerprint": self._hash.hexdigest()[:16],
            "skipped": self._unreadable,
            "equal_images": duplicates.list_equal_files(images),
        }
        (self.data_path / PREPARATION).write_text(json.dumps(summary, indent=1))

    def _shard_iterators_per_split(self, dl_manager: Any) -> dict[str, list[Any]]:
        del dl_manager
        return {
            split: [
                functools.partial(self._generate_records, split, shard)
                for shard in divide_into_shards(images)
            ]
            for split, images in self._images.items()
        }

    def _example_writer(self) -> writer.ExampleWriter:
        return UncompressedWriter(self.info.file_format)

    def _generate_records(
        self, split: str, images: Sequence[SourceImage]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        contents = reading.read_images(images, self._mask_values, self.builder_config.max_pixels)
        for source, checked in zip(images, contents, strict=True):
            self._bar.update()
            if isinstance(checked, str):
                self._unreadable[source.file] = checked
                continue
            self._num_marked += checked.num_marked
            self._num_mask_pixels += checked.num_mask_pixels
            for part in (split, source.file, source.class_name, source.group, checked.digest):
                self._hash.update(f"{part}\0".encode())
            yield (
                source.file,
                {
                    "image": io.BytesIO(checked.image),
                    "class": source.class_name,
                    "file": source.file,
                    "group": source.group,
                    "width": checked.size[0],
                    "height": checked.size[1],
                    "bytes": len(checked.image),
                    "mask": io.BytesIO(checked.mask),
                    "has_mask": source.mask is not None,
                },
            )
