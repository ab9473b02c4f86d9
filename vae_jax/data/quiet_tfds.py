"""Opens a builder of TFDS, and lets it write its records, without the messages of TFDS."""

import contextlib
import io
import logging
import pathlib
from collections.abc import Iterator

from absl import logging as absl_logging

from vae_jax.data.builders.base import ImageDatasetBuilder, SourceConfig
from vae_jax.errors import UserError

_log = logging.getLogger(__name__)


def open_builder(
    builder_class: type[ImageDatasetBuilder], config: SourceConfig, root: pathlib.Path
) -> ImageDatasetBuilder:
    """Returns a builder without the messages of TFDS; it writes nothing.

    Raises:
        UserError: if the prepared data is damaged.
    """
    folder = root / builder_class.name / config.name
    try:
        with silence_tfds():
            builder = builder_class(config=config, data_dir=root)
            if builder.is_prepared():
                _ = builder.preparation["skipped"], builder.preparation["fingerprint"]
    except Exception as error:
        # TFDS reads the JSON files of prepared data here, and raises whatever its parsers raise.
        if isinstance(error, (OSError, UserError)) or not folder.exists():
            raise
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"the prepared data in {folder} is damaged ({reason}); delete this folder, and it will be "
            "prepared again"
        ) from error
    return builder


def write_records(builder: ImageDatasetBuilder) -> ImageDatasetBuilder:
    """Writes the records of a dataset, and logs the images that it has skipped."""
    with silence_tfds():
        builder.download_and_prepare(file_format="array_record")
    skipped = builder.preparation["skipped"]
    if skipped:
        reasons = "; ".join(f"{file} ({reason})" for file, reason in skipped.items())
        plural = "s" if len(skipped) > 1 else ""
        _log.warning(
            "%s: skipped %d unreadable image%s: %s", builder.name, len(skipped), plural, reasons
        )
    _log.info("%s: prepared in %s", builder.name, builder.data_dir)
    return builder


@contextlib.contextmanager
def silence_tfds() -> Iterator[None]:
    """Hides what TFDS prints and logs; its progress bars and errors stay visible."""
    verbosity = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        absl_logging.set_verbosity(verbosity)
