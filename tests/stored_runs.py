"""Workdirs of finished runs for tests of comparisons, written by hand and without training."""

import csv
import json
import pathlib

import numpy as np

from vae_jax.config import default
from vae_jax.metrics.delong import delong, delong_paired


def write_run(
    folder: pathlib.Path,
    seed: int = 0,
    shift: float = 1.5,
    fingerprint: str = "abc",
    prefix: str = "image",
    noise: int = 7,
    groups: bool = True,
    anomalies: int = 30,
    deciding: str = "mse",
    **fields,
) -> pathlib.Path:
    """Writes the files of a run whose anomalies have higher scores by `shift`; returns its folder.

    Runs with the same `fingerprint`, `prefix` and `seed` have the same test images.

    Args:
        folder: folder of the run.
        seed: seed of the run, and of the images.
        shift: by how much the scores of anomalies are higher, in standard deviations of normals.
        fingerprint: digest of the images.
        prefix: with what the names of the test images begin.
        noise: seed of the part of the scores that is different in each run.
        groups: whether the run says that every two images are a group.
        anomalies: number of anomalies; there are 40 normals.
        deciding: score that decides, "mse" or "kl".
        fields: `group__field=value` of fields that differ from the default, and `name`.
    """
    folder.mkdir(parents=True)
    config = default()
    config.seed, config.name = seed, fields.pop("name", "digits")
    for field, value in fields.items():
        group, name = field.split("__")
        config[group][name] = value
    (folder / "config.json").write_text(config.to_json())
    labels = np.repeat([0, 1], [40, anomalies])
    rng = np.random.default_rng(seed)
    image, own = rng.normal(size=len(labels)), np.random.default_rng(noise).normal(size=len(labels))
    columns = {"mse": shift * labels + 0.8 * image + 0.6 * own, "kl": -image, "pca": image}
    width = 0.4 * labels + rng.normal(size=len(labels))
    numbers = np.arange(len(labels)) // 2 if groups else None
    all_columns = columns | {"stored_width": -width}

    def measure(name):
        if anomalies == 0:
            return {"threshold": 1.0}
        return {"auroc": delong(all_columns[name], labels, numbers), "auprc": {"value": 0.5}}

    differences = {}
    if anomalies:
        for name in ("pca", "stored_width"):
            pair = delong_paired(all_columns[name], columns[deciding], labels, numbers)
            differences[name] = {key: pair[key] for key in ("value", "low", "high", "p_value")}
    results = {
        "dataset": {"name": "digits", "fingerprint": fingerprint, "counts": {"train": 900}},
        "detection": {name: measure(name) for name in ("mse", "kl")},
        "baselines": {n: measure(n) for n in ("pca", "stored_width")} if anomalies else {},
        "cost": {"parameters": 1234, "train_seconds": 5.5, "images_per_second": 321.0},
    }
    details = {"decision": {"score": deciding}, "differences": differences}
    if groups:
        details["groups"] = {"number": len(labels) // 2, "of_images": numbers.tolist()}
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "details.json").write_text(json.dumps(details))
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "class", "label", *columns])
        for i, label in enumerate(labels):
            values = [float(column[i]) for column in columns.values()]
            writer.writerow([f"{prefix}{i:03d}.png", str(label), label, *values])
    (folder / "report.html").touch()
    return folder
