"""The files of a run and the images of its report, made without training a model."""

import csv
import json
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from vae_jax.config import default
from vae_jax.report.evaluation.cases import Cases, ReportImages
from vae_jax.report.evaluation.page import write_page

SIDE, CHANNELS = 8, 1
CAPTION = "a/1.png, class 1, mse 0.0123, p 0.4"


def _interval(value: float) -> dict[str, float]:
    return {"value": value, "low": max(0.0, value - 0.04), "high": min(1.0, value + 0.04)}


def _detection(per_class: dict[str, float]) -> dict:
    return {
        "auroc": _interval(0.91),
        "auprc": _interval(0.88),
        "fpr95": _interval(0.31),
        "threshold": 0.0134,
        "threshold_rule": "quantile",
        "accuracy": 0.86,
        "f1": 0.84,
        "precision": 0.94,
        "recall": 0.76,
        "fpr": 0.05,
        "false_alarms": {"value": 0.05, "low": 0.019, "high": 0.106},
        "per_class": per_class,
        "oracle": {"threshold": 0.012, "accuracy": 0.881, "f1": 0.873},
    }


@pytest.fixture
def results() -> dict:
    """`results.json` of a run with 200 test images."""
    return _make_results()


def _make_results() -> dict:
    counts = {"train": 900, "val": 90, "calibration": 150, "test_normal": 120, "test_anomaly": 80}
    per_class = {"1": 0.96, "2": 0.94, "0": 0.76}
    reconstruction = {"mse": 0.0141, "psnr": 18.51, "ssim": 0.812}
    return {
        "dataset": {
            "name": "digits",
            "fingerprint": "3f9ac41e77d02b15",
            "image_size": SIDE,
            "channels": CHANNELS,
            "counts": counts,
        },
        "reconstruction": {
            "normal": reconstruction,
            "anomaly": reconstruction | {"mse": 0.0297},
            "noisy": {"noise_std": 0.1, "mse": 0.0155},
        },
        "detection": {"mse": _detection(per_class), "kl": _detection(per_class)},
        "decision": {
            "score": "mse",
            "rule": "each image by its threshold, quantile",
            "promised": 0.05,
            "false_alarms": {"value": 0.05, "low": 0.019, "high": 0.106},
        },
        "differences": {name: _interval(-0.02) | {"low": -0.06} for name in ("kl", "pca", "mean")},
        "baselines": {"pca": {"auroc": _interval(0.82)}, "mean": {"auroc": _interval(0.55)}},
        "cost": {"train_seconds": 43.2, "images_per_second": 5120.0, "parameters": 91_234},
    }


@pytest.fixture
def strip_results() -> dict:
    """The section `strips` of `results.json`, with one score and one map."""
    ranked = {
        name: {"auroc": _interval(value)} for name, value in (("rolls", 0.71), ("clean", 0.62))
    }
    pixel = {"pixel_auroc": 0.843, "pixel_ap": 0.02, "aupro": 0.519}
    pixel["intervals"] = {"pixel_auroc": {"low": 0.811, "high": 0.872}}
    score = {"image": {"auroc": _interval(0.58)}, "patch": ranked}
    kinds = {"rolls": 244, "clean": 1342, "defects": 104}
    return {
        "counts": {"normal_strips": 8, "anomalous_strips": 48, **kinds},
        "maps": {"mse": score | {"pixel": pixel}},
        "scores": {"fusion": {"patch": {"clean": ranked["clean"]}}},
    }


@pytest.fixture
def workdir(tmp_path: pathlib.Path, results: dict) -> pathlib.Path:
    """A workdir that contains the four files that the report reads."""
    _write_workdir(tmp_path, results)
    return tmp_path


def _write_workdir(folder: pathlib.Path, results: dict) -> None:
    """Writes the four files that the report reads."""
    (folder / "config.json").write_text(default().to_json(), encoding="utf-8")
    (folder / "results.json").write_text(json.dumps(results), encoding="utf-8")
    _write_scores(folder / "scores.csv", num_anomalies=80)
    with (folder / "metrics.jsonl").open("w", encoding="utf-8") as lines:
        for epoch in range(1, 21):
            terms = {"loss": 40 + 60 / epoch, "reconstruction": 30 + 60 / epoch, "kl": 10.0}
            train = terms | {"beta": 1.0, "learning_rate": 1e-3, "images_per_second": 5000.0}
            val = terms | {"mse": 0.02, "psnr": 17.0, "ssim": 0.8}
            for split, values in (("train", train), ("val", val)):
                row = {"step": 15 * epoch, "epoch": epoch, "split": split, **values}
                lines.write(json.dumps(row) + "\n")


def _write_scores(file: pathlib.Path, num_anomalies: int, num_normals: int = 120) -> None:
    """Writes `scores.csv` with the columns of two scores and one baseline."""
    rng = np.random.default_rng(0)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "class", "label", "mse", "kl", "pca", "p_value", "anomalous"])
        for i in range(num_normals + num_anomalies):
            label = int(i >= num_normals)
            mse, kl, pca = rng.lognormal(-4.5 + label, 0.3), rng.normal(12, 2), rng.gamma(2 + label)
            name = "0" if label else str(1 + i % 2)
            writer.writerow([f"{i}.png", name, label, mse, kl, pca, 0.5, int(mse > 0.0134)])


def _make_cases(n: int, caption: str) -> Cases:
    """Returns cases with random images and reconstructions; every case has the same caption."""
    rng = np.random.default_rng(n)
    x = rng.uniform(size=(n, SIDE, SIDE, CHANNELS)).astype(np.float32)
    x_hat = np.clip(x + rng.normal(0, 0.1, x.shape), 0, 1).astype(np.float32)
    error = np.abs(x - x_hat).mean(-1)
    return Cases(x, x_hat, error, [caption] * n, error.mean((1, 2)))


@pytest.fixture
def make_report_images() -> Callable[..., ReportImages]:
    """A function that makes images of a report with a number of anomalies and a caption."""
    return _make_report_images


def _make_report_images(num_anomalies: int = 3, caption: str = CAPTION) -> ReportImages:
    rng = np.random.default_rng(1)
    return ReportImages(
        normals=_make_cases(3, caption),
        anomalies=_make_cases(num_anomalies, caption),
        right=_make_cases(2, caption),
        missed=_make_cases(2, caption),
        false_alarms=_make_cases(2, caption),
        samples=rng.uniform(size=(20, SIDE, SIDE, CHANNELS)).astype(np.float32),
        error_limit=0.3,
    )


@pytest.fixture
def report_images(make_report_images: Callable[..., ReportImages]) -> ReportImages:
    """Images of a report with the default number of anomalies and caption."""
    return make_report_images()


@pytest.fixture(scope="session")
def full_report(tmp_path_factory) -> pathlib.Path:
    """A workdir with `report.html` and all its figures; tests must not change it."""
    folder = tmp_path_factory.mktemp("report")
    _write_workdir(folder, _make_results())
    write_page(folder, _make_report_images(), ["12 images were skipped"])
    return folder


@pytest.fixture
def write_scores() -> Callable[..., None]:
    """A function that writes `scores.csv` with a number of anomalies."""
    return _write_scores
