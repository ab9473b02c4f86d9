"""What training writes as it goes: metrics.jsonl, and the same as TensorBoard events."""

import json
import os
import pathlib
from types import TracebackType

import numpy as np
import tensorboardX


class History:
    """The record of one workdir; a context manager, so that nothing stays in a buffer.

    Args:
        workdir: holds `metrics.jsonl` and `tensorboard/`.
        step: that training goes on from. What a stopped run wrote after it is dropped, because the
            resumed run will write it again.
    """

    def __init__(self, workdir: pathlib.Path, step: int):
        self._path = workdir / "metrics.jsonl"
        kept = [row for row in read_metrics(workdir) if row["step"] <= step]
        draft = self._path.with_suffix(".jsonl.part")
        draft.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        os.replace(draft, self._path)
        self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 (closed by __exit__)
        self._events = tensorboardX.SummaryWriter(
            str(workdir / "tensorboard"), purge_step=step + 1 if kept else None
        )

    def __enter__(self) -> "History":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        self._events.close()

    def write(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        """Appends one line, and a TensorBoard scalar for each value."""
        row = {"step": step, "epoch": epoch, "split": split, **values}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._events.add_scalar(f"{split}/{name}", value, step)

    def write_images(self, step: int, name: str, images: np.ndarray) -> None:
        """Writes images [N, H, W, C] in [0, 1] as one TensorBoard grid."""
        self._events.add_images(name, images, step, dataformats="NHWC")


def read_metrics(workdir: pathlib.Path) -> list[dict]:
    """Returns the lines of metrics.jsonl; a line that a killed run left half-written is dropped."""
    path = workdir / "metrics.jsonl"
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
