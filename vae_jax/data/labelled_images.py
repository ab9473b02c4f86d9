"""A folder of labelled new images -> test examples, as a trained run sees images; nothing is prepared.

The images are read, checked, cut and decoded by the functions that read the images of a run.

N rows: images, or tiles of images. T crops of one image.
"""

import collections
import concurrent.futures
import dataclasses
import hashlib
import logging
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import ml_collections
import numpy as np

from vae_jax.data.builders import mask_levels, reading
from vae_jax.data.builders.labelled_folder import list_labelled_images
from vae_jax.data.builders.reading import CheckedImage, SourceImage
from vae_jax.data.decode import describe_error
from vae_jax.data.decoded_cache import Arrays, DecodedCache, discard_cache, open_cache, write_cache
from vae_jax.data.examples import NO_LABEL, Examples
from vae_jax.data.folder_log import log_labels
from vae_jax.data.labels import leave_out_unmarked
from vae_jax.data.new_labels import label_classes, spell_class
from vae_jax.data.pipeline import take_role
from vae_jax.data.prepare import BUILDERS
from vae_jax.data.prepared_images import make_examples, stay_on_disk
from vae_jax.data.preprocessing import Preprocessing
from vae_jax.data.record_decoding import decode_record
from vae_jax.data.view import measure_view_shares
from vae_jax.data.whole_images import take_whole_images
from vae_jax.errors import UserError
from vae_jax.runtime.progress import open_progress_bar

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """The images of a folder.

    Attributes:
        test: the images that are judged, each labelled 0 or 1.
        fingerprint: hash of their files, names and classes, hexadecimal.
        unreadable: file -> why it is not judged.
        left_out: class that is neither normal nor abnormal -> number of its images.
    """

    test: Examples
    fingerprint: str
    unreadable: dict[str, str]
    left_out: dict[str, int]


def read_labelled_images(
    folder: pathlib.Path,
    preprocessing: Preprocessing,
    data_config: ml_collections.ConfigDict,
    cache: pathlib.Path,
) -> LabelledImages:
    """Reads and labels the images of a folder.

    Args:
        folder: the user's folder; see `builders/labelled_folder.py`.
        preprocessing: how a stored image becomes what the model sees.
        data_config: the `data` group of the run's config.
        cache: a folder for the decoded images, which may stay there while they are used; the caller
            removes it.

    Raises:
        UserError: if the folder cannot be used, its classes cannot be labelled, or no image can be read.
    """
    dataset = preprocessing.dataset
    builder_class = BUILDERS[dataset]
    sources = [
        dataclasses.replace(source, class_name=spell_class(source.class_name, dataset))
        for source in list_labelled_images(folder, data_config.mask_like_images)
    ]
    names = sorted({source.class_name for source in sources})
    label_of = label_classes(names, data_config, folder)
    if preprocessing.framing.cuts_strips:
        for name in names:
            if name in builder_class.CLEAN_TILES:
                clean = builder_class.CLEAN_TILES[name]
                label_of |= label_classes([clean], data_config, folder)
    mask_values = data_config.mask_values
    if mask_values == "auto":
        mask_values = builder_class.MASK_VALUES
    reader = _Reader(preprocessing, mask_values)
    discard_cache(cache)
    write_cache(cache, reader.read(sources))
    decoded = open_cache(cache)
    if decoded is None or not len(decoded.columns.get("files", ())):
        raise UserError(
            f"no image in {folder} can be judged: "
            + reading.name_unreadable(reader.unreadable or {"all": "they cannot be kept on disk"})
        )
    if mask_values == "auto":
        mask_levels.check_share(reader.num_marked, reader.num_mask_pixels)
    examples = make_examples(_take_columns(decoded, data_config.cache), builder_class)
    labels = np.array([label_of[name] for name in examples.classes], np.int32)
    labels = leave_out_unmarked(labels, examples.unmarked, dataset)
    examples = dataclasses.replace(
        examples,
        labels=labels,
        view_share=measure_view_shares(examples.stored_size, preprocessing.framing),
    )
    images = take_whole_images(examples)
    log_labels(images, str(folder))
    rows = np.flatnonzero(labels != NO_LABEL)
    if not len(rows):
        raise UserError(
            f"no image in {folder} is of a class that is normal or abnormal for this run; name the classes "
            "with --config.data.normal_classes and --config.data.anomaly_classes"
        )
    left_out = np.array(images.classes)[images.labels == NO_LABEL]
    return LabelledImages(
        take_role(examples, rows, preprocessing.region),
        reader.fingerprint,
        reader.unreadable,
        dict(collections.Counter(left_out.tolist())),
    )


def _take_columns(decoded: DecodedCache, cache_mode: str) -> Arrays:
    """Returns the columns of decoded images; large ones stay on disk."""
    pixels = None
    if not stay_on_disk(decoded.num_pixel_bytes, cache_mode):
        pixels = decoded.load_pixels()
    return decoded.columns | (decoded.map_pixels() if pixels is None else pixels)


class _Reader:
    """Reads images one after the other.

    Attributes:
        unreadable: file -> reason, of the images that have no row.
        num_marked: number of pixels that masks mark.
        num_mask_pixels: number of pixels of all masks.

    Args:
        preprocessing: how a stored image becomes what the model sees.
        mask_values: a rule of `mask_levels.py`.
    """

    def __init__(self, preprocessing: Preprocessing, mask_values: str):
        self.unreadable: dict[str, str] = {}
        self.num_marked = self.num_mask_pixels = 0
        self._preprocessing, self._mask_values = preprocessing, mask_values
        self._hash = hashlib.sha256()

    @property
    def fingerprint(self) -> str:
        """Hash of everything that was read, hexadecimal."""
        return self._hash.hexdigest()[:16]

    def read(self, sources: Sequence[SourceImage]) -> Iterator[Arrays]:
        """Yields the columns of each image that can be read, in order."""
        chunks = reading.make_chunks(sources)
        window = 2 * (os.cpu_count() or 1)  # bounds how many decoded images wait in memory
        with (
            open_progress_bar(len(sources), "reading", "image") as bar,
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        ):
            for start in range(0, len(chunks), window):
                part = chunks[start : start + window]
                for chunk, results in zip(part, pool.map(self._read_chunk, part), strict=True):
                    for source, (checked, columns) in zip(chunk, results, strict=True):
                        bar.update(1)
                        if isinstance(columns, str):
                            self.unreadable[source.file] = columns
                            continue
                        self._count(source, checked)
                        yield columns

    def _count(self, source: SourceImage, checked: CheckedImage) -> None:
        self.num_marked += checked.num_marked
        self.num_mask_pixels += checked.num_mask_pixels
        for part in (source.file, source.class_name, checked.digest):
            self._hash.update(f"{part}\0".encode())

    def _read_chunk(
        self, sources: Sequence[SourceImage]
    ) -> list[tuple[CheckedImage | str, Arrays | str]]:
        max_pixels = self._preprocessing.max_pixels
        contents = reading.read_chunk(sources, self._mask_values, max_pixels)
        return [
            (content, content if isinstance(content, str) else self._decode(source, content))
            for source, content in zip(sources, contents, strict=True)
        ]

    def _decode(self, source: SourceImage, content: CheckedImage) -> Arrays | str:
        """Returns the columns of an image, or the reason why it has none."""
        framing = self._preprocessing.framing
        clean_tiles = BUILDERS[self._preprocessing.dataset].CLEAN_TILES
        try:
            columns = decode_record(_describe_record(source, content), framing, clean_tiles)
            images = self._preprocessing.adapt(columns["images"], source.file)
        except Exception as error:  # Pillow's plugins raise any error on damaged files
            return describe_error(error)
        if not len(images):
            if framing.cuts_strips and source.class_name in clean_tiles and source.mask is None:
                return "it has no mask, so it is unknown which of its tiles are abnormal"
            return "every part of it has too many near-white pixels"
        return columns | {"images": np.asarray(images)}


def _describe_record(source: SourceImage, content: CheckedImage) -> Mapping[str, object]:
    """Returns an image as a record of prepared data."""
    return {
        "image": content.image,
        "mask": content.mask,
        "has_mask": source.mask is not None,
        "class": source.class_name.encode(),
        "file": source.file.encode(),
        "group": source.group.encode(),
        "width": content.size[0],
        "height": content.size[1],
        "bytes": len(content.image),
    }
