"""The sections of results.json and details.json, and the rows of scores.csv.

A value that does not apply is absent from its section.

N test images, n calibration normals.
"""

import pathlib
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

from vae_jax.data.examples import Examples
from vae_jax.metrics import detection as detection_metrics
from vae_jax.metrics.auroc_difference import subtract_aurocs
from vae_jax.metrics.delong import delong_paired
from vae_jax.metrics.ranking import Ranking, measure_ranking
from vae_jax.model.distributions import ACTIVE_VARIANCE, INFORMATIVE_KL, kl_to_standard_normal
from vae_jax.model.vae import Posterior, count_params
from vae_jax.runtime.memory import measure_peak_memory_bytes
from vae_jax.scoring.calibration import Threshold, false_alarm_interval
from vae_jax.scoring.decision import Decision
from vae_jax.scoring.role_scores import Columns
from vae_jax.training.history import read_metrics
from vae_jax.training.rollback import read_rollbacks

# Baseline scores that are written to scores.csv, because the report draws their curves.
_WRITTEN_BASELINES = ("pca",)

Labels = Int[np.ndarray, "N"]


def has_both_labels(test: Examples) -> bool:
    """Returns whether the test set contains normal images and anomalies."""
    return len(np.unique(test.labels)) == 2


def measure_reconstruction(test: Columns, labels: Labels, noise_std: float) -> dict:
    """Measures the image quality of reconstructions, as the mean over the images of each label.

    The entry `noisy` is measured on noisy versions of the normal images.
    """
    quality = {
        label_name: {
            name: float(test[f"quality_{name}"][labels == label].mean())
            for name in ("mse", "psnr", "ssim")
        }
        for label, label_name in enumerate(("normal", "anomaly"))
        if np.any(labels == label)
    }
    if np.any(labels == 0):
        noisy_mse = float(test["noisy_mse"][labels == 0].mean())
        quality["noisy"] = {"noise_std": noise_std, "mse": noisy_mse}
    return quality


def measure_likelihood(
    test: Columns, labels: Labels, importance_samples: int, meaning: str = ""
) -> dict:
    """Measures the mean ELBO of normal test images, and their likelihood if it was computed.

    The score `elbo` is the negative ELBO, so its sign is changed here.

    Args:
        test: scores of the test images.
        labels: their labels.
        importance_samples: samples per image of the likelihood.
        meaning: why the figures are no likelihoods, from `describe_meaning`; "" if they are.
    """
    if not np.any(labels == 0):
        return {}
    likelihood = {"elbo_nats": -float(test["elbo"][labels == 0].mean())}
    if "nll" in test:
        likelihood |= {
            "nll_nats": float(test["nll"][labels == 0].mean()),
            "bits_per_dim": float(test["bits_per_dim"][labels == 0].mean()),
            "importance_samples": importance_samples,
        }
    return likelihood | ({"not_a_likelihood": meaning} if meaning else {})


def rank_columns(test: Examples, columns: Columns) -> dict[str, Ranking]:
    """Ranks the test images by each column; empty unless the test set has both labels.

    Images of one group are not independent, so the intervals treat a group as one unit.
    """
    if not has_both_labels(test):
        return {}
    return {
        name: measure_ranking(values, test.labels, test.groups) for name, values in columns.items()
    }


def measure_detection(
    test: Examples,
    scores: Float[np.ndarray, "N"],
    threshold: Threshold,
    ranking: Ranking | None,
) -> dict:
    """Measures how well a score ranks the images, and how well its threshold decides.

    Args:
        test: test images.
        scores: their values of the score.
        threshold: threshold of the score.
        ranking: ranking by the score; None unless the test set has both labels.
    """
    entry = {}
    if ranking is not None:
        entry |= ranking
        entry["oracle"] = detection_metrics.measure_oracle(scores, test.labels)
    entry |= {"threshold": threshold.upper, "threshold_rule": threshold.rule}
    if threshold.lower is not None:
        entry["threshold_low"] = threshold.lower
    return entry | measure_decision(test, threshold.flags(scores))


def measure_decision(test: Examples, anomalous: Bool[np.ndarray, "N"]) -> dict:
    """Measures a decision; with normal test images also the interval of its false-positive rate.

    Args:
        test: test images.
        anomalous: which of them were called anomalous.
    """
    measures = detection_metrics.measure_decision(anomalous, test.labels, test.classes)
    normal = test.labels == 0
    if normal.any():
        num_flagged = int(anomalous[normal].sum())
        measures["false_alarms"] = false_alarm_interval(num_flagged, int(normal.sum()))
    return measures


def compare_aurocs(
    test: Examples, columns: Columns, rankings: dict[str, Ranking], deciding: str
) -> dict:
    """Compares the AUROC of each column with that of the deciding score.

    Args:
        test: test images.
        columns: scores and baseline scores of the images.
        rankings: ranking by each column; may be empty.
        deciding: name of the deciding score.

    Returns:
        For each other column, AUROC minus the AUROC of the deciding score with its interval, and under
        `delong` the narrower interval and the p-value by DeLong.
    """
    differences = {}
    groups = np.array(test.groups)
    has_variance = all(len(np.unique(groups[test.labels == label])) >= 2 for label in (0, 1))
    for name in rankings:
        if name != deciding:
            compared = columns[name], columns[deciding], test.labels, test.groups
            differences[name] = subtract_aurocs(*compared)
            if has_variance:
                delong = delong_paired(*compared)
                differences[name]["delong"] = {
                    key: delong[key] for key in ("low", "high", "p_value")
                }
    return differences


def measure_latent(calibration: Mapping[str, Posterior]) -> dict:
    """Measures the KL of each latent dimension over calibration normals, nats, and counts dimensions.

    `active_units` are the dimensions whose posterior mean varies; `informative_units` those whose KL is
    above `INFORMATIVE_KL`. The mean of a dimension may vary by less than the width of its posterior: it is
    active, and tells hardly anything about the image.

    Args:
        calibration: name of a branch of the model -> posteriors of the calibration normals.
    """
    kl, active, informative = {}, {}, {}
    for name, posterior in calibration.items():
        kl[name] = kl_to_standard_normal(posterior.mu, posterior.logvar).mean(axis=0)
        active[name] = int(np.sum(posterior.mu.var(axis=0) > ACTIVE_VARIANCE))
        informative[name] = int(np.sum(kl[name] > INFORMATIVE_KL))
    latent = {
        "active_units": sum(active.values()),
        "informative_units": sum(informative.values()),
        "kl_per_dimension": [float(value) for values in kl.values() for value in values],
    }
    if len(calibration) > 1:
        latent["branches"] = {
            name: {
                "dimensions": len(kl[name]),
                "active_units": active[name],
                "informative_units": informative[name],
                "kl_nats": float(kl[name].sum()),
            }
            for name in calibration
        }
    return latent


def describe_training(workdir: pathlib.Path) -> dict[str, dict]:
    """Returns the section `training` with the rollbacks of a run; empty if training never broke."""
    rollbacks = read_rollbacks(workdir / "checkpoints")
    return {"training": {"rollbacks": rollbacks}} if rollbacks else {}


def measure_cost(workdir: pathlib.Path, params: dict) -> dict:
    """Measures the time of training over all starts of the run, and the peak memory.

    The peak is the highest of all starts and of this evaluation until now.
    """
    # A line that was edited by hand may lack one of them.
    costs = {"peak_memory_bytes", "images_per_second", "seconds"}
    lines = [
        line for line in read_metrics(workdir) if line["split"] == "train" and costs <= line.keys()
    ]
    peak = max([measure_peak_memory_bytes(), *(line["peak_memory_bytes"] for line in lines)])
    cost = {"parameters": count_params(params), "peak_memory_bytes": peak}
    if lines:
        # The median, because the first epoch of every start includes compilation.
        rate = float(np.median([line["images_per_second"] for line in lines]))
        cost |= {"train_seconds": sum(line["seconds"] for line in lines), "images_per_second": rate}
    return cost


def list_rows(test: Examples, columns: Columns, decision: Decision) -> list[dict]:
    """Returns the rows of scores.csv.

    Args:
        test: test images, one per row.
        columns: scores and baseline scores of the images.
        decision: thresholds of the scores, p-values and flags.
    """
    names = [*decision.thresholds, *_WRITTEN_BASELINES]
    written = {name: columns[name] for name in names if name in columns}
    return [
        {
            "file": file,
            "class": test.classes[i],
            "label": int(test.labels[i]),
            **{name: float(values[i]) for name, values in written.items()},
            "p_value": float(decision.p_values[i]),
            "anomalous": int(decision.anomalous[i]),
        }
        for i, file in enumerate(test.names)
    ]
