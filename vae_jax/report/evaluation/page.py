"""The report of one run: one self-contained HTML page, and its figures as files."""

import importlib.metadata
import itertools
import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import matplotlib

import vae_jax
from vae_jax import workdir as workdir_lib
from vae_jax.report import drawing, html, numerals, reproduce
from vae_jax.report.drawing import Drawing
from vae_jax.report.evaluation import (
    case_figures,
    facts,
    live_data,
    localisation_plots,
    model_measures,
    new_images,
    score_plots,
    strips,
    training_curves,
    verdict,
)
from vae_jax.report.evaluation.cases import Cases, ReportImages
from vae_jax.report.evaluation.page_scripts import hash_script, read_scripts
from vae_jax.report.evaluation.ranking import rank_results
from vae_jax.report.evaluation.run_files import RunFiles, read_run_files
from vae_jax.report.film import FILM_CAPTIONS
from vae_jax.report.images import SMALL, list_scale_colours
from vae_jax.scoring.score_texts import describe_score

# Attribute of ReportImages -> heading of its gallery; the template explains each gallery.
_GALLERIES = {
    "normals": "Normal images",
    "anomalies": "Anomalous images",
    "right": "Right and sure",
    "missed": "Missed anomalies",
    "false_alarms": "False alarms",
}

# The measured map that is nearest to the error of the reconstruction, which is its square root.
_ERROR_MAP = "mse"


def write_page(
    workdir: pathlib.Path, report_images: ReportImages, warnings: Sequence[str] = ()
) -> pathlib.Path:
    """Writes `report.html` and `figures/*.png` from the files of a workdir.

    The same files and images give the same bytes.

    Args:
        workdir: folder with `config.json`, `results.json`, `metrics.jsonl` and `scores.csv`.
        report_images: the images to show.
        warnings: sentences for the box at the top of the page.

    Returns:
        The path of the page.

    Raises:
        UserError: a file of the workdir is missing or not readable.
    """
    run = read_run_files(workdir)
    with matplotlib.rc_context(drawing.STYLE):
        figures = _draw_figures(run, report_images)
        sheets = [
            case_figures.draw_sheet(
                name, _name_map(title, report_images), cases, report_images.error_limit
            )
            for name, title, cases in _list_galleries(report_images)
        ]
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    for figure in itertools.chain(*figures.values(), sheets):
        (folder / f"{figure.name}.png").write_bytes(figure.png)
    films = [
        (path.read_bytes(), caption)
        for name, caption in FILM_CAPTIONS.items()
        if (path := folder / f"{name}.gif").is_file()
    ]
    script = read_scripts()
    page = html.render_template(
        "evaluation/page.html.jinja",
        **_collect_live(run, report_images),
        script=script,
        script_digest=hash_script(script),
        **figures,
        **_collect_images(report_images),
        **_collect_results(run),
        **_collect_run_facts(run),
        films=films,
        warnings=list(warnings),
    )
    workdir_lib.write_text(workdir / "report.html", page)
    return workdir / "report.html"


def _draw_figures(run: RunFiles, report_images: ReportImages) -> dict[str, list[Drawing]]:
    """Returns the figures of each section, by the name that the template uses."""
    scores, detection = run.scores, _order_detection(run.results)
    baselines = run.results.get("baselines", {})
    samples, num_classes = report_images.samples, run.config.model.num_classes
    return {
        "curves": training_curves.draw_training_curves(run.history),
        "robustness": score_plots.draw_robustness(run.results.get("robustness", [])),
        "histograms": score_plots.draw_histograms(scores, detection),
        "roc_and_precision_recall": score_plots.draw_roc_and_precision_recall(
            scores, detection, baselines, run.results.get("decision", {}).get("score", "")
        ),
        "localisation": localisation_plots.draw_localisation(
            run.results, report_images.map_name or _ERROR_MAP
        ),
        "samples": [case_figures.draw_samples(samples, num_classes)] if len(samples) else [],
        "strips": strips.draw_strips(report_images.strips),
    }


def _order_detection(results: dict[str, Any]) -> dict[str, Any]:
    """Returns the section `detection` with the deciding score first, so that nobody has to look for it."""
    deciding = results.get("decision", {}).get("score", "")
    return dict(sorted(results.get("detection", {}).items(), key=lambda item: item[0] != deciding))


def _list_galleries(report_images: ReportImages) -> list[tuple[str, str, Cases]]:
    """Returns name, heading and cases of each gallery that is not empty."""
    galleries = [(name, title, getattr(report_images, name)) for name, title in _GALLERIES.items()]
    return [gallery for gallery in galleries if len(gallery[2].scores)]


def _name_map(title: str, report_images: ReportImages) -> str:
    """Returns the heading of a sheet, with the name of the anomaly map unless it is the error."""
    return f"{title}, map: {report_images.map_name}" if report_images.map_name else title


def _collect_images(report_images: ReportImages) -> dict[str, Any]:
    """Returns what the template needs for the section with images and error maps."""
    galleries = []
    for name, title, cases in _list_galleries(report_images):
        tiles = case_figures.make_tiles(cases, report_images.error_limit)
        galleries.append((name, title, tiles))
    return {
        "galleries": galleries,
        "picture_names": case_figures.list_picture_names(report_images.normals),
        "map_name": report_images.map_name,
        "shown_map": report_images.map_name or "error",
        "has_masks": report_images.anomalies.masks is not None,
        "error_limit": report_images.error_limit,
        "scale_colours": list_scale_colours(),
        "pixelated": report_images.normals.images.shape[1] < SMALL,
    }


def _collect_results(run: RunFiles) -> dict[str, Any]:
    """Returns what the template needs for the head of the page and the sections with results."""
    results = run.results
    detection, decision = results.get("detection", {}), results.get("decision", {})
    deciding = decision.get("score", "")
    promised_rate = decision.get("promised")
    rows = rank_results(results)
    # The axis of the bars begins at a multiple of 0.1, at 0.5 or below every interval.
    axis_low = min([0.5, *(row.auroc["low"] // 0.1 / 10 for row in rows if row.auroc)])
    return {
        "headline": facts.list_headline_numbers(
            detection.get(deciding, {}),
            decision,
            promised_rate,
            results.get("dataset", {}).get("counts"),
        ),
        "rows": rows,
        "deciding_score": deciding,
        "differences": results.get("differences", {}),
        "promised_rate": promised_rate,
        "axis_low": axis_low,
        "detection": _order_detection(results),
        "rules": sorted({entry["threshold_rule"] for entry in detection.values()}),
        "class_rows": _list_class_rows(run),
        "reconstruction": results.get("reconstruction", {}),
        "map_rows": facts.list_map_rows(results),
        "map_columns": facts.MAP_COLUMNS,
        "model_measures": model_measures.list_model_measures(results),
        "strip_rows": strips.list_strip_rows(results),
        "strip_columns": strips.STRIP_COLUMNS,
        "strip_counts": strips.describe_strip_counts(results),
        "strip_caveat": strips.STRIP_CAVEAT,
        "score_texts": {name: describe_score(name) for name in detection},
        "rate": numerals.format_rate,
        "quantity": numerals.format_quantity,
    }


def _collect_live(run: RunFiles, report_images: ReportImages) -> dict[str, Any]:
    """Returns what the template needs for the verdict, and for what the scripts bring to life."""
    counts = verdict.count_decisions(run.scores)
    data = live_data.collect_live_data(run.scores, run.results, report_images)
    return {
        "verdict": verdict.summarise_verdict(run.results, counts),
        "decision_counts": counts,
        "live": None if data is None else live_data.write_json(data),
        "has_gallery": bool(data and "gallery" in data),
    }


def _collect_run_facts(run: RunFiles) -> dict[str, Any]:
    """Returns what the template needs to describe the run, its training and how to repeat it."""
    return {
        "name": new_images.name_page(run.config.name, run.results),
        "notes": new_images.list_notes(run.results),
        "summary": facts.summarise_run(run.config, run.results),
        "milestones": training_curves.pick_milestones(run.history),
        "command": new_images.make_command(run.results) or reproduce.make_command(run.config),
        "config": run.config.to_json(indent=2, sort_keys=True),
        "versions": _list_versions(),
    }


def _list_class_rows(run: RunFiles) -> list[tuple[str, int, int, dict[str, float]]]:
    """Returns name, label, number of test images and, for each score, the share of correct decisions."""
    shares_by_score = {
        score: entry["per_class"]
        for score, entry in run.results.get("detection", {}).items()
        if "per_class" in entry
    }
    counts = Counter(zip(run.scores.labels.tolist(), run.scores.classes, strict=True))
    rows = []
    for (label, name), count in sorted(counts.items()):
        shares = {
            score: shares[name] for score, shares in shares_by_score.items() if name in shares
        }
        if shares:
            rows.append((name, label, count, shares))
    return rows


def _list_versions() -> str:
    libraries = (f"{name} {importlib.metadata.version(name)}" for name in ("jax", "flax", "numpy"))
    return ", ".join((f"vae_jax {vae_jax.__version__}", *libraries))
