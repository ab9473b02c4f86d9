import json

import numpy as np
import pytest

from tests.stored_runs import write_run
from vae_jax.comparison.stored_run import read_run
from vae_jax.errors import UserError


def refusal(workdir):
    with pytest.raises(UserError) as error:
        read_run(workdir)
    assert "\n" not in str(error.value)
    assert str(workdir) in str(error.value)
    return str(error.value)


def test_images_are_in_the_order_of_their_names_whatever_the_file_says(workdirs, tmp_path):
    run = read_run(workdirs[0])
    other = write_run(tmp_path / "a", shift=0.6, prefix="split0_", model__latent_dim=4)
    head, *rows = (other / "scores.csv").read_text().splitlines()
    (other / "scores.csv").write_text("\n".join([head, *reversed(rows)]))
    details = json.loads((other / "details.json").read_text())
    details["groups"]["of_images"].reverse()
    (other / "details.json").write_text(json.dumps(details))
    reversed_run = read_run(other)
    assert reversed_run.test_set == run.test_set
    assert np.array_equal(reversed_run.scores, run.scores)
    assert np.array_equal(reversed_run.groups, run.groups)


def test_other_images_or_labels_are_another_test_set(runs, tmp_path):
    assert len({run.test_set for run in runs}) == 3  # one for each seed
    same = write_run(tmp_path / "a", prefix="split0_")
    fewer = write_run(tmp_path / "b", prefix="split0_", anomalies=29)
    other = write_run(tmp_path / "c", prefix="split0_", fingerprint="def")
    assert read_run(same).test_set == runs[0].test_set
    assert runs[0].test_set not in {read_run(fewer).test_set, read_run(other).test_set}


def test_trivial_features_are_baselines(runs):
    assert runs[0].list_baselines() == ["pca", "stored_width"]


def test_what_is_no_finished_run_is_refused_in_one_line(tmp_path):
    assert "holds no run" in refusal(tmp_path)
    write_run(tmp_path / "a")
    (tmp_path / "a" / "results.json").unlink()
    assert "--mode=evaluate" in refusal(tmp_path / "a")
    (tmp_path / "b" / "cells").mkdir(parents=True)
    assert "/cells/*'" in refusal(tmp_path / "b")
    assert "both normal and abnormal" in refusal(write_run(tmp_path / "c", anomalies=0))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("scores.csv", "label", "lable"),
        ("scores.csv", "mse", "msee"),
        ("scores.csv", "image069.png,1,1,", "image069.png,1,0,"),
        ("scores.csv", "image069.png,1,1,", "image069.png,1,1,nan"),
        ("results.json", '"parameters": 1234', '"parameters": NaN'),
        ("results.json", '"pca": {"auroc": {', '"pca": {"auroc": {"x": 1}, "y": {'),
        ("details.json", '"score"', '"scores"'),
        ("details.json", '"of_images": [0, ', '"of_images": ['),
        ("results.json", '"fingerprint": "abc"', '"fingerprint": 3'),
        ("results.json", '"auroc": {', '"auroc": {"low": "x", "old": {}, "'),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, file, old, new):
    workdir = write_run(tmp_path / "a")
    text = (workdir / file).read_text()
    assert old in text
    (workdir / file).write_text(text.replace(old, new, 1))
    refusal(workdir)
