import dataclasses
import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vae_jax import results
from vae_jax.data.dataset_section import describe_dataset
from vae_jax.model.vae import Posterior
from vae_jax.scoring.calibration import Threshold
from vae_jax.scoring.decision import Decision


@pytest.fixture
def test_set(dataset):
    """Fifteen discs and ten rings."""
    return dataset.test


def draw_columns(count, *names):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=count) for name in names}


def test_the_dataset_is_described_by_the_number_of_images_of_each_role(dataset):
    section = describe_dataset(dataset)
    assert section["counts"] == {
        "train": 40, "val": 10, "calibration": 25, "test_normal": 15, "test_anomaly": 10,
    }  # fmt: skip
    assert (section["name"], section["image_size"], section["channels"]) == ("discs", 8, 1)


def test_reconstruction_is_the_mean_quality_of_each_label(test_set):
    columns = draw_columns(25, "quality_mse", "quality_psnr", "quality_ssim", "noisy_mse")
    section = results.measure_reconstruction(columns, test_set.labels, 0.1)
    assert section["normal"]["mse"] == pytest.approx(columns["quality_mse"][:15].mean())
    assert section["anomaly"]["ssim"] == pytest.approx(columns["quality_ssim"][15:].mean())
    assert section["noisy"] == {
        "noise_std": 0.1, "mse": pytest.approx(columns["noisy_mse"][:15].mean()),
    }  # fmt: skip
    anomalies = {name: values[15:] for name, values in columns.items()}
    assert set(results.measure_reconstruction(anomalies, test_set.labels[15:], 0.1)) == {"anomaly"}


def test_likelihood_is_the_mean_elbo_of_normals_and_nll_if_it_was_computed(test_set):
    columns = draw_columns(25, "elbo", "nll", "bits_per_dim")
    section = results.measure_likelihood(columns, test_set.labels, 64)
    assert section["elbo_nats"] == pytest.approx(-columns["elbo"][:15].mean())
    assert section["nll_nats"] == pytest.approx(columns["nll"][:15].mean())
    assert section["importance_samples"] == 64
    only_elbo = results.measure_likelihood({"elbo": columns["elbo"]}, test_set.labels, 64)
    assert set(only_elbo) == {"elbo_nats"}
    marked = results.measure_likelihood(columns, test_set.labels, 64, "a cross-entropy")
    assert marked == section | {"not_a_likelihood": "a cross-entropy"}
    assert results.measure_likelihood(columns, np.ones(25, np.int32), 64) == {}


def test_detection_holds_the_ranking_and_the_decision_of_a_threshold(test_set):
    columns = draw_columns(25, "mse")
    rankings = results.rank_columns(test_set, columns)
    threshold = Threshold(upper=0.5, lower=-1.5, rule="a rule", warning=None)
    entry = results.measure_detection(test_set, columns["mse"], threshold, rankings["mse"])
    assert entry["auroc"]["value"] == pytest.approx(roc_auc_score(test_set.labels, columns["mse"]))
    flagged = (columns["mse"] > 0.5) | (columns["mse"] < -1.5)
    assert entry["recall"] == pytest.approx(flagged[15:].mean())
    assert entry["fpr"] == pytest.approx(flagged[:15].mean())
    assert entry["false_alarms"]["value"] == pytest.approx(flagged[:15].mean())
    assert (entry["threshold"], entry["threshold_low"]) == (0.5, -1.5)
    unranked = results.measure_detection(test_set, columns["mse"], threshold, None)
    assert not {"auroc", "oracle"} & unranked.keys()


def test_nothing_is_ranked_unless_both_labels_are_there(test_set):
    normals = test_set.take(np.arange(15))
    assert not results.has_both_labels(normals)
    assert results.rank_columns(normals, draw_columns(15, "mse")) == {}


def test_delong_is_left_out_where_a_label_has_one_image(test_set):
    columns = draw_columns(25, "mse", "kl")
    for rows, has_delong in ((np.arange(25), True), (np.arange(16), False)):
        test = test_set.take(rows)
        part = {name: values[rows] for name, values in columns.items()}
        rankings = results.rank_columns(test, part)
        differences = results.compare_aurocs(test, part, rankings, "kl")
        assert set(differences) == {"mse"}
        value = rankings["mse"]["auroc"]["value"] - rankings["kl"]["auroc"]["value"]
        assert differences["mse"]["value"] == pytest.approx(value)
        assert ("delong" in differences["mse"]) is has_delong


def test_latent_counts_the_dimensions_whose_mean_varies():
    rng = np.random.default_rng(0)
    mu = np.stack([rng.normal(size=500), np.zeros(500), 0.2 * rng.normal(size=500)], axis=1)
    logvar = np.tile(np.array([-2.0, 0, 0]), (500, 1))
    posterior = Posterior(mu.astype(np.float32), logvar.astype(np.float32))
    section = results.measure_latent({"pixels": posterior})
    assert section["active_units"] == 2
    # The third mean varies by a fifth of the width of its posterior: 0.02 nats.
    assert section["informative_units"] == 1
    assert "branches" not in section
    expected = 0.5 * (np.square(mu[:, 0]).mean() + math.exp(-2) - 1 + 2)
    np.testing.assert_allclose(section["kl_per_dimension"][:2], [expected, 0], rtol=1e-5)


def test_latent_of_several_branches_is_measured_branch_by_branch():
    rng = np.random.default_rng(0)
    used = Posterior(rng.normal(size=(50, 3)).astype(np.float32), np.full((50, 3), -4, np.float32))
    unused = Posterior(np.zeros((50, 2), np.float32), np.zeros((50, 2), np.float32))
    section = results.measure_latent({"features": used, "bands": unused})
    assert (section["active_units"], section["informative_units"]) == (3, 3)
    assert len(section["kl_per_dimension"]) == 5
    branches = section["branches"]
    assert branches["bands"] == {
        "dimensions": 2, "active_units": 0, "informative_units": 0, "kl_nats": 0.0
    }  # fmt: skip
    assert branches["features"]["kl_nats"] == pytest.approx(sum(section["kl_per_dimension"]))


def test_rows_hold_the_scores_the_pca_baseline_and_the_decision(test_set):
    columns = draw_columns(25, "mse", "pca", "mean")
    threshold = Threshold(0.0, None, "a rule", None)
    anomalous = columns["mse"] > 0
    p_values = np.linspace(0, 1, 25)
    decision = Decision(
        "mse", "a rule", None, {"mse": threshold}, columns["mse"], p_values, anomalous
    )
    rows = results.list_rows(test_set, columns, decision)
    assert list(rows[0]) == ["file", "class", "label", "mse", "pca", "p_value", "anomalous"]
    for i, row in enumerate(rows):
        assert row["file"] == test_set.files[i]
        assert row["label"] == test_set.labels[i]
        assert row["pca"] == columns["pca"][i]
        assert row["anomalous"] == int(anomalous[i])
    tiles = dataclasses.replace(test_set, offsets=np.arange(25, dtype=np.int32))
    assert results.list_rows(tiles, columns, decision)[3]["file"] == f"{test_set.files[3]}@3"
