import json

import numpy as np

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
