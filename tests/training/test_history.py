import errno
import json
import threading

import numpy as np
import pytest

from vae_jax.training.history import History, read_metrics


def test_a_line_holds_the_position_in_training_and_all_values(tmp_path):
    with History(tmp_path, 0) as history:
        history.write_metrics(3, 1, "train", {"loss": 1.5, "kl": 0.25})
        history.write_metrics(3, 1, "val", {"loss": 2.5})
    assert read_metrics(tmp_path) == [
        {"step": 3, "epoch": 1, "split": "train", "loss": 1.5, "kl": 0.25},
        {"step": 3, "epoch": 1, "split": "val", "loss": 2.5},
    ]


def test_a_line_can_be_read_before_the_history_is_closed(tmp_path):
    with History(tmp_path, 0) as history:
        history.write_metrics(3, 1, "train", {"loss": 1.5})
        assert len(read_metrics(tmp_path)) == 1


def test_a_resumed_run_removes_the_lines_of_later_steps(tmp_path):
    with History(tmp_path, 0) as history:
        for step in (3, 6, 9):
            history.write_metrics(step, step // 3, "train", {"loss": float(step)})
    with History(tmp_path, 6) as history:
        history.write_metrics(9, 3, "train", {"loss": -1.0})
    assert [(line["step"], line["loss"]) for line in read_metrics(tmp_path)] == [
        (3, 3.0),
        (6, 6.0),
        (9, -1.0),
    ]


def test_an_incomplete_last_line_is_ignored(tmp_path):
    line = json.dumps({"step": 3, "epoch": 1, "split": "train", "loss": 1.5})
    (tmp_path / "metrics.jsonl").write_text(f'{line}\n{{"step": 6, "epo', encoding="utf-8")
    assert [line["step"] for line in read_metrics(tmp_path)] == [3]


ROWS = [{"step": step, "epoch": step // 3, "split": "train", "loss": 1.5} for step in (3, 6, 9)]


@pytest.mark.parametrize(
    "broken",
    [b'{"step": 6, "epo', b"{}", b"[1]", b"\xff", b"null", b'{"step": "6"}', b"[" * 10**5,
     b'{"step": 6, "epoch": 2, "split": "train", "loss": "x"}', b"1" * 5000, b"\0" * 80],
)  # fmt: skip
def test_a_broken_line_loses_only_itself_and_is_named_and_copied(tmp_path, broken, caplog):
    path = tmp_path / "metrics.jsonl"
    first, _, last = (json.dumps(row).encode() for row in ROWS)
    path.write_bytes(b"\n".join([first, broken, last, b""]))
    assert read_metrics(tmp_path) == [ROWS[0], ROWS[2]]
    assert "metrics.jsonl: 1 of 3 lines are not whole and are passed over (line 2)" in caplog.text
    with History(tmp_path, 9):
        pass
    assert path.read_bytes() == b"\n".join([first, last, b""])
    assert (tmp_path / "metrics.removed.jsonl").read_bytes() == broken + b"\n"


def test_every_line_that_is_removed_is_copied_first(tmp_path):
    with History(tmp_path, 0) as history:
        for step in (3, 6, 9):
            history.write_metrics(step, step // 3, "train", {"loss": float(step)})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    for step in (6, 3):
        with History(tmp_path, step):
            pass
    removed = (tmp_path / "metrics.removed.jsonl").read_text().splitlines()
    assert removed == [lines[2], lines[1]]


@pytest.mark.parametrize("content", [b"{}\n", b"[1]\n", b"\xff\n", b"\n\n", b"", b"\0" * 99])
def test_a_file_without_a_whole_line_has_no_rows(tmp_path, content, caplog):
    (tmp_path / "metrics.jsonl").write_bytes(content)
    assert read_metrics(tmp_path) == []
    assert ("1 of 1 lines" in caplog.text) == content.endswith((b"}\n", b"]\n", b"\xff\n"))


def test_a_workdir_without_history_has_no_lines(tmp_path):
    assert read_metrics(tmp_path) == []


def test_tensorboard_holds_the_same_values_and_the_images(tmp_path, read_events):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 4, 8, 3)) / 255
    with History(tmp_path, 0) as history:
        history.write_metrics(3, 1, "train", {"loss": 1.5, "kl": 0.25})
        history.write_metrics(6, 2, "val", {"loss": 2.5})
        history.write_images(6, "val/pairs", image)
    scalars, images, _ = read_events(tmp_path / "tensorboard")
    assert scalars == {("train/loss", 3): 1.5, ("train/kl", 3): 0.25, ("val/loss", 6): 2.5}
    assert images.keys() == {("val/pairs", 6)}
    np.testing.assert_allclose(images["val/pairs", 6], 255 * image[0], atol=1)


def test_tensorboard_hides_events_after_the_step_that_a_run_resumes_from(tmp_path, read_events):
    for step in (0, 3):
        with History(tmp_path, step) as history:
            history.write_metrics(step + 3, 1, "train", {"loss": 1.0})
    _, _, starts = read_events(tmp_path / "tensorboard")
    assert starts == [4]


def test_a_full_disk_of_tensorboard_is_one_line_in_the_log(tmp_path, caplog):
    class Writer(threading.Thread):
        __module__ = "tensorboardX.event_file_writer"

        def run(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    with History(tmp_path, 0):
        thread = Writer()
        thread.start()
        thread.join()
    assert "no further events can be written (No space left on device)" in caplog.text
