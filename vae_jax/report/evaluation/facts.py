"""The figures of a run that stand alone: summary, key figures, cost, and whatever else was measured."""

from typing import Any

import ml_collections

from vae_jax.report.numerals import (
    format_duration,
    format_percent,
    format_quantity,
    format_rate,
    format_size,
)

Fact = tuple[str, str]  # what, and its value with its unit


def summary(config: ml_collections.ConfigDict, results: dict[str, Any]) -> dict[str, list[Fact]]:
    """Returns groups of facts about the run: data, model, training."""
    groups = {
        "Data": _data(config, results.get("dataset", {})),
        "Model": _model(config, results.get("cost", {})),
        "Training": _training(config, results.get("cost", {})),
    }
    return {title: facts for title, facts in groups.items() if facts}


def _data(config: ml_collections.ConfigDict, dataset: dict[str, Any]) -> list[Fact]:
    if not dataset:
        return []
    counts = dataset["counts"]
    size_px, channels = dataset["image_size"], dataset["channels"]
    facts = [
        ("dataset", dataset["name"]),
        ("images", f"{size_px} x {size_px} x {channels} pixels"),
        ("train", f"{counts['train']:,} normal"),
        ("validation", f"{counts['val']:,} normal"),
        ("calibration", f"{counts['calibration']:,} normal"),
        ("test", f"{counts['test_normal']:,} normal, {counts['test_anomaly']:,} anomalous"),
    ]
    if config.data.anomaly_dataset:
        facts.append(("anomalies from", config.data.anomaly_dataset))
    for role in ("normal", "anomaly"):
        if classes := config.data[f"{role}_classes"]:
            facts.append((f"{role} classes", ", ".join(classes)))
    return [*facts, ("fingerprint", dataset["fingerprint"])]


def _model(config: ml_collections.ConfigDict, cost: dict[str, Any]) -> list[Fact]:
    model, objective = config.model, config.objective
    sigma = f", sigma {model.sigma:g}" if model.likelihood == "gaussian" else ""
    facts = [
        ("kind", {"vae": "variational autoencoder", "ae": "autoencoder"}[model.kind]),
        ("likelihood", f"{model.likelihood}{sigma}"),
        ("latent dimensions", f"{model.latent_dim:,}"),
        ("widths", ", ".join(map(str, model.widths))),
    ]
    if model.kind == "vae":
        facts.append(("beta", f"{objective.beta:g}, {objective.beta_schedule}"))
    if "parameters" in cost:
        facts.append(("parameters", f"{cost['parameters']:,}"))
    return facts


def _training(config: ml_collections.ConfigDict, cost: dict[str, Any]) -> list[Fact]:
    train = config.train
    facts = [
        ("epochs, at most", f"{train.epochs:,}"),
        ("batch size", f"{train.batch_size:,}"),
        ("learning rate", f"{train.learning_rate:g}, {train.learning_rate_schedule}"),
        ("precision", train.precision),
        ("seed", str(config.seed)),
    ]
    if "train_seconds" in cost:
        facts.append(("training time", format_duration(cost["train_seconds"])))
    if "images_per_second" in cost:
        facts.append(("throughput", f"{cost['images_per_second']:,.0f} images/s"))
    if "peak_memory_bytes" in cost:
        facts.append(("peak memory", format_size(cost["peak_memory_bytes"])))
    return facts


def headline(
    entry: dict[str, Any], decision: dict[str, Any], promised: float | None
) -> list[tuple[str, str, str]]:
    """Returns what, value and explanation of the few numbers that a reader looks for first.

    Args:
        entry: the ranking of the score that decides.
        decision: which score decides, by which rule, and how well.
        promised: the false-alarm rate that the threshold promises; None with a rule that promises none.
    """
    found = []
    for measure, name in (("auroc", "AUROC"), ("auprc", "AUPRC")):
        if value := entry.get(measure):
            interval = f"95 % interval {format_rate(value['low'])} to {format_rate(value['high'])}"
            found.append((f"{name} of {decision['score']}", format_rate(value["value"]), interval))
    if "recall" in decision:
        found.append(("Anomalies found", format_percent(decision["recall"]), decision["rule"]))
    if alarms := decision.get("false_alarms"):
        note = f"{format_percent(promised)} promised, " if promised is not None else ""
        interval = (
            f"95 % interval {format_percent(alarms['low'])} to {format_percent(alarms['high'])}"
        )
        found.append(
            ("False alarms", format_percent(alarms["value"]), f"of test normals; {note}{interval}")
        )
    return found


def others(results: dict[str, Any]) -> list[Fact]:
    """Returns the single numbers of the optional groups of `results.json`, path and value."""
    groups = ("likelihood", "localisation", "latent", "generation")
    return [fact for group in groups for fact in _flatten(group, results.get(group, {}))]


def _flatten(path: str, node: Any) -> list[Fact]:
    if isinstance(node, dict):
        intervals = node.get("intervals", {})
        facts = []
        for name in node:
            if name in intervals:
                ends = f" ({format_rate(intervals[name]['low'])} to {format_rate(intervals[name]['high'])})"
                facts.append((f"{path}.{name}", format_quantity(node[name]) + ends))
            elif name != "intervals":
                facts += _flatten(f"{path}.{name}", node[name])
        return facts
    if isinstance(node, str):
        return [(path, node)]
    return [] if isinstance(node, list) else [(path, format_quantity(node))]
