"""Single numbers and short texts about a run: its setup, its headline numbers and its maps."""

from typing import Any

import ml_collections

from vae_jax.model.branched import build_branches
from vae_jax.report.evaluation import new_images
from vae_jax.report.numerals import (
    format_duration,
    format_percent,
    format_rate,
    format_size,
)
from vae_jax.score_names import is_baseline

Fact = tuple[str, str]  # a name, and its value with its unit

_KINDS = {
    "vae": "variational autoencoder",
    "ae": "autoencoder",
    "linear": "linear variational autoencoder, fitted in closed form",
}
# Measure of an anomaly map against masks -> heading of its column.
MAP_COLUMNS = {"pixel_auroc": "pixel AUROC", "pixel_ap": "pixel AP", "aupro": "AUPRO"}


def summarise_run(
    config: ml_collections.ConfigDict, results: dict[str, Any]
) -> dict[str, list[Fact]]:
    """Returns facts about the data, the model and the training of a run, by the title of their group."""
    groups = {
        "Data": [
            *_list_data_facts(config, results.get("dataset", {})),
            *new_images.list_facts(results),
        ],
        "Model": _list_model_facts(config, results.get("cost", {})),
        "Training": _list_training_facts(config, results.get("cost", {})),
    }
    return {title: facts for title, facts in groups.items() if facts}


def _list_data_facts(config: ml_collections.ConfigDict, dataset: dict[str, Any]) -> list[Fact]:
    if not dataset:
        return []
    counts = dataset["counts"]
    image_size, channels = dataset["image_size"], dataset["channels"]
    facts = [
        ("dataset", dataset["name"]),
        ("images", f"{image_size} x {image_size} x {channels} pixels"),
        ("train", f"{counts['train']:,} normal"),
        ("validation", f"{counts['val']:,} normal"),
        ("calibration", f"{counts['calibration']:,} normal"),
        ("test", f"{counts['test_normal']:,} normal, {counts['test_anomaly']:,} anomalous"),
    ]
    if tiles := dataset.get("tiles"):
        facts.append(("tiles of these images", describe_tile_counts(tiles)))
    facts += _list_view_facts(dataset.get("view", {}))
    facts += _list_region_facts(dataset.get("mask_regions", {}))
    facts += _list_split_facts(dataset.get("split", {}))
    if config.data.anomaly_dataset:
        facts.append(("anomalies from", config.data.anomaly_dataset))
    for label in ("normal", "anomaly"):
        if classes := config.data[f"{label}_classes"]:
            facts.append((f"{label} classes", ", ".join(classes)))
    return [*facts, ("fingerprint", dataset["fingerprint"])]


def describe_tile_counts(tiles: dict[str, int]) -> str:
    """Returns as text how many tiles cover the images of each role."""
    return ", ".join(f"{count:,} {role}" for role, count in tiles.items())


def _list_view_facts(view: dict[str, Any]) -> list[Fact]:
    """Returns how much of the test images the model sees; nothing if it sees all of them whole."""
    facts = []
    if view.get("partial_images"):
        share = format_percent(view["mean_share"])
        facts.append(("in view", f"{share} of the area of a test image, on average"))
    if "masked_anomalies" in view:
        lost, total = view["anomalies_out_of_view"], view["masked_anomalies"]
        facts.append(("marked anomalies out of view", f"{lost:,} of {total:,}"))
    return facts


def _list_region_facts(regions: dict[str, int]) -> list[Fact]:
    """Returns how many marked regions are smaller than a pixel; nothing if no mask marks a region."""
    if not regions:
        return []
    text = f"{regions['marked']:,}, none lost by resizing"
    if regions["enlarged"]:
        text += f"; {regions['enlarged']:,} would be lost, and count with one pixel"
    return [("marked regions", text)]


def _list_split_facts(split: dict[str, Any]) -> list[Fact]:
    """Returns which images were left out of training or kept together; nothing if there are none."""
    facts = []
    if count := split.get("duplicates_left_out"):
        facts.append(("duplicates of test images", f"{count:,}, left out of training"))
    if count := split.get("grouped_left_out"):
        facts.append(("in a group with test images", f"{count:,}, left out of training"))
    if count := split.get("near_duplicates"):
        text = f"{count:,} images in {split['near_duplicate_groups']:,} groups, each in one role"
        facts.append(("near-duplicates", text))
    return facts


def _list_model_facts(config: ml_collections.ConfigDict, cost: dict[str, Any]) -> list[Fact]:
    model_config, objective = config.model, config.objective
    facts = [("kind", _KINDS[model_config.kind]), *_list_observation_facts(config)]
    if model_config.kind == "vae":
        facts.append(("beta", f"{objective.beta:g}, {objective.beta_schedule}"))
    if "parameters" in cost:
        facts.append(("parameters", f"{cost['parameters']:,}"))
    return facts


def _list_observation_facts(config: ml_collections.ConfigDict) -> list[Fact]:
    """Returns what the model explains and by what network, one observation after the other."""
    model_config = config.model
    if tuple(model_config.observations) == ("pixels",):
        return _list_pixel_facts(model_config)
    facts = [("observations", ", ".join(model_config.observations))]
    sizes = {"features": model_config.feature_size, "bands": model_config.band_size}
    for name, branch in build_branches(config).branches.items():
        cells, latent_dim = branch.image_size, branch.latent_dim
        latent = f"{branch.latent_size:,} dimensions"
        if branch.network == "spatial":
            latent += f", {latent_dim} in each cell"
        facts += [
            (name, f"of images of {sizes[name]} x {sizes[name]} pixels"),
            (f"grid of {name}", f"{cells} x {cells} cells, {branch.channels} channels"),
            (f"latent of {name}", latent),
        ]
        if branch.network != "linear":
            facts.append((f"widths of {name}", ", ".join(map(str, branch.widths))))
    return facts


def _list_pixel_facts(model_config: ml_collections.ConfigDict) -> list[Fact]:
    if model_config.kind == "linear":
        return [("likelihood", "normal"), ("latent dimensions", f"{model_config.latent_dim:,}")]
    sigma = f", sigma {model_config.sigma:g}" if model_config.likelihood == "gaussian" else ""
    return [
        ("likelihood", f"{model_config.likelihood}{sigma}"),
        ("latent dimensions", f"{model_config.latent_dim:,}"),
        ("widths", ", ".join(map(str, model_config.widths))),
    ]


def _list_training_facts(config: ml_collections.ConfigDict, cost: dict[str, Any]) -> list[Fact]:
    train_config = config.train
    schedule = train_config.learning_rate_schedule
    facts = []
    if config.model.kind != "linear":  # which is fitted in closed form
        facts += [
            ("maximum epochs", f"{train_config.epochs:,}"),
            ("batch size", f"{train_config.batch_size:,}"),
            ("learning rate", f"{train_config.learning_rate:g}, {schedule}"),
        ]
        if train_config.min_steps:
            facts.insert(1, ("minimum steps", f"{train_config.min_steps:,}"))
    facts += [("precision", train_config.precision), ("seed", str(config.seed))]
    if "train_seconds" in cost:
        facts.append(("training time", format_duration(cost["train_seconds"])))
    if "images_per_second" in cost:
        facts.append(("throughput", f"{cost['images_per_second']:,.0f} images/s"))
    if "peak_memory_bytes" in cost:
        facts.append(("peak memory", format_size(cost["peak_memory_bytes"])))
    return facts


def list_headline_numbers(
    entry: dict[str, Any],
    decision: dict[str, Any],
    promised_rate: float | None,
    counts: dict[str, int] | None = None,
) -> list[tuple[str, str, str]]:
    """Returns the few numbers that a reader looks for first, for the head of the page.

    Args:
        entry: measures of the score that decides.
        decision: the section `decision` of `results.json`: score, rule, recall and false alarms.
        promised_rate: false-alarm rate that the threshold promises; None for a rule that promises none.
        counts: `counts` of the section `dataset`, which give the AUPRC of guessing.

    Returns:
        Name, value and explanation of each number.
    """
    numbers = []
    for measure, name in (("auroc", "AUROC"), ("auprc", "AUPRC")):
        if value := entry.get(measure):
            interval = f"95 % interval {format_rate(value['low'])} to {format_rate(value['high'])}"
            if measure == "auprc" and counts:
                share = counts["test_anomaly"] / (counts["test_anomaly"] + counts["test_normal"])
                interval += f"; guessing gives {format_rate(share)}"
            numbers.append(
                (f"{name} of {decision['score']}", format_rate(value["value"]), interval)
            )
    if "recall" in decision:
        numbers.append(
            (
                "Anomalies found",
                format_percent(decision["recall"]),
                f"decision rule: {decision['rule']}",
            )
        )
    if alarms := decision.get("false_alarms"):
        promise = f"promised {format_percent(promised_rate)}; " if promised_rate is not None else ""
        interval = f"{format_percent(alarms['low'])} to {format_percent(alarms['high'])}"
        numbers.append(
            (
                "False alarms",
                format_percent(alarms["value"]),
                f"of the normal test images; {promise}95 % interval {interval}",
            )
        )
    return numbers


def list_map_rows(results: dict[str, Any]) -> list[tuple[str, bool, dict[str, str]]]:
    """Returns a row for each anomaly map that was compared with masks, the highest pixel AUROC first.

    Returns:
        Name of the map, whether it is that of a baseline, and column of `MAP_COLUMNS` -> value as text,
        with its 95 % interval.
    """
    maps = results.get("localisation", {})
    rows = []
    for name in sorted(maps, key=lambda name: -maps[name].get("pixel_auroc", 0)):
        # A baseline with several aggregates, such as padim_max, has one map.
        is_of_baseline = is_baseline(name) or is_baseline(f"{name}_max")
        cells = {}
        for column in MAP_COLUMNS:
            if column in maps[name]:
                interval = maps[name].get("intervals", {}).get(column)
                cells[column] = format_rate(maps[name][column]) + _format_ends(interval)
        rows.append((name, is_of_baseline, cells))
    return rows


def _format_ends(interval: dict[str, float] | None) -> str:
    if not interval:
        return ""
    return f" ({format_rate(interval['low'])} to {format_rate(interval['high'])})"
