"""The record of a training run: metrics.jsonl, and the same metrics as TensorBoard events.

A line that is not whole loses only itself. Every line that is removed from metrics.jsonl, because it is not
whole or because the resumed run will write it again, is first appended to metrics.removed.jsonl.
"""

import functools
import json
import logging
import os
import pathlib
import threading
from types import TracebackType
from typing import Any

import numpy as np
import tensorboardX

from vae_jax import workdir as workdir_lib

_MAX_NAMED = 5  # lines that a message names; it only counts the others

_log = logging.getLogger(__name__)


class History:
    """Writer of the record of one run; a context manager that flushes its buffers when it closes.

    Args:
        workdir: folder that receives `metrics.jsonl` and `tensorboard/`.
        step: step that training continues from. Lines of later steps, which a stopped run has written, are
            removed, because the resumed run writes them again.
    """

    def __init__(self, workdir: pathlib.Path, step: int):
        self._path = workdir / "metrics.jsonl"
        lines, rows = _read_rows(self._path)
        kept = [row is not None and row["step"] <= step for row in rows]
        removed = [line for line, is_kept in zip(lines, kept, strict=True) if not is_kept]
        if removed:
            with open(workdir / "metrics.removed.jsonl", "ab") as file:
                file.write(b"".join(line + b"\n" for line in removed))
                file.flush()
                os.fsync(file.fileno())
        text = b"".join(line + b"\n" for line, is_kept in zip(lines, kept, strict=True) if is_kept)
        workdir_lib.write_bytes(self._path, text)
        self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 (closed by __exit__)
        _report_failed_events()
        self._events = tensorboardX.SummaryWriter(
            str(workdir / "tensorboard"), purge_step=step + 1 if any(kept) else None
        )

    def __enter__(self) -> "History":
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        self._events.close()

    def write_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        """Appends one line to `metrics.jsonl`, and adds one TensorBoard scalar per value.

        Args:
            step: number of updates made so far.
            epoch: number of completed epochs.
            split: "train" or "val".
            values: metric name -> value.
        """
        row = {"step": step, "epoch": epoch, "split": split, **values}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._events.add_scalar(f"{split}/{name}", value, step)

    def write_images(self, step: int, name: str, images: np.ndarray) -> None:
        """Writes images [N, H, W, C] in [0, 1] as one TensorBoard grid."""
        self._events.add_images(name, images, step, dataformats="NHWC")


@functools.cache
def _report_failed_events() -> None:
    """Reports in one line that events cannot be written; tensorboardX would print a traceback."""
    previous_hook = threading.excepthook

    def hook(event: threading.ExceptHookArgs) -> None:
        module = type(event.thread).__module__
        if isinstance(event.exc_value, OSError) and module.startswith("tensorboardX"):
            reason = event.exc_value.strerror or str(event.exc_value)
            _log.warning("tensorboard: no further events can be written (%s)", reason)
        else:
            previous_hook(event)

    threading.excepthook = hook


def read_metrics(workdir: pathlib.Path) -> list[dict]:
    """Returns the whole lines of metrics.jsonl as dicts, and names those that are not whole in the log.

    A run that was killed may have left its last line incomplete; this line is not mentioned.
    """
    rows = _read_rows(workdir / "metrics.jsonl")[1]
    return [row for row in rows if row is not None]


def _read_rows(path: pathlib.Path) -> tuple[list[bytes], list[dict[str, Any] | None]]:
    """Returns the lines, and the row in each of them; names the lines that are not whole in the log."""
    content = path.read_bytes() if path.exists() else b""
    lines = [line for line in content.split(b"\n") if line]
    rows = [_decode_row(line) for line in lines]
    was_cut_off = not content.endswith(b"\n")
    _log_broken(path, rows[:-1] if was_cut_off else rows)
    return lines, rows


def _decode_row(line: bytes) -> dict[str, Any] | None:
    """Returns the row in a line; None if the line is not one that `write_metrics` writes."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not {"step", "epoch", "split"} <= row.keys():
        return None
    counts, numbers = (row["step"], row["epoch"]), dict(row, split=0).values()
    is_whole = (
        row["split"] in ("train", "val")
        and all(type(value) is int for value in counts)
        and all(isinstance(value, int | float) for value in numbers)
    )
    return row if is_whole else None


def _log_broken(path: pathlib.Path, rows: list[dict[str, Any] | None]) -> None:
    broken = [str(i) for i, row in enumerate(rows, 1) if row is None]
    if broken:
        named = ", ".join(broken[:_MAX_NAMED]) + " and more" * (len(broken) > _MAX_NAMED)
        _log.warning(
            "%s: %d of %d lines are not whole and are passed over (line %s)",
            path, len(broken), len(rows), named,
        )  # fmt: skip
