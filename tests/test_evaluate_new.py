import json
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from tests.small_runs import read_scores
from vae_jax import evaluate_new
from vae_jax import main as main_module
from vae_jax import workdir as workdir_lib
from vae_jax.data import prepare
from vae_jax.detector.storage import read_detector
from vae_jax.errors import UserError
from vae_jax.evaluation_request import make_evaluation_request
from vae_jax.training.best_params import refuse_other_data

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("same_compiler"),
    pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning"),
]


@pytest.fixture
def copied_run(run, tmp_path):
    """A copy of the run, which a test may write to."""
    return shutil.copytree(run, tmp_path / "run")


def judge(workdir, folder, *flags):
    argv = ["vae_jax", "--mode=evaluate", f"--workdir={workdir}", f"--input={folder}", *flags]
    return main_module.main(argv)


def copy_test_images(workdir, image_folder, folder):
    """Copies the test images of a run into class folders."""
    for file in read_scores(workdir):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image_folder / file, folder / file)
    return folder


def read_files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("kind", ["run", "tiled_run"])
def test_the_run_s_own_test_files_get_the_numbers_of_the_run(
    kind, request, image_folder, tmp_path, monkeypatch, capsys
):
    original = request.getfixturevalue(kind)
    workdir = shutil.copytree(original, tmp_path / "run")
    folder = copy_test_images(original, image_folder, tmp_path / "hospital" / "test").parent

    def fail(*_, **__):
        raise AssertionError("the data of the run was read")

    monkeypatch.setattr(prepare, "open_builder", fail)
    before = read_files(workdir)
    assert judge(workdir, folder) == 0
    assert read_files(workdir) == before
    output = workdir / "evaluations" / "hospital"
    rows, expected = read_scores(output), read_scores(original)
    assert sorted(rows) == sorted(f"test/{file}" for file in expected)
    for file, theirs in expected.items():
        ours = rows[f"test/{file}"]
        for name in ("mse", "elbo", "knn", "fusion", "p_value"):
            assert float(ours[name]) == pytest.approx(float(theirs[name]), rel=1e-5, abs=1e-5)
        assert [ours[name] for name in ("class", "label", "anomalous")] == [
            theirs[name] for name in ("class", "label", "anomalous")
        ]
    results, of_run = (workdir_lib.read_results(folder) for folder in (output, original))
    assert results["dataset"]["counts"] == of_run["dataset"]["counts"]
    assert results["dataset"]["fingerprint"] != of_run["dataset"]["fingerprint"]
    for name, entry in of_run["detection"].items():
        assert results["detection"][name]["auroc"]["value"] == entry["auroc"]["value"]
        assert results["detection"][name]["threshold"] == entry["threshold"]
    assert results["reconstruction"]["normal"] == pytest.approx(
        of_run["reconstruction"]["normal"], rel=1e-4
    )
    assert "localisation" not in results
    page = (output / "report.html").read_text()
    assert "screws on hospital" in page
    assert "Where the anomalies are was not measured" in page
    assert f"--input={folder}" in page
    assert (output / "figures" / "roc.png").is_file()
    assert not (output / "images").exists()
    assert f"report: {output / 'report.html'}" in capsys.readouterr().out


def test_masks_are_compared_with_the_map_of_the_detector(
    copied_run, image_folder, tmp_path, monkeypatch
):
    folder = copy_test_images(copied_run, image_folder, tmp_path / "new")
    for path in (folder / "bad").iterdir():
        mask = np.zeros((24, 24), np.uint8)
        mask[6:18, 6:18] = 255
        (folder / "ground_truth" / "bad").mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(folder / "ground_truth" / "bad" / f"{path.stem}_mask.png")
    seen = []
    measure = evaluate_new.measure_maps
    monkeypatch.setattr(
        evaluate_new, "measure_maps", lambda *args: seen.append(args) or measure(*args)
    )
    assert judge(copied_run, folder, "--name=with masks") == 0
    results = workdir_lib.read_results(copied_run / "evaluations" / "with masks")
    ((setup, (compute_maps,)),) = seen
    test = setup.dataset.test
    values = compute_maps(test)["error"]
    auroc = roc_auc_score(test.masks.ravel(), values.ravel())
    assert results["localisation"]["error"]["pixel_auroc"] == pytest.approx(auroc, abs=1e-3)
    assert results["evaluation"]["localisation"]


def test_images_with_one_label_get_counts_and_decisions(copied_run, image_folder, tmp_path, capsys):
    shutil.copytree(image_folder / "bad", tmp_path / "new" / "bad")
    assert judge(copied_run, tmp_path / "new") == 2
    assert "data.anomaly_classes=NAME; the classes are bad" in capsys.readouterr().err
    assert not (copied_run / "evaluations" / "new" / "evaluation.json").exists()
    assert judge(copied_run, tmp_path / "new", "--config.data.anomaly_classes=bad") == 0
    results = workdir_lib.read_results(copied_run / "evaluations" / "new")
    counts = results["dataset"]["counts"]
    assert (counts["test_normal"], counts["test_anomaly"]) == (0, 10)
    assert "auroc" not in results["detection"]["fusion"]
    assert "recall" in results["decision"]
    assert "There is no normal image" in capsys.readouterr().out


def test_an_image_that_cannot_be_read_is_named_and_not_judged(
    copied_run, image_folder, tmp_path, capsys
):
    folder = copy_test_images(copied_run, image_folder, tmp_path / "new")
    number = len(read_scores(copied_run))
    (folder / "good" / "broken.png").write_bytes(b"text")
    (folder / "good" / "empty.png").touch()
    assert judge(copied_run, folder) == 0
    output = copied_run / "evaluations" / "new"
    assert len(read_scores(output)) == number
    unreadable = json.loads((output / "details.json").read_text())["evaluation"]["unreadable"]
    assert list(unreadable) == ["good/broken.png", "good/empty.png"]
    assert "Not judged: 2 images, because they cannot be read: good/broken.png (not an image)" in (
        capsys.readouterr().out
    )


def test_two_folders_with_one_name_need_two_names(copied_run, image_folder, tmp_path, capsys):
    folders = [copy_test_images(copied_run, image_folder, tmp_path / part / "new") for part in "ab"]
    assert judge(copied_run, folders[0]) == 0
    assert judge(copied_run, folders[1]) == 2
    error = capsys.readouterr().err
    assert f"holds the evaluation of {folders[0]}" in error
    assert "--name=NAME" in error
    for folder, name in ((folders[0], None), (folders[1], "second")):
        request = make_evaluation_request(copied_run, {}, [str(folder)], name)
        evaluate_new.refuse_other_input(request)


def test_normals_unlike_the_calibration_normals_are_reported(copied_run, tmp_path, capsys):
    rng = np.random.default_rng(0)
    (tmp_path / "new" / "good").mkdir(parents=True)
    for i, image in enumerate(255 * rng.integers(0, 2, (60, 8, 8), dtype=np.uint8)):
        Image.fromarray(image).save(tmp_path / "new" / "good" / f"{i}.png")
    assert judge(copied_run, tmp_path / "new", "--config.scoring.decision=mse") == 0
    output = capsys.readouterr().out
    assert "The normal images differ from the calibration normals of the run" in output
    assert "but its threshold promises 5.0 %" in output  # the caveat of every evaluation
    results = workdir_lib.read_results(copied_run / "evaluations" / "new")
    assert results["decision"]["score"] == "mse"


def test_the_report_of_the_run_is_never_about_other_images(
    copied_run, image_folder, tmp_path, capsys
):
    fingerprint = read_detector(copied_run).fingerprint
    refuse_other_data(copied_run, fingerprint)
    with pytest.raises(UserError, match=f"fingerprint {fingerprint} in training, other now"):
        refuse_other_data(copied_run, "other")
    other = shutil.copytree(image_folder, tmp_path / "other")
    (other / "good" / "11.png").unlink()
    before = read_files(copied_run)
    flags = [f"--config.data.manual_dir={other}", f"--config.data.dir={tmp_path / 'data'}"]
    argv = ["vae_jax", "--mode=evaluate", f"--workdir={copied_run}", *flags]
    assert main_module.main(argv) == 2
    error = capsys.readouterr().err
    assert "--mode=evaluate --input=DIR" in error.splitlines()[-1]
    assert read_files(copied_run) == before
