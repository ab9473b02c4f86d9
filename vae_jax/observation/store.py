"""Observations on disk: each image is observed once, whatever the role, run or dataset it belongs to.

A store is a folder for one observer. Each start that meets new images adds one part: a folder with
`digests.npy`, which names each image by a digest of its pixels, and one `.npy` file for each array.

N images, M of them, B images of a batch, H W image, C channels.
"""

import contextlib
import hashlib
import logging
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Float, Int, UInt8

from vae_jax.data.image_store import Images, ImagesOnDisk
from vae_jax.observation.observers import Observer
from vae_jax.runtime.progress import open_progress_bar

_log = logging.getLogger(__name__)

_DIGEST_BYTES = 16


class ObservationStore:
    """The observations of one observer; images that it lacks are observed when they are requested.

    Attributes:
        root: folder that holds the stores of all observers.

    Args:
        folder: the same folder.
        observer: computes what the store lacks.
    """

    def __init__(self, folder: pathlib.Path, observer: Observer):
        self.root = folder
        self._folder = folder / f"{observer.name}-{observer.key}"
        self._observer = observer
        self._parts: list[dict[str, np.ndarray]] = []
        self._positions: dict[
            bytes, int
        ] = {}  # digest of an image -> its row in all parts together
        self._count = 0
        for path in sorted(self._folder.glob("part-*")):
            self._open(path)

    def observe(self, images: UInt8[Images, "N H W C"]) -> dict[str, ImagesOnDisk]:
        """Returns name of an array -> the observations of the images, in their order, float16.

        Raises:
            OSError: if they cannot be written.
        """
        digests = _hash_images(images, self._observer.batch_size)
        first_rows = {digest: row for row, digest in reversed(list(enumerate(digests)))}
        new_rows = sorted(
            row for digest, row in first_rows.items() if digest not in self._positions
        )
        if new_rows:
            self._open(self._write_part(images, new_rows, digests))
        rows = np.array([self._positions[digest] for digest in digests], np.int64)
        return {
            name: ImagesOnDisk(tuple(part[name] for part in self._parts), rows)
            for name in self._parts[0]
        }

    def _open(self, path: pathlib.Path) -> None:
        """Adds a part to those that are open; a damaged one is removed, so that it can be written again."""
        try:
            digests = np.load(path / "digests.npy", allow_pickle=False)
            arrays = {
                file.stem: np.load(file, mmap_mode="r", allow_pickle=False)
                for file in sorted(path.glob("*.npy"))
                if file.stem != "digests"
            }
            if not arrays or any(len(array) != len(digests) for array in arrays.values()):
                raise ValueError("an array lacks rows")
        except (OSError, ValueError, EOFError) as error:
            _log.warning("%s is damaged and will be made again (%s)", path, error)
            shutil.rmtree(path, ignore_errors=True)
            return
        for row, digest in enumerate(digests):
            self._positions[digest.tobytes()] = self._count + row
        self._parts.append(arrays)
        self._count += len(digests)

    def _write_part(
        self, images: UInt8[Images, "N H W C"], rows: Sequence[int], digests: Sequence[bytes]
    ) -> pathlib.Path:
        """Observes the images of these rows, and writes a whole part or nothing."""
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = pathlib.Path(tempfile.mkdtemp(".draft", "new-", self._folder))
        try:
            self._write_arrays(draft, images, np.array(rows))
            names = np.frombuffer(b"".join(digests[row] for row in rows), np.uint8)
            np.save(draft / "digests.npy", names.reshape(len(rows), _DIGEST_BYTES))
            name = hashlib.sha256(names.tobytes()).hexdigest()[:16]
            path = self._folder / f"part-{name}"
            # Another process may have written the same images in the meantime.
            with contextlib.suppress(OSError):
                os.rename(draft, path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return path

    def _write_arrays(
        self, folder: pathlib.Path, images: UInt8[Images, "N H W C"], rows: np.ndarray
    ) -> None:
        files = {}
        description = f"observing {self._observer.name}"
        for start, values in iterate_observations(self._observer, images, rows, description):
            for name, array in values.items():
                if name not in files:
                    files[name] = np.lib.format.open_memmap(
                        folder / f"{name}.npy", "w+", array.dtype, (len(rows), *array.shape[1:])
                    )
                files[name][start : start + len(array)] = array
        for file in files.values():
            file.flush()


def iterate_observations(
    observer: Observer,
    images: UInt8[Images, "N H W C"],
    rows: Int[np.ndarray, "M"],
    description: str | None,
) -> Iterator[tuple[int, dict[str, Float[np.ndarray, "B ..."]]]]:
    """Observes the images of these rows, batch by batch.

    Args:
        observer: computes the observations.
        images: the images; those on disk are read batch by batch.
        rows: which of them to observe, in this order.
        description: text of a progress bar; None shows no bar.

    Yields:
        The position in `rows` of the first image of a batch; name of an array -> the observations, float16.
    """
    size = min(observer.batch_size, len(rows))
    with open_progress_bar(len(rows), description, "image") as bar:
        for start in range(0, len(rows), max(size, 1)):
            batch_rows = rows[start : start + size]
            # The last batch is padded, so that all batches share one compiled program.
            values = jax.device_get(observer.compute(images[np.resize(batch_rows, size)]))
            yield start, {name: array[: len(batch_rows)] for name, array in values.items()}
            bar.update(len(batch_rows))


def _hash_images(images: UInt8[Images, "N H W C"], chunk: int) -> list[bytes]:
    """Returns a digest of the pixels of each image; different shapes have different digests."""
    shape = repr(images.shape[1:]).encode()
    return [
        hashlib.blake2b(shape + image.tobytes(), digest_size=_DIGEST_BYTES).digest()
        for start in range(0, len(images), chunk)
        for image in images[start : start + chunk]
    ]
