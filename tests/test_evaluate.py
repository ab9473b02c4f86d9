import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import average_precision_score, roc_auc_score

from vae_jax import train as train_lib
from vae_jax import workdir as workdir_lib
from vae_jax.errors import UserError
from vae_jax.evaluate import evaluate, write_report
from vae_jax.observation.observed import ObservedImages
from vae_jax.scoring.scores import NEEDS_POSTERIOR
from vae_jax.workdir_claim import claim_workdir

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_compilation")]

FEW_SCORES = ("mse", "elbo", "knn", "fusion")


@pytest.fixture(scope="module")
def evaluated(_shared_run, make_config, dataset, tmp_path_factory):
    """Config, workdir and evaluation of a run with all default scores."""
    workdir = tmp_path_factory.mktemp("evaluated") / "run"
    shutil.copytree(_shared_run, workdir)
    config = make_config()
    return config, workdir, evaluate(config, workdir, dataset)


@pytest.fixture
def run(trained_run):
    """Config with few scores, and the workdir of its run."""
    config, workdir = trained_run
    config.scoring.names, config.scoring.fusion = FEW_SCORES, ("mse", "knn")
    return config, workdir


def without_cost(results):
    return {name: section for name, section in results.items() if name != "cost"}


def train_one_epoch(config, workdir, dataset):
    config.train.epochs = 1
    config.scoring.names, config.scoring.fusion = FEW_SCORES, ("mse", "knn")
    claim_workdir(workdir, config)
    train_lib.train(config, workdir, dataset)


def test_results_follow_from_the_written_scores(evaluated, dataset, capsys):
    config, workdir, evaluation = evaluated
    write_report(workdir, evaluation)
    results = json.loads((workdir / "results.json").read_text())
    assert set(results) <= workdir_lib.RESULT_SECTIONS
    sections = workdir_lib.read_results(workdir)
    assert set(sections) > set(results)
    assert sections["decision"]["score"] == "fusion"
    with open(workdir / "scores.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels = np.array([int(row["label"]) for row in rows])
    assert [row["file"] for row in rows] == dataset.test.files
    assert list(labels) == list(dataset.test.labels)
    assert set(results["detection"]) == set(config.scoring.names)
    for name, entry in results["detection"].items():
        scores = np.array([float(row[name]) for row in rows])
        assert entry["auroc"]["value"] == pytest.approx(roc_auc_score(labels, scores))
        assert entry["auprc"]["value"] == pytest.approx(average_precision_score(labels, scores))
        flagged = scores > entry["threshold"]
        assert entry["recall"] == pytest.approx(flagged[labels == 1].mean())
        assert entry["fpr"] == pytest.approx(flagged[labels == 0].mean())
        assert entry["per_class"] == pytest.approx(
            {"disc": 1 - entry["fpr"], "ring": entry["recall"]}
        )
    p_values = np.array([float(row["p_value"]) for row in rows])
    anomalous = np.array([int(row["anomalous"]) for row in rows])
    np.testing.assert_array_equal(anomalous, p_values <= config.scoring.false_alarm_rate)
    assert sections["decision"]["promised"] == config.scoring.false_alarm_rate
    assert (workdir / "report.html").stat().st_size > 10_000
    assert (workdir / "figures" / "robustness.png").exists()
    output = capsys.readouterr().out
    for name in (*results["detection"], *results["baselines"]):
        assert name in output


def test_every_score_and_baseline_is_compared_with_the_deciding_score(evaluated):
    results = evaluated[2].results
    deciding = results["decision"]["score"]
    auroc = results["detection"][deciding]["auroc"]["value"]
    ranked = results["detection"] | results["baselines"]
    assert set(results["differences"]) == set(ranked) - {deciding}
    for name, difference in results["differences"].items():
        assert difference["value"] == pytest.approx(ranked[name]["auroc"]["value"] - auroc)
        assert difference["low"] <= difference["value"] <= difference["high"]
        assert difference["delong"]["low"] <= difference["value"] + 1e-9
        assert difference["delong"]["high"] >= difference["value"] - 1e-9


def test_evaluating_again_with_images_on_disk_gives_the_same_results(evaluated, dataset, on_disk):
    config, workdir, evaluation = evaluated
    again = evaluate(config, workdir, on_disk(dataset))
    assert again.rows == evaluation.rows
    assert without_cost(again.results) == without_cost(evaluation.results)


def test_thresholds_and_p_values_do_not_depend_on_the_other_test_images(run, dataset):
    config, workdir = run
    all_images = evaluate(config, workdir, dataset)
    some = dataclasses.replace(dataset, test=dataset.test.take(np.arange(5, 25)))
    part = evaluate(config, workdir, some)
    for name, entry in all_images.results["detection"].items():
        assert entry["threshold"] == part.results["detection"][name]["threshold"]
        assert "calibration" in entry["threshold_rule"]
    for row, same in zip(all_images.rows[5:], part.rows, strict=True):
        assert row["p_value"] == same["p_value"]
        assert row["mse"] == pytest.approx(same["mse"], rel=1e-5)


def test_a_test_set_without_anomalies_is_measured_by_its_false_alarms(run, dataset):
    config, workdir = run
    normals = dataset.test.take(np.flatnonzero(dataset.test.labels == 0))
    # Too few calibration normals for the configured rate are warned about, too.
    few = dataset.calibration.take(np.arange(9))
    evaluation = evaluate(
        config, workdir, dataclasses.replace(dataset, test=normals, calibration=few)
    )
    write_report(workdir, evaluation)
    entry = evaluation.results["detection"]["mse"]
    assert "auroc" not in entry
    assert "recall" not in entry
    assert 0 <= entry["fpr"] <= 1
    assert evaluation.results["baselines"] == {}
    assert any("no anomaly" in warning for warning in evaluation.warnings)
    assert any("smallest possible rate is 1/10" in warning for warning in evaluation.warnings)
    assert len(set(evaluation.warnings)) == len(evaluation.warnings)


def test_a_test_set_without_normals_is_measured_by_its_recall(run, dataset):
    config, workdir = run
    anomalies = dataset.test.take(np.flatnonzero(dataset.test.labels == 1))
    evaluation = evaluate(config, workdir, dataclasses.replace(dataset, test=anomalies))
    write_report(workdir, evaluation)
    entry = evaluation.results["detection"]["mse"]
    assert 0 <= entry["recall"] <= 1
    assert "fpr" not in entry
    assert set(evaluation.results["reconstruction"]) == {"anomaly"}
    assert evaluation.results["likelihood"] == {}
    assert "robustness" not in evaluation.results


def test_tiles_are_also_measured_as_whole_strips(run, dataset):
    config, workdir = run
    order = np.argsort(dataset.test.labels, kind="stable")
    test, count = dataset.test.take(order), len(order)
    masks = np.zeros((count, 8, 8), np.uint8)
    masks[test.labels == 1, 2:4, 2:4] = 1
    strips_of_five_tiles = dataclasses.replace(
        test,
        files=[f"strip_{i // 5}.png" for i in range(count)],
        offsets=np.arange(count, dtype=np.int32) % 5 * 4,
        stored_size=np.tile(np.int32([24, 8, 100]), (count, 1)),
        masks=masks,
        has_mask=np.ones(count, bool),
    )
    evaluation = evaluate(config, workdir, dataclasses.replace(dataset, test=strips_of_five_tiles))
    write_report(workdir, evaluation)
    strips = evaluation.results["strips"]
    assert strips["counts"]["normal_strips"] + strips["counts"]["anomalous_strips"] == count // 5
    assert set(strips["scores"]) == set(FEW_SCORES)
    assert set(evaluation.results["localisation"]) == {"mse", "pca", "band_pca"}
    for name, entry in evaluation.results["localisation"].items():
        assert entry == strips["maps"][name]["pixel"]
    assert [row["file"] for row in evaluation.rows[:2]] == ["strip_0.png@0", "strip_0.png@4"]
    assert len(evaluation.images.strips) > 0
    assert "Whole strips" in (workdir / "report.html").read_text()


def pair_up(examples, name):
    """Returns examples of which two consecutive ones of the same label are tiles of one image."""
    rows = []
    for label in (0, 1):
        found = np.flatnonzero(examples.labels == label)
        rows += found[: len(found) // 2 * 2].tolist()
    tiles = examples.take(np.array(rows))
    masks = np.zeros((len(rows), 8, 8), np.uint8)
    masks[tiles.labels == 1, 2:4, 2:4] = 1
    return dataclasses.replace(
        tiles,
        files=[f"{name}/{i // 2}.png" for i in range(len(rows))],
        boxes=np.array([[i % 2 * 4, 0, 8] for i in range(len(rows))], np.int32),
        stored_size=np.tile(np.int32([12, 8, 100]), (len(rows), 1)),
        masks=masks,
        has_mask=np.ones(len(rows), bool),
    )


def test_tiles_that_cover_images_are_judged_as_whole_images(run, dataset):
    config, workdir = run
    config.scoring.decision = "mse"
    roles = ("train", "val", "calibration", "test")
    tiled = {role: pair_up(getattr(dataset, role), role) for role in roles}
    evaluation = evaluate(config, workdir, dataclasses.replace(dataset, **tiled))
    write_report(workdir, evaluation)
    separate = {
        role: dataclasses.replace(tiles, files=tiles.names, boxes=None)
        for role, tiles in tiled.items()
    }
    of_tiles = evaluate(config, workdir, dataclasses.replace(dataset, **separate))

    results, test = evaluation.results, tiled["test"]
    assert [row["file"] for row in evaluation.rows] == list(dict.fromkeys(test.files))
    assert read_column(evaluation, "label").tolist() == test.labels[::2].tolist()
    for name in ("mse", "elbo", "knn", "pca"):
        expected = read_column(of_tiles, name).reshape(-1, 2).max(axis=1)
        np.testing.assert_array_equal(read_column(evaluation, name), expected)
    labels = test.labels[::2]
    for name in FEW_SCORES:
        auroc = roc_auc_score(labels, read_column(evaluation, name))
        assert results["detection"][name]["auroc"]["value"] == pytest.approx(auroc)
    counts = results["dataset"]["counts"]
    num_calibration = len(tiled["calibration"]) // 2
    assert counts["calibration"] == num_calibration
    assert counts["test_normal"] + counts["test_anomaly"] == len(labels)
    assert results["dataset"]["tiles"] == {role: len(tiles) for role, tiles in tiled.items()}
    # A p-value counts whole calibration images.
    ranks = read_column(evaluation, "p_value") * (num_calibration + 1)
    np.testing.assert_allclose(ranks, np.rint(ranks), atol=1e-6)
    # What describes the model is measured on tiles.
    for section in ("likelihood", "reconstruction", "latent"):
        assert results[section] == of_tiles.results[section]
    assert set(results["localisation"]) == {"mse", "pca", "band_pca"}
    assert "strips" not in results
    assert {strip.noun for strip in evaluation.images.strips} == {"image"}
    assert evaluation.images.strips[0].image.shape == (8, 12, 1)
    page = (workdir / "report.html").read_text()
    assert "Whole images" in page
    assert (workdir / "figures" / "image_0.png").is_file()


def test_a_conditional_model_is_scored_under_all_classes_or_the_given_ones(
    tmp_path, config, dataset
):
    config.model.num_classes = 1
    train_one_epoch(config, tmp_path, dataset)
    assert set(evaluate(config, tmp_path, dataset).results["detection"]) == set(FEW_SCORES)
    config.scoring.condition = "given"
    with pytest.raises(UserError, match="has the class ring, which no training image has"):
        evaluate(config, tmp_path, dataset)


def test_an_autoencoder_is_evaluated_without_scores_that_need_a_posterior(
    tmp_path, config, dataset
):
    config.model.kind = "ae"
    train_one_epoch(config, tmp_path, dataset)
    evaluation = evaluate(config, tmp_path, dataset)
    write_report(tmp_path, evaluation)
    assert set(evaluation.results["detection"]) == set(FEW_SCORES) - set(NEEDS_POSTERIOR)
    assert "latent" not in evaluation.results
    assert len(evaluation.images.samples) == 0


def test_a_workdir_without_a_checkpoint_is_refused(tmp_path, config, dataset):
    claim_workdir(tmp_path, config)
    with pytest.raises(UserError, match="holds no checkpoint"):
        evaluate(config, tmp_path, dataset)


def read_column(evaluation, name):
    return np.array([row[name] for row in evaluation.rows])


def test_a_baseline_that_decides_is_a_score_of_the_run(run, dataset):
    config, workdir = run
    config.scoring.decision = "nearest_neighbour"
    evaluation = evaluate(config, workdir, dataset)
    results = evaluation.results
    assert results["decision"]["score"] == "nearest_neighbour"
    assert list(results["detection"]) == [*FEW_SCORES, "nearest_neighbour"]
    assert "nearest_neighbour" not in results["baselines"]
    assert "pca" in results["baselines"]
    ranked = results["detection"] | results["baselines"]
    assert set(results["differences"]) == set(ranked) - {"nearest_neighbour"}
    x, normals, test = (
        getattr(dataset, role).images.reshape(-1, 64) / 255
        for role in ("train", "calibration", "test")
    )
    expected = cdist(test, x).min(axis=1) / 8
    np.testing.assert_allclose(read_column(evaluation, "nearest_neighbour"), expected, rtol=1e-4)
    entry = results["detection"]["nearest_neighbour"]
    assert entry["auroc"]["value"] == pytest.approx(roc_auc_score(dataset.test.labels, expected))
    usual = cdist(normals, x).min(axis=1) / 8
    p_values = [(1 + np.sum(usual >= score)) / 26 for score in expected]
    np.testing.assert_allclose(read_column(evaluation, "p_value"), p_values)
    anomalous = read_column(evaluation, "anomalous") == 1
    np.testing.assert_array_equal(anomalous, expected > entry["threshold"] * (1 + 1e-6))


def test_a_baseline_decides_about_a_test_set_without_anomalies(run, dataset):
    config, workdir = run
    config.scoring.names = ("band_pca", "pca")
    normals = dataset.test.take(np.flatnonzero(dataset.test.labels == 0))
    evaluation = evaluate(config, workdir, dataclasses.replace(dataset, test=normals))
    assert evaluation.results["decision"]["score"] == "band_pca"
    assert set(evaluation.results["detection"]) == {"band_pca", "pca"}
    assert evaluation.results["baselines"] == evaluation.results["differences"] == {}
    assert np.isfinite(read_column(evaluation, "pca")).all()


@pytest.fixture
def observed_dataset(dataset):
    """The discs and rings with features at four places, which are larger for rings, and with masks."""

    def observe(examples, seed):
        count = len(examples)
        features = np.random.default_rng(seed).normal(size=(count, 4, 4, 6))
        features[examples.labels == 1, 1:3, 1:3] += 6
        arrays = {"features": features.astype(np.float16), "pooled": features[:, :2, 0]}
        masks = np.zeros((count, 8, 8), np.uint8)
        masks[examples.labels == 1, 2:6, 2:6] = 1
        return dataclasses.replace(
            examples,
            observed=ObservedImages(arrays, np.arange(count, dtype=np.int32)),
            masks=masks,
            has_mask=np.ones(count, bool),
        )

    roles = ("train", "val", "calibration", "test")
    return dataclasses.replace(
        dataset, **{role: observe(getattr(dataset, role), i) for i, role in enumerate(roles)}
    )


def test_a_run_on_features_decides_by_a_rule_on_the_same_features(
    tmp_path, config, observed_dataset
):
    config.model.observations = ("features",)
    config.model.grid, config.model.feature_channels = 4, 6
    config.model.feature_widths = (8,)
    config.scoring.names, config.scoring.fusion = ("features_mse_max",), ("features_mse",)
    config.scoring.decision = "padim_max"
    config.train.epochs = 1
    claim_workdir(tmp_path, config)
    train_lib.train(config, tmp_path, observed_dataset)
    evaluation = evaluate(config, tmp_path, observed_dataset)
    results = evaluation.results
    assert results["decision"]["score"] == "padim_max"
    assert list(results["detection"]) == ["features_mse_max", "padim_max"]
    assert set(results["baselines"]) >= {"padim_mean", "patchcore_mean", "patchcore_max", "pca"}
    assert "padim_max" not in results["baselines"]
    assert results["detection"]["padim_max"]["auroc"]["value"] == 1
    for name in ("padim", "patchcore"):
        assert results["localisation"][name]["pixel_auroc"] > 0.9
    # The report shows maps in place of reconstructions, with the outline of the masks.
    assert evaluation.images.map_name == "features_place_nll"
    assert evaluation.images.anomalies.reconstructions is None
    assert evaluation.images.anomalies.masks.any(axis=(1, 2)).all()
    assert len(evaluation.images.samples) == 0
    write_report(tmp_path, evaluation)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "map: <code>features_place_nll</code>" in html
    errors = workdir_lib.read_results(tmp_path)["reconstruction_errors"]["features"]
    assert set(errors) == {"posterior_mean", "posterior_sample", "mean_image"}
