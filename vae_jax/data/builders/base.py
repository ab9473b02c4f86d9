"""The base of all builders: images as they are stored, checked once, written with TFDS.

TFDS prepares and reads `array_record` without TensorFlow as long as images come encoded. Of its builders
only the shard-based one does so for any size: the others shuffle what exceeds 1 GB through TensorFlow.
"""

import abc
import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from tensorflow_datasets.core import writer

from vae_jax.data.builders.reading import SourceImage, read_images
from vae_jax.data.sources import OfficialSource
from vae_jax.errors import UserError
from vae_jax.runtime.progress import open_progress_bar

# Written beside the records: fingerprint, and the files that were skipped.
PREPARATION = "preparation.json"

_SHARD_BYTES = 128 * 2**20  # of encoded images; also bounds the memory that preparing needs
_NAMED = 5  # damaged files that an error names; the rest is counted


@dataclasses.dataclass(eq=False)
class SourceConfig(tfds.core.BuilderConfig):
    """Which source is prepared; `name` must tell sources apart, as it names the folder.

    Attributes:
        files: official relative name -> file.
        skip_corrupt: skip and list unreadable images instead of refusing them.
    """

    files: dict[str, pathlib.Path] = dataclasses.field(default_factory=dict)
    skip_corrupt: bool = False


class ImageDatasetBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Builder whose subclasses say which files make up the dataset and what each image is."""

    VERSION = tfds.core.Version("1.0.0")
    # Every class that the dataset can have; None where its folders name them.
    CLASSES: ClassVar[tuple[str, ...] | None]
    USUAL_NORMAL_CLASSES: ClassVar[tuple[str, ...]] = ()  # normal where the user names no class
    ALIASES: ClassVar[dict[str, str]] = {}  # other names of classes
    OFFICIAL: ClassVar[
        OfficialSource | None
    ]  # where it is downloaded; None where no file is needed
    # Class of an image with a mask -> class of its tiles beside the mask. Such a tile is free of defects
    # but not of the image's light, so it is only ever in the test split.
    CLEAN_TILES: ClassVar[dict[str, str]] = {}

    # Checksums stand in OFFICIAL; TFDS would look for a file of them, with a package that may be missing.
    url_infos = None

    @classmethod
    @abc.abstractmethod
    def locate_files(cls, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Returns official relative name -> file, for a folder in the official layout.

        Raises:
            UserError: names what is missing, its official address, and where to put it.
        """

    @classmethod
    def list_classes(cls, files: Iterable[str]) -> tuple[str, ...]:
        """Returns the classes of what `locate` found, for a dataset whose folders name them."""
        raise NotImplementedError

    @abc.abstractmethod
    def list_images(self, files: Mapping[str, pathlib.Path]) -> dict[str, list[SourceImage]]:
        """Returns split -> its images, from what `locate` found."""

    @classmethod
    def parse_material(cls, file: str) -> str:
        """Returns what the object in an image is made of, from the image's name; "" where unknown."""
        del file
        return ""

    @property
    def preparation(self) -> dict[str, Any]:
        """What is known of prepared data: `fingerprint` (hex) and `skipped` (file -> why)."""
        return json.loads((self.data_path / PREPARATION).read_text())

    def is_prepared(self) -> bool:
        """Returns whether the records are there, whole."""
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
        self._items = self.list_images(self.builder_config.files)
        total = sum(len(split) for split in self._items.values())
        with contextlib.closing(
            open_progress_bar(total, f"preparing {self.name}", "image")
        ) as self._bar:
            super()._download_and_prepare(dl_manager, download_config)
        if self._unreadable and not self.builder_config.skip_corrupt:
            raise UserError(_refusal(self._unreadable))
        if not any(split.num_examples for split in self.info.splits.values()):
            raise UserError("not one image could be read; " + _refusal(self._unreadable))
        # TFDS renames the folder when all is written, so this file is there exactly if the records are.
        about = {"fingerprint": self._hash.hexdigest()[:16], "skipped": self._unreadable}
        (self.data_path / PREPARATION).write_text(json.dumps(about, indent=1))

    def _shard_iterators_per_split(self, dl_manager: Any) -> dict[str, list[Any]]:
        del dl_manager
        return {
            split: [functools.partial(self._examples, split, shard) for shard in _shards(listed)]
            for split, listed in self._items.items()
        }

    def _example_writer(self) -> writer.ExampleWriter:
        return _UncompressedWriter(self.info.file_format)

    def _examples(
        self, split: str, items: Sequence[SourceImage]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for item, read in zip(items, read_images(items), strict=True):
            self._bar.update()
            if isinstance(read, str):
                self._unreadable[item.file] = read
                continue
            for part in (split, item.file, item.class_name, item.group, read.digest):
                self._hash.update(f"{part}\0".encode())
            yield (
                item.file,
                {
                    "image": io.BytesIO(read.image),
                    "class": item.class_name,
                    "file": item.file,
                    "group": item.group,
                    "width": read.size[0],
                    "height": read.size[1],
                    "bytes": len(read.image),
                    "mask": io.BytesIO(read.mask),
                    "has_mask": item.mask is not None,
                },
            )


class _UncompressedWriter(writer.ExampleWriter):
    """Leaves out TFDS's compression of records: it gains nothing on JPEGs and takes a third of the time."""

    def write(self, path: Any, examples: Iterable[tuple[Any, bytes]]) -> None:
        records = array_record_module.ArrayRecordWriter(
            os.fspath(path), "group_size:1,uncompressed"
        )
        for _, record in examples:
            _as_os_error(records.write, record)
        _as_os_error(records.close)


def _as_os_error(write: Callable[..., Any], *args: Any) -> None:
    """Calls the record writer, whose way to tell of a full disk is a RuntimeError."""
    try:
        write(*args)
    except RuntimeError as error:
        raise OSError(str(error)) from error


def _shards(items: Sequence[SourceImage]) -> list[list[SourceImage]]:
    shards: list[list[SourceImage]] = [[]]
    size = 0
    for item in items:
        if size > _SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append(item)
        size += len(item.image) if isinstance(item.image, bytes) else item.image.stat().st_size
    return shards


def _refusal(unreadable: Mapping[str, str]) -> str:
    named = "; ".join(f"{file} ({why})" for file, why in list(unreadable.items())[:_NAMED])
    more = f"; and {len(unreadable) - _NAMED} more" if len(unreadable) > _NAMED else ""
    return (
        f"{len(unreadable)} unreadable image{'s' if len(unreadable) > 1 else ''}: {named}{more}; "
        "replace them, or skip and list them with --config.data.skip_corrupt=true"
    )
