"""What results.json says, section by section; a value that does not apply is absent.

N test images, n calibration normals.
"""

import pathlib

import numpy as np
from jaxtyping import Bool, Float, Int

from vae_jax.data.examples import Dataset, Examples
from vae_jax.metrics import bootstrap
from vae_jax.metrics import detection as detection_metrics
from vae_jax.metrics.delong import delong_paired
from vae_jax.model.vae import Posterior, count_params
from vae_jax.runtime.memory import measure_peak_memory_bytes
from vae_jax.scoring.calibration import Threshold, false_alarm_interval
from vae_jax.training import history

# A latent dimension is active when its mean varies more than this over images (Burda et al. 2016).
_ACTIVE_VARIANCE = 0.01

# Name of a column -> its value for each image.
Columns = dict[str, Float[np.ndarray, "N"]]
Labels = Int[np.ndarray, "N"]


def has_both_labels(test: Examples) -> bool:
    """Whether there is anything to tell apart."""
    return len(np.unique(test.labels)) == 2


def describe(dataset: Dataset) -> dict:
    """What was learnt from and judged."""
    labels = dataset.test.labels
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "image_size": dataset.image_size,
        "channels": dataset.channels,
        "counts": {
            "train": len(dataset.train.images),
            "val": len(dataset.val.images),
            "calibration": len(dataset.calibration.images),
            "test_normal": int(np.sum(labels == 0)),
            "test_anomaly": int(np.sum(labels == 1)),
        },
    }


def reconstruction(test: Columns, labels: Labels, noise_std: float) -> dict:
    """Image quality, mean over the images of each label; the noisy figure is of normals."""
    quality = {
        kind: {
            name: float(test[f"quality_{name}"][labels == label].mean())
            for name in ("mse", "psnr", "ssim")
        }
        for label, kind in enumerate(("normal", "anomaly"))
        if np.any(labels == label)
    }
    if np.any(labels == 0):
        noisy_mse = float(test["noisy_mse"][labels == 0].mean())
        quality["noisy"] = {"noise_std": noise_std, "mse": noisy_mse}
    return quality


def likelihood(test: Columns, labels: Labels, importance_samples: int) -> dict:
    """Of normal test images, mean; the ELBO itself, so its sign is the score's turned round."""
    if not np.any(labels == 0):
        return {}
    found = {"elbo_nats": -float(test["elbo"][labels == 0].mean())}
    if "nll" in test:
        found |= {
            "nll_nats": float(test["nll"][labels == 0].mean()),
            "bits_per_dim": float(test["bits_per_dim"][labels == 0].mean()),
            "importance_samples": importance_samples,
        }
    return found


def rankings(
    test: Examples, columns: Columns, num_resamples: int, seed: int
) -> dict[str, bootstrap.Ranking]:
    """How each column ranks the test images; empty where there is nothing to tell apart."""
    if not has_both_labels(test):
        return {}
    return {
        name: bootstrap.rank(values, test.labels, num_resamples, seed)
        for name, values in columns.items()
    }


def detection(
    test: Examples,
    scores: Float[np.ndarray, "N"],
    threshold: Threshold,
    ranking: bootstrap.Ranking | None,
) -> dict:
    """Ranking with intervals, then what the threshold does; the first only where there are anomalies."""
    entry = {}
    if ranking is not None:
        entry |= ranking.intervals()
        entry["oracle"] = detection_metrics.oracle(scores, test.labels)
    entry |= {"threshold": threshold.upper, "threshold_rule": threshold.rule}
    if threshold.lower is not None:
        entry["threshold_low"] = threshold.lower
    return entry | judged(test, threshold.flags(scores))


def judged(test: Examples, flagged: Bool[np.ndarray, "N"]) -> dict:
    """How good a decision was, with the interval of the false-alarm rate where there are normals."""
    found = detection_metrics.at_decision(flagged, test.labels, test.classes)
    normal = test.labels == 0
    if normal.any():
        found["false_alarms"] = false_alarm_interval(int(flagged[normal].sum()), int(normal.sum()))
    return found


def differences(
    test: Examples, columns: Columns, rankings: dict[str, bootstrap.Ranking], decision: str
) -> dict:
    """AUROC of each column minus that of the decisive score, by paired bootstrap and by DeLong."""
    found = {}
    has_variance = np.bincount(test.labels).min() >= 2
    for name, ranking in rankings.items():
        if name != decision:
            found[name] = ranking.auroc_minus(rankings[decision])
            if has_variance:
                check = delong_paired(columns[name], columns[decision], test.labels)
                found[name]["delong"] = {key: check[key] for key in ("low", "high", "p_value")}
    return found


def latent(calibration: Posterior) -> dict:
    """KL of each dimension over calibration normals, nats, and how many dimensions carry anything."""
    mu, logvar = calibration.mu, calibration.logvar
    kl = 0.5 * (np.square(mu) + np.exp(logvar) - 1 - logvar)
    return {
        "active_units": int(np.sum(mu.var(axis=0) > _ACTIVE_VARIANCE)),
        "kl_per_dimension": [float(value) for value in kl.mean(axis=0)],
    }


def cost(workdir: pathlib.Path, params: dict) -> dict:
    """Time of training over all starts, and the most memory of any of them or of this evaluation."""
    lines = [line for line in history.read_metrics(workdir) if line["split"] == "train"]
    peak = max([measure_peak_memory_bytes(), *(line["peak_memory_bytes"] for line in lines)])
    cost = {"parameters": count_params(params), "peak_memory_bytes": peak}
    if lines:
        # The median, because the first epoch of every start compiles.
        rate = float(np.median([line["images_per_second"] for line in lines]))
        cost |= {"train_seconds": sum(line["seconds"] for line in lines), "images_per_second": rate}
    return cost
