import concurrent.futures
import csv
import json
import os
import shutil
import struct

import numpy as np
import pytest
from PIL import Image

from tests.runtime.test_partners import find_free_port
from tests.small_runs import assert_scores_agree, read_scores
from tests.test_documented_commands import code_blocks
from vae_jax import main as main_module
from vae_jax import predict
from vae_jax.detector import stream
from vae_jax.prediction_request import PredictionRequest
from vae_jax.runtime.cluster import Cluster
from vae_jax.runtime.rendezvous import join

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("same_compiler"),
    pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning"),
]


def call(run, output, *inputs, flags=()):
    arguments = [f"--workdir={run}", f"--output={output}", *(f"--input={i}" for i in inputs)]
    return main_module.main(["vae_jax", "--mode=predict", *arguments, *flags])


def read_predictions(output):
    with (output / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_summary(output):
    return json.loads((output / "summary.json").read_text())


def test_predictions_of_the_run_s_test_files_equal_scores_csv(
    run, parts, image_folder, tmp_path, capsys
):
    assert call(run, tmp_path, image_folder, flags=["--overlays", "--maps"]) == 0
    rows = {row["file"]: row for row in read_predictions(tmp_path)}
    expected = read_scores(run)
    assert len(rows) == 100
    ours, theirs = (
        {name: [r[name] for r in table] for name in (*parts.names, "p_value", "anomalous")}
        for table in ([rows[file] for file in expected], expected.values())
    )
    assert_scores_agree(ours, theirs, parts.names, parts.calibration)
    assert [float(p) for p in ours["p_value"]] == [float(p) for p in theirs["p_value"]]
    assert ours["anomalous"] == theirs["anomalous"]
    summary = read_summary(tmp_path)
    anomalous = sum(row["anomalous"] == "1" for row in rows.values())
    assert summary["anomalous"] == anomalous
    assert summary["share_anomalous"] == anomalous / 100
    assert summary["images"] == summary["rows"] == 100
    assert summary["decision"]["score"] == "fusion"
    assert summary["detector"]["fingerprint"] == parts.fingerprint
    assert f"{anomalous} of 100 anomalous by fusion" in capsys.readouterr().out
    for file in rows:
        assert np.load(tmp_path / "maps" / f"{file}.npy").shape == (8, 8)
        assert (tmp_path / "overlays" / f"{file}.png").is_file()


def test_every_file_has_a_row_and_an_unreadable_one_has_a_reason(run, image_folder, tmp_path):
    folder = tmp_path / "new"
    shutil.copytree(image_folder / "good", folder)
    good = (image_folder / "good" / "1.png").read_bytes()
    image = Image.open(image_folder / "good" / "1.png")
    image.convert("CMYK").save(folder / "x_cmyk.jpg", quality=95)
    image.save(folder / "x_animated.gif", save_all=True, append_images=[image, image])
    Image.fromarray(np.asarray(image).astype(np.uint16) * 257).save(folder / "x_deep.png")
    for name in ('x a,b "c" \'\u00e9\u6f22.png', "x\nb.png", "=x.png"):
        (folder / name).write_bytes(good)
    (folder / "y_truncated.png").write_bytes(good[: len(good) // 2])
    (folder / "y_empty.png").touch()
    (folder / "y_text.png").write_text("no image")
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    (folder / "y_huge.png").write_bytes(good[:16] + header + good[29:])
    (folder / "y_link.png").symlink_to("nowhere")
    os.mkfifo(folder / "y_pipe.png")
    output = tmp_path / "out"
    assert call(run, output, folder) == 0
    rows = {row["file"]: row for row in read_predictions(output)}
    assert len(rows) == len(list(folder.iterdir()))
    errors = {file: row["message"] for file, row in rows.items() if row["status"] == "error"}
    assert errors.keys() == {
        f"y_{n}.png" for n in ("truncated", "empty", "text", "huge", "link", "pipe")
    }
    assert errors["y_text.png"] == errors["y_empty.png"] == "not an image"
    assert errors["y_pipe.png"] == "a pipe, not a file"
    assert "does not exist" in errors["y_link.png"]
    assert all(errors.values())
    assert rows['x a,b "c" \'\u00e9\u6f22.png']["mse"] == rows["1.png"]["mse"]
    assert rows["x\\nb.png"]["mse"] == rows["'=x.png"]["mse"] == rows["1.png"]["mse"]
    assert float(rows["x_deep.png"]["mse"]) == pytest.approx(float(rows["1.png"]["mse"]), rel=0.05)
    assert read_summary(output)["unreadable"] == 6


def test_what_is_passed_over_and_images_of_another_depth_are_counted(
    run, image_folder, tmp_path, capsys
):
    folder = tmp_path / "new"
    shutil.copytree(image_folder / "bad", folder)
    (folder / "notes.txt").touch()
    dark = np.asarray(Image.open(folder / "91.png")).astype(np.uint16) * 4
    for name in ("dark1.png", "dark2.png"):
        Image.fromarray(dark).save(folder / name)
    assert call(run, tmp_path / "out", folder) == 0
    summary, out = read_summary(tmp_path / "out"), capsys.readouterr().out
    assert summary["passed_over"] == {"no image (.txt)": 1}
    assert summary["other_depth"] == 2
    assert "passed over in folders: no image (.txt): 1" in out
    assert "caveat: 2 images have another number of bits" in out


def test_a_stopped_prediction_goes_on_and_scores_changed_files_again(
    run, image_folder, tmp_path, monkeypatch
):
    folder, output = tmp_path / "new", tmp_path / "out"
    shutil.copytree(image_folder, folder)
    assert call(run, tmp_path / "whole", folder) == 0
    expected = (tmp_path / "whole" / "predictions.csv").read_bytes()

    make_rows = predict._make_image_rows
    for _ in range(3):
        images = iter(range(20))

        def make_some(*args, images=images):
            if next(images, None) is None:
                raise KeyboardInterrupt
            return make_rows(*args)

        monkeypatch.setattr(predict, "_make_image_rows", make_some)
        assert call(run, output, folder) == 130
    monkeypatch.setattr(predict, "_make_image_rows", make_rows)
    assert call(run, output, folder) == 0
    assert (output / "predictions.csv").read_bytes() == expected
    assert 48 <= read_summary(output)["reused"] < 100
    assert not list(output.glob("*previous*"))
    shutil.copy(folder / "bad" / "91.png", folder / "good" / "1.png")
    (folder / "good" / "2.png").unlink()
    assert call(run, output, folder) == 0
    rows = {row["file"]: row for row in read_predictions(output)}
    assert read_summary(output)["reused"] == 98
    assert len(rows) == 99
    assert rows["good/1.png"]["mse"] == rows["bad/91.png"]["mse"]


def test_another_decision_needs_no_training_and_another_folder(run, image_folder, tmp_path, capsys):
    assert call(run, tmp_path, image_folder) == 0
    changed = ["--config.scoring.false_alarm_rate=0.3", "--config.scoring.decision=mse"]
    assert call(run, tmp_path, image_folder, flags=changed) == 2
    assert "holds predictions of another detector" in capsys.readouterr().err
    assert call(run, tmp_path / "other", image_folder, flags=changed) == 0
    decision = read_summary(tmp_path / "other")["decision"]
    assert (decision["score"], decision["promised_rate"]) == ("mse", 0.3)


def test_all_images_can_be_decided_together(run, image_folder, tmp_path):
    flags = ["--config.scoring.false_discovery=true", "--config.scoring.false_alarm_rate=0.2"]
    assert call(run, tmp_path, image_folder, flags=flags) == 0
    rows = read_predictions(tmp_path)
    flagged = [row["anomalous"] == "1" for row in rows]
    assert sum(flagged) == read_summary(tmp_path)["anomalous"]
    p_values = np.array([float(row["p_value"]) for row in rows])
    limits = 0.2 * np.arange(1, 101) / 100
    passing = np.flatnonzero(np.sort(p_values) <= limits)
    assert sum(flagged) == (passing[-1] + 1 if len(passing) else 0)


def test_images_unlike_the_training_images_are_reported(run, tmp_path, capsys):
    bright = np.random.default_rng(0).integers(150, 255, (60, 8, 8), dtype=np.uint8)
    for i, image in enumerate(bright):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    flags = ["--config.scoring.decision=mse"]
    assert call(run, tmp_path / "out", tmp_path, flags=flags) == 0
    assert read_summary(tmp_path / "out")["drift"]["p_value"] < 1e-3
    assert "caveat: These images differ from the calibration normals" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--input=x"], "needs --output=DIR"),
        (["--output=x"], "needs --input=PATH"),
        (["--input=missing", "--output=OUT"], "there is no such file or folder"),
        (["--input=x", "--output=x", "--config.scoring.names=mse"], "scoring.names cannot change"),
        (["--input=x", "--output=x", "--config.seed=1"], "seed cannot change"),
        (["--mode=train", "--input=x"], "--input belongs to --mode=predict"),
    ],
)
def test_a_command_that_cannot_be_carried_out_is_one_line(run, tmp_path, capsys, flags, message):
    flags = [flag.replace("OUT", str(tmp_path / "out")) for flag in flags]
    argv = ["vae_jax", "--mode=predict", f"--workdir={run}", *flags]
    assert main_module.main(argv) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_images_are_read_while_others_are_scored_and_few_wait(
    run, image_folder, tmp_path, monkeypatch
):
    """A long input is never held in memory: only a window of it is read ahead."""
    monkeypatch.setattr(stream.os, "cpu_count", lambda: 2)
    detector = predict.Detector.load(run)
    requested = 0

    def iterate():
        nonlocal requested
        for source in list(predict.list_inputs([str(image_folder)])) * 20:
            requested += 1
            yield source

    monkeypatch.setattr(detector.scorer, "step", 16)
    for done, _ in enumerate(detector.score_sources(iterate())):
        assert requested <= done + 16 + 2 * 8 + 1
    assert requested == 2000


def test_the_documented_code_for_programs_runs(run, image_folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "screws").symlink_to(run)
    (tmp_path / "new").symlink_to(image_folder)
    monkeypatch.chdir(tmp_path)
    code, *_ = code_blocks("docs/running.md")
    exec(compile(code, "running.md", "exec"), {"__name__": "running"})
    assert len(capsys.readouterr().out.splitlines()) >= 2


def test_two_processes_write_the_table_and_the_pictures_of_one(run, image_folder, tmp_path):
    """Processes in threads: partners need no JAX, and each of them has a detector of its own."""
    address = f"localhost:{find_free_port()}"
    assert call(run, tmp_path / "one", image_folder, flags=["--maps"]) == 0
    output = tmp_path / "two"
    request = PredictionRequest(run, (str(image_folder),), output, {}, maps=True)

    def predict_share(number):
        partners = join(Cluster(address, 2, number), 30.0)
        predict.run(request, partners)
        return partners

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for partners in pool.map(predict_share, range(2)):
            partners.close()
    tables = [(tmp_path / n / "predictions.csv").read_bytes() for n in ("one", "two")]
    assert tables[0] == tables[1]
    assert len(list((output / "maps").rglob("*.npy"))) == 100
    assert not list(output.glob("predictions.*.csv"))
    first, second = (read_summary(tmp_path / n) for n in ("one", "two"))
    for changing in ("seconds", "images_per_second"):
        del first[changing], second[changing]
    assert first == second


def test_parts_of_stopped_processes_are_used_again(run, image_folder, tmp_path):
    assert call(run, tmp_path / "one", image_folder) == 0
    assert call(run, tmp_path / "two", image_folder / "bad") == 0
    rows = (tmp_path / "one" / "predictions.csv").read_text().splitlines(keepends=True)
    (tmp_path / "two" / "predictions.csv").unlink()
    for part in range(2):
        text = "".join([rows[0], *rows[1 + part : 60 : 2]])
        (tmp_path / "two" / f"predictions.part.{part}.csv").write_text(text)
    assert call(run, tmp_path / "two", image_folder) == 0
    assert (tmp_path / "two" / "predictions.csv").read_text() == "".join(rows)
    assert read_summary(tmp_path / "two")["reused"] == 59
