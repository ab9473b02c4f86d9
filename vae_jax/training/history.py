"""The record of a training run: metrics.jsonl, and the same metrics as TensorBoard events."""

import json
import pathlib
from types import TracebackType

import numpy as np
import tensorboardX

from vae_jax import workdir as workdir_lib


class History:
    """Writer of the record of one run; a context manager that flushes its buffers when it closes.

    Args:
        workdir: folder that receives `metrics.jsonl` and `tensorboard/`.
        step: step that training continues from. Lines of later steps, which a stopped run has written, are
            removed, because the resumed run writes them again.
    """

    def __init__(self, workdir: pathlib.Path, step: int):
        self._path = workdir / "metrics.jsonl"
        rows = [row for row in read_metrics(workdir) if row["step"] <= step]
        workdir_lib.write_text(self._path, "".join(json.dumps(row) + "\n" for row in rows))
        self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 (closed by __exit__)
        self._events = tensorboardX.SummaryWriter(
            str(workdir / "tensorboard"), purge_step=step + 1 if rows else None
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


def read_metrics(workdir: pathlib.Path) -> list[dict]:
    """Returns the lines of metrics.jsonl as dicts, up to the first incomplete line.

    A run that was killed may have left its last line incomplete.
    """
    path = workdir / "metrics.jsonl"
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
