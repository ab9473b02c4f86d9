"""The name of a dataset -> its prepared TFDS data, made on the first call."""

import contextlib
import io
import logging
import pathlib

import tensorflow_datasets as tfds
from absl import logging as absl_logging

from vae_jax.data import sources
from vae_jax.data.builders.aitex import Aitex
from vae_jax.data.builders.base import ImageDatasetBuilder, SourceConfig
from vae_jax.data.builders.chest_xray import ChestXray
from vae_jax.data.builders.digits import Digits
from vae_jax.data.builders.folder import Folder
from vae_jax.data.builders.idx import FashionMnist, Mnist
from vae_jax.data.builders.kvasir import ARCHIVE, Kvasir
from vae_jax.errors import UserError

BUILDERS: dict[str, type[ImageDatasetBuilder]] = {
    "digits": Digits,
    "mnist": Mnist,
    "fashion_mnist": FashionMnist,
    "kvasir": Kvasir,
    "aitex": Aitex,
    "chest_xray": ChestXray,
    "folder": Folder,
}

_log = logging.getLogger(__name__)


def prepare_dataset(
    dataset: str, manual_dir: str = "", data_dir: str = "", skip_corrupt: bool = False
) -> ImageDatasetBuilder:
    """Returns the builder of a dataset, prepared.

    Prepared data is kept under a hash of its source, so another folder, or a changed one, is never mistaken
    for it.

    Args:
        dataset: one of BUILDERS.
        manual_dir: folder in the official layout, or the one above an official dataset's, that holds a
            folder of its name; "" downloads what can be, unless that has been prepared before.
        data_dir: where prepared data goes; "" is TFDS's own default.
        skip_corrupt: skip and list unreadable images instead of refusing them.

    Raises:
        UserError: if files are missing or damaged, or `data_dir` cannot be written.
    """
    cls = BUILDERS[dataset]
    root = pathlib.Path(data_dir or tfds.core.constants.get_default_data_dir()).expanduser()
    files: dict[str, pathlib.Path] = {}
    if cls.OFFICIAL is None:
        key = "embedded"
    elif manual_dir or cls.OFFICIAL.manual_only:
        files = list_manual_files(dataset, manual_dir)
        key = f"files-{sources.hash_listing(files)}"
    else:
        key = f"download-{sources.hash_source(cls.OFFICIAL)}"
    config = SourceConfig(
        name=key + ("-skip" if skip_corrupt else ""), files=files, skip_corrupt=skip_corrupt
    )
    try:
        builder = _open(cls, config, root)
        if not builder.is_prepared():
            if cls.OFFICIAL is not None and not manual_dir:
                config.files.update(_downloaded(dataset, cls, root / "downloads"))
            builder = _write(builder, root)
    except OSError as error:
        raise UserError(
            f"prepared data cannot be written to {root} ({error.strerror or error}); "
            "name another place with --config.data.dir=DIR"
        ) from error
    return builder


def list_manual_files(dataset: str, manual_dir: str) -> dict[str, pathlib.Path]:
    """Returns official relative name -> file, of a dataset whose files were put somewhere by hand.

    Raises:
        UserError: as `prepare`.
    """
    cls = BUILDERS[dataset]
    if not manual_dir:
        raise cls.OFFICIAL.make_error(f"{dataset} is not downloaded, and data.manual_dir is empty")
    folder = pathlib.Path(manual_dir).expanduser()
    if not folder.is_dir():
        raise cls.OFFICIAL.make_error(f"data.manual_dir={manual_dir} is not a folder")
    # The user's own images are not called after the dataset: what is there by its name is a class.
    inner = folder / dataset
    return cls.locate_files(inner if cls.OFFICIAL.files and inner.is_dir() else folder)


def _downloaded(
    dataset: str, cls: type[ImageDatasetBuilder], folder: pathlib.Path
) -> dict[str, pathlib.Path]:
    with _quiet():
        files = sources.download_files(dataset, cls.OFFICIAL, folder)
    if ARCHIVE in files:
        archive = files[ARCHIVE]
        return cls.locate_files(sources.unpack_zip(archive, archive.with_suffix("")))
    return files


def _open(
    cls: type[ImageDatasetBuilder], config: SourceConfig, root: pathlib.Path
) -> ImageDatasetBuilder:
    with _quiet():
        return cls(config=config, data_dir=root)


def _write(builder: ImageDatasetBuilder, root: pathlib.Path) -> ImageDatasetBuilder:
    try:
        with _quiet():
            builder.download_and_prepare(file_format="array_record")
    except OSError:
        # Another process may have been first: then the rename fails, and its data is as good.
        if not builder.is_prepared():
            raise
        return _open(type(builder), builder.builder_config, root)
    skipped = builder.preparation["skipped"]
    if skipped:
        listed = "; ".join(f"{file} ({why})" for file, why in skipped.items())
        _log.warning("%s: skipped %d unreadable images: %s", builder.name, len(skipped), listed)
    _log.info("%s: prepared in %s", builder.name, builder.data_dir)
    return builder


@contextlib.contextmanager
def _quiet():
    """Hides what TFDS prints and logs of its own accord; its progress bars and errors stay."""
    verbosity = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        absl_logging.set_verbosity(verbosity)
