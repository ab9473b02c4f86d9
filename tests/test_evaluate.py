import csv
import dataclasses
import json

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from vae_jax import evaluate as evaluate_lib
from vae_jax import train as train_lib
from vae_jax import workdir as workdir_lib
from vae_jax.errors import UserError
from vae_jax.scoring.scores import COLUMNS, NEEDS_POSTERIOR, SCORES


def take(examples, rows):
    """The same examples with only these rows."""
    return dataclasses.replace(
        examples,
        images=examples.images[rows],
        labels=examples.labels[rows],
        classes=[examples.classes[i] for i in rows],
        files=[examples.files[i] for i in rows],
        groups=[examples.groups[i] for i in rows],
        stored_size=examples.stored_size[rows],
        has_mask=examples.has_mask[rows],
    )


@pytest.fixture
def trained(tmp_path, config, dataset):
    """A config and the workdir of its run."""
    workdir_lib.claim_workdir(tmp_path, config)
    train_lib.train(config, tmp_path, dataset)
    return config, tmp_path


def rows_of(workdir):
    with open(workdir / "scores.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_results_follow_from_the_scores_that_were_written(trained, dataset, capsys):
    config, workdir = trained
    evaluate_lib.write_report(workdir, evaluate_lib.evaluate(config, workdir, dataset))
    results = json.loads((workdir / "results.json").read_text())
    assert set(results) <= workdir_lib.RESULT_SECTIONS
    read = workdir_lib.read_results(workdir)
    assert set(read) > set(results)
    assert read["decision"]["score"] in results["detection"]
    rows = rows_of(workdir)
    labels = np.array([int(row["label"]) for row in rows])
    assert [row["file"] for row in rows] == dataset.test.files
    assert list(labels) == list(dataset.test.labels)
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
    p = np.array([float(row["p_value"]) for row in rows])
    anomalous = np.array([int(row["anomalous"]) for row in rows])
    np.testing.assert_array_equal(anomalous, p <= config.scoring.false_alarm_rate)
    assert (workdir / "report.html").stat().st_size > 10_000
    assert (workdir / "figures" / "robustness.png").exists()
    out = capsys.readouterr().out
    for name in (*results["detection"], *results["baselines"]):
        assert name in out


def test_images_on_disk_are_trained_on_and_judged_as_those_in_memory_are(
    trained, tmp_path_factory, dataset, on_disk
):
    config, workdir = trained
    other, stored = tmp_path_factory.mktemp("streamed"), on_disk(dataset)
    workdir_lib.claim_workdir(other, config)
    train_lib.train(config, other, stored)
    here = evaluate_lib.evaluate(config, workdir, dataset)
    there = evaluate_lib.evaluate(config, other, stored)
    assert here.rows == there.rows
    here.results.pop("cost"), there.results.pop("cost")
    assert here.results == there.results


def test_thresholds_and_p_values_do_not_come_from_the_test_images(trained, dataset):
    config, workdir = trained
    whole = evaluate_lib.evaluate(config, workdir, dataset)
    half = np.arange(5, 25)
    part = evaluate_lib.evaluate(
        config, workdir, dataclasses.replace(dataset, test=take(dataset.test, half))
    )
    for name, entry in whole.results["detection"].items():
        assert entry["threshold"] == part.results["detection"][name]["threshold"]
        assert "calibration" in entry["threshold_rule"]
    for row, same in zip(whole.rows[5:], part.rows, strict=True):
        assert row["p_value"] == same["p_value"]
        assert row["mse"] == pytest.approx(same["mse"], rel=1e-5)


def test_evaluating_twice_gives_the_same(trained, dataset):
    config, workdir = trained
    once, again = (evaluate_lib.evaluate(config, workdir, dataset) for _ in range(2))
    assert once.rows == again.rows
    once.results.pop("cost"), again.results.pop("cost")
    assert once.results == again.results


def test_a_test_set_without_anomalies_is_judged_by_its_false_alarms_alone(trained, dataset):
    config, workdir = trained
    normals = take(dataset.test, np.flatnonzero(dataset.test.labels == 0))
    evaluation = evaluate_lib.evaluate(config, workdir, dataclasses.replace(dataset, test=normals))
    evaluate_lib.write_report(workdir, evaluation)
    entry = evaluation.results["detection"]["mse"]
    assert "auroc" not in entry
    assert "recall" not in entry
    assert 0 <= entry["fpr"] <= 1
    assert evaluation.results["baselines"] == {}
    assert any("no anomaly" in warning for warning in evaluation.warnings)


def test_too_few_calibration_images_are_said_plainly(trained, dataset):
    config, workdir = trained
    few = dataclasses.replace(dataset, calibration=take(dataset.calibration, np.arange(9)))
    evaluation = evaluate_lib.evaluate(config, workdir, few)
    assert any("smallest possible rate is 1/10" in warning for warning in evaluation.warnings)


def test_the_two_sided_rule_flags_both_ends(trained, dataset):
    config, workdir = trained
    config.scoring.threshold_rule = "mean_std"
    evaluation = evaluate_lib.evaluate(config, workdir, dataset)
    entry = evaluation.results["detection"]["kl"]
    scores = np.array([row["kl"] for row in evaluation.rows])
    flagged = (scores > entry["threshold"]) | (scores < entry["threshold_low"])
    assert entry["fpr"] == pytest.approx(flagged[dataset.test.labels == 0].mean())


def test_false_discovery_decides_on_all_images_together(trained, dataset):
    config, workdir = trained
    alone = evaluate_lib.evaluate(config, workdir, dataset)
    assert alone.results["decision"]["promised"] == config.scoring.false_alarm_rate
    config.scoring.false_discovery = True
    together = evaluate_lib.evaluate(config, workdir, dataset)
    p = np.array([row["p_value"] for row in together.rows])
    anomalous = np.array([row["anomalous"] for row in together.rows], bool)
    rejected = stats.false_discovery_control(p) <= config.scoring.false_alarm_rate
    np.testing.assert_array_equal(anomalous, rejected)
    assert "promised" not in together.results["decision"]
    assert together.results["decision"]["recall"] == anomalous[dataset.test.labels == 1].mean()


def test_every_score_and_baseline_is_held_against_the_decisive_one(trained, dataset):
    config, workdir = trained
    results = evaluate_lib.evaluate(config, workdir, dataset).results
    decision = results["decision"]["score"]
    reference = results["detection"][decision]["auroc"]["value"]
    ranked = results["detection"] | results["baselines"]
    assert set(results["differences"]) == set(ranked) - {decision}
    for name, found in results["differences"].items():
        assert found["value"] == pytest.approx(ranked[name]["auroc"]["value"] - reference)
        assert found["low"] <= found["value"] <= found["high"]
        assert found["delong"]["low"] <= found["value"] + 1e-9
        assert found["delong"]["high"] >= found["value"] - 1e-9


def test_a_conditional_model_is_scored_with_its_class_summed_out_or_given(
    tmp_path, config, dataset
):
    config.model.num_classes = 1
    config.train.epochs = 1
    workdir_lib.claim_workdir(tmp_path, config)
    train_lib.train(config, tmp_path, dataset)
    marginal = evaluate_lib.evaluate(config, tmp_path, dataset)
    assert set(marginal.results["detection"]) == set(config.scoring.names)
    config.scoring.condition = "given"
    with pytest.raises(UserError, match="has the class ring, which no training image has"):
        evaluate_lib.evaluate(config, tmp_path, dataset)
    config.model.num_classes = 2
    with pytest.raises(UserError, match=r"set --config\.model\.num_classes=1"):
        train_lib.train(config, tmp_path / "other", dataset)


def test_an_autoencoder_has_no_score_that_asks_for_a_posterior(tmp_path, config, dataset):
    config.model.kind = "ae"
    config.train.epochs = 1
    workdir_lib.claim_workdir(tmp_path, config)
    train_lib.train(config, tmp_path, dataset)
    evaluation = evaluate_lib.evaluate(config, tmp_path, dataset)
    evaluate_lib.write_report(tmp_path, evaluation)
    assert set(evaluation.results["detection"]) == set(config.scoring.names) - set(NEEDS_POSTERIOR)
    assert "latent" not in evaluation.results
    assert len(evaluation.images.samples) == 0


def test_a_workdir_without_a_checkpoint_is_refused(tmp_path, config, dataset):
    workdir_lib.claim_workdir(tmp_path, config)
    with pytest.raises(UserError, match="holds no checkpoint"):
        evaluate_lib.evaluate(config, tmp_path, dataset)


def test_tiles_are_judged_as_whole_strips_too(trained, dataset):
    config, workdir = trained
    count = len(dataset.test.labels) // 5 * 5  # strips of five tiles each
    rows = np.argsort(dataset.test.labels, kind="stable")[:count]
    test = dataset.test.take(rows)
    masks = np.zeros((count, 8, 8), np.uint8)
    masks[test.labels == 1, 2:4, 2:4] = 1
    test = dataclasses.replace(
        test,
        files=[f"strip_{i // 5}.png" for i in range(count)],
        offsets=np.arange(count, dtype=np.int32) % 5 * 4,
        stored_size=np.tile(np.int32([24, 8, 100]), (count, 1)),
        masks=masks,
        has_mask=np.ones(count, bool),
    )
    evaluation = evaluate_lib.evaluate(config, workdir, dataclasses.replace(dataset, test=test))
    evaluate_lib.write_report(workdir, evaluation)
    found = evaluation.results["strips"]
    assert found["counts"]["normal_strips"] + found["counts"]["anomalous_strips"] == count // 5
    assert set(found["scores"]) == set(config.scoring.names)
    for name, entry in evaluation.results["localisation"].items():
        assert entry == found["maps"][name]["pixel"]
    assert [row["file"] for row in evaluation.rows[:2]] == ["strip_0.png@0", "strip_0.png@4"]
    assert len(evaluation.images.strips) > 0
    assert "Whole strips" in (workdir / "report.html").read_text()


def test_a_score_that_is_no_number_is_refused_by_name(trained, dataset, monkeypatch):
    config, workdir = trained
    monkeypatch.setitem(COLUMNS, "l1", lambda view: SCORES["mse"](view) / 0 * 0)
    with pytest.raises(
        UserError, match=r"the score l1 is nan for calibration/0.png \(calibration\); in total"
    ):
        evaluate_lib.evaluate(config, workdir, dataset)


def test_a_test_set_without_normals_is_judged_by_what_is_found(trained, dataset):
    config, workdir = trained
    anomalies = dataset.test.take(np.flatnonzero(dataset.test.labels == 1))
    evaluation = evaluate_lib.evaluate(
        config, workdir, dataclasses.replace(dataset, test=anomalies)
    )
    evaluate_lib.write_report(workdir, evaluation)
    entry = evaluation.results["detection"]["mse"]
    assert 0 <= entry["recall"] <= 1
    assert "fpr" not in entry
    assert set(evaluation.results["reconstruction"]) == {"anomaly"}
    assert evaluation.results["likelihood"] == {}
