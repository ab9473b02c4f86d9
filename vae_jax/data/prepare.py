"""The name of a dataset -> its prepared TFDS data, which is made on the first call."""

import contextlib
import contextvars
import functools
import logging
import os
import pathlib
from collections.abc import Iterator, Mapping

import tensorflow_datasets as tfds

from vae_jax.data import content_digests, sources
from vae_jax.data.builders.aitex import Aitex
from vae_jax.data.builders.base import ImageDatasetBuilder, SourceConfig
from vae_jax.data.builders.chest_xray import ChestXray
from vae_jax.data.builders.digits import Digits
from vae_jax.data.builders.folder import Folder
from vae_jax.data.builders.idx import FashionMnist, Mnist
from vae_jax.data.builders.kvasir import Kvasir
from vae_jax.data.preparation_lock import lock_preparation
from vae_jax.data.quiet_tfds import open_builder, silence_tfds, write_records
from vae_jax.errors import UserError
from vae_jax.validate import HIGHEST_MAX_PIXELS
from vae_jax.workdir import mark_output

BUILDERS: dict[str, type[ImageDatasetBuilder]] = {
    "digits": Digits,
    "mnist": Mnist,
    "fashion_mnist": FashionMnist,
    "kvasir": Kvasir,
    "aitex": Aitex,
    "chest_xray": ChestXray,
    "folder": Folder,
}

_MAX_NAMED = 5  # changed files that an error names; it only counts the others

Listing = Mapping[str, pathlib.Path]  # official relative name -> file, when its folder was listed

# (dataset, manual_dir) -> listing, inside a block of `list_folders_once`; None outside.
_listings: contextvars.ContextVar[dict[tuple[str, str], Listing] | None] = contextvars.ContextVar(
    "listings", default=None
)


@contextlib.contextmanager
def list_folders_once() -> Iterator[None]:
    """Keeps every listing of a folder until the `with` block ends, so that one start lists a folder once.

    A block inside another block uses the listings of the outer one.
    """
    if _listings.get() is not None:
        yield
        return
    token = _listings.set({})
    try:
        yield
    finally:
        _listings.reset(token)


def prepare_dataset(
    dataset: str,
    manual_dir: str = "",
    data_dir: str = "",
    skip_corrupt: bool = False,
    mask_like_images: str = "refuse",
    mask_values: str = "auto",
    max_pixels: int = HIGHEST_MAX_PIXELS,
) -> ImageDatasetBuilder:
    """Returns the builder of a dataset, after its data has been prepared.

    The folder of prepared data is named by a hash of the names and the content of the source files.
    Data from other files, or from files that have changed since, is therefore never used by mistake.

    Args:
        dataset: one of BUILDERS.
        manual_dir: a folder in the official layout or, for an official dataset, the folder above it, in
            which it has the name of the dataset. "" downloads the files unless they have been prepared.
        data_dir: the folder for prepared data; "" is TFDS's own default.
        skip_corrupt: whether unreadable images are skipped and listed; otherwise they are an error.
        mask_like_images, mask_values, max_pixels: see `SourceConfig`.

    Raises:
        UserError: if files are missing or damaged, or change while they are read, or `data_dir` cannot be
            written.
    """
    builder_class = BUILDERS[dataset]
    official = builder_class.OFFICIAL
    root = locate_prepared_data(data_dir)
    files: dict[str, pathlib.Path] = {}
    check_source = None
    if official is None:
        source_name = "embedded"
    elif manual_dir or official.manual_only:
        files |= list_manual_files(dataset, manual_dir)
        index_file = content_digests.locate_index(root, dataset, manual_dir)
        digests = content_digests.hash_files(files, index_file)
        check_source = functools.partial(_refuse_changes, dataset, manual_dir, digests, index_file)
        source_name = f"files-{content_digests.join_digests(digests)}"
    else:
        source_name = f"download-{sources.hash_source(official)}"
    # Other choices of the user give other records, in a folder of their own.
    source_name += f"-skip-{max_pixels}" if skip_corrupt else ""
    source_name += "-images" * (mask_like_images == "images")
    source_name += "" if mask_values == "auto" else f"-{mask_values.replace(':', '-')}"
    config = SourceConfig(
        name=source_name,
        files=files,
        skip_corrupt=skip_corrupt,
        mask_like_images=mask_like_images,
        mask_values=mask_values,
        max_pixels=max_pixels,
        check_source=check_source,
    )
    try:
        builder = open_builder(builder_class, config, root)
        if not builder.is_prepared():
            mark_output(root / builder.name)
            with lock_preparation(pathlib.Path(builder.data_dir)):
                # Another process may have finished meanwhile.
                builder = open_builder(builder_class, config, root)
                if not builder.is_prepared():
                    if official is not None and not manual_dir:
                        config.files.update(download_source(dataset, root))
                    builder = write_records(builder)
    except OSError as error:
        if error.filename and pathlib.Path(error.filename) in config.files.values():
            raise  # a source file cannot be read
        raise UserError(
            f"prepared data cannot be written to {root} ({error.strerror or error}); "
            "name another folder with --config.data.dir=DIR"
        ) from error
    return builder


def locate_prepared_data(data_dir: str) -> pathlib.Path:
    """Returns the folder for prepared data; "" is TFDS's own default."""
    return pathlib.Path(data_dir or tfds.core.constants.get_default_data_dir()).expanduser()


def download_source(dataset: str, root: pathlib.Path) -> dict[str, pathlib.Path]:
    """Downloads the official files of a dataset, unless an earlier start has done so.

    Args:
        dataset: one of BUILDERS that can be downloaded.
        root: the folder for prepared data.

    Returns:
        Official relative name -> file.

    Raises:
        UserError: if the files cannot be downloaded or unpacked.
    """
    builder_class = BUILDERS[dataset]
    mark_output(root / "downloads")
    with silence_tfds():
        downloads = sources.download_files(dataset, builder_class.OFFICIAL, root / "downloads")
    return builder_class.locate_downloads(downloads)


def list_manual_files(dataset: str, manual_dir: str) -> Listing:
    """Returns the files of a dataset whose folder the user has filled.

    Inside a block of `list_folders_once` the folder is listed at the first call only.

    Args:
        dataset: one of BUILDERS; its files do not have to be official.
        manual_dir: as for `prepare_dataset`.

    Raises:
        UserError: if there is no such folder, or files are missing.
    """
    listings = _listings.get()
    if listings is None:
        return _list_manual_files(dataset, manual_dir)
    if (dataset, manual_dir) not in listings:
        listings[dataset, manual_dir] = _list_manual_files(dataset, manual_dir)
    return listings[dataset, manual_dir]


def _list_manual_files(dataset: str, manual_dir: str) -> Listing:
    builder_class = BUILDERS[dataset]
    official = builder_class.OFFICIAL
    if not manual_dir:
        problem = "data.manual_dir is empty"
        if official.files:
            problem = f"{dataset} cannot be downloaded automatically, and {problem}"
        raise official.make_error(problem)
    folder = pathlib.Path(manual_dir).expanduser()
    if not folder.is_dir():
        raise official.make_error(f"data.manual_dir={manual_dir} is not a folder")
    # In a folder of the user's own images, a folder with the name of the dataset is a class.
    inner = folder / dataset
    return builder_class.locate_files(inner if official.files and inner.is_dir() else folder)


def _refuse_changes(
    dataset: str, manual_dir: str, digests: Mapping[str, str], index_file: pathlib.Path
) -> None:
    """Refuses a folder whose files are not the same as before.

    Args:
        dataset: one of BUILDERS.
        manual_dir: the folder.
        digests: name -> digest of the content, before the files were prepared.
        index_file: the file that remembers digests.

    Raises:
        UserError: if a file has appeared, vanished or changed. The message names it.
    """
    try:
        with _silence_builders():
            files = _list_manual_files(dataset, manual_dir)
        changed = content_digests.list_changes(
            digests, content_digests.hash_files(files, index_file)
        )
    except FileNotFoundError as error:
        changed = [os.fspath(error.filename)]
    if changed:
        more = f" and {len(changed) - _MAX_NAMED} more" if len(changed) > _MAX_NAMED else ""
        raise UserError(
            f"{manual_dir} changed while it was being prepared ({', '.join(changed[:_MAX_NAMED])}{more}); "
            "wait until no program writes to this folder, and start again"
        )


@contextlib.contextmanager
def _silence_builders() -> Iterator[None]:
    """Hides warnings about the user's folder, which its first listing has already logged."""
    logger = logging.getLogger("vae_jax.data.builders")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
