"""The report: one self-contained page, and its figures as files."""

import importlib.metadata
import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import matplotlib

import vae_jax
from vae_jax import workdir as workdir_lib
from vae_jax.report import drawing, html, numerals, reproduce
from vae_jax.report import images as report_images
from vae_jax.report.evaluation import (
    case_figures,
    facts,
    ranking,
    run_files,
    score_plots,
    strips,
    training_curves,
)
from vae_jax.report.evaluation.cases import Cases, ReportImages
from vae_jax.report.evaluation.run_files import RunFiles
from vae_jax.report.film import FILM_CAPTIONS
from vae_jax.scoring.scores import SCORE_TEXTS, deciding_score

# Attribute of ReportImages -> its heading; the template says how to read each.
_GALLERIES = {
    "normals": "Normal images",
    "anomalies": "Anomalous images",
    "best": "Best cases",
    "worst": "Worst cases",
}


def write(
    workdir: pathlib.Path, gallery: ReportImages, warnings: Sequence[str] = ()
) -> pathlib.Path:
    """Writes `report.html` and `figures/*.png` from the files of a workdir.

    The same files and gallery give the same bytes.

    Args:
        workdir: with `config.json`, `results.json`, `metrics.jsonl` and `scores.csv`.
        gallery: the images.
        warnings: sentences that stand at the head of the page.

    Returns:
        The path of the page.

    Raises:
        UserError: a file of the workdir is missing or not readable.
    """
    run = run_files.read(workdir)
    with matplotlib.rc_context(drawing.STYLE):
        sections = _draw(run, gallery)
    figures = workdir / "figures"
    figures.mkdir(exist_ok=True)
    for figure in sections["figures"]:
        (figures / f"{figure.name}.png").write_bytes(figure.png)
    films = [
        (path.read_bytes(), reading)
        for name, reading in FILM_CAPTIONS.items()
        if (path := figures / f"{name}.gif").is_file()
    ]
    page = html.render_template(
        "evaluation/page.html.jinja", **sections, **_numbers(run, warnings), films=films
    )
    workdir_lib.write_text(workdir / "report.html", page)
    return workdir / "report.html"


def _draw(run: RunFiles, gallery: ReportImages) -> dict[str, Any]:
    """Returns what the page shows, and under `figures` what goes into files as well."""
    baselines, scores = run.results.get("baselines", {}), run.scores
    detected = run.results.get("detection", {})
    drawn = {
        "curves": training_curves.draw(run.history),
        "robustness": score_plots.robustness(run.results.get("robustness", [])),
        "histograms": score_plots.histograms(scores, detected),
        "trade_offs": score_plots.trade_offs(scores, detected, baselines),
        "samples": [case_figures.samples(gallery.samples, run.config.model.num_classes)]
        if len(gallery.samples)
        else [],
    }
    drawn["strips"] = strips.draw(gallery.strips)
    shown, sheets = [], []
    for name, title in _GALLERIES.items():
        cases: Cases = getattr(gallery, name)
        if len(cases.scores):
            sheets.append(case_figures.sheet(name, title, cases, gallery.error_limit))
            tiles = case_figures.tiles(cases, gallery.error_limit)
            shown.append((name, title, list(zip(tiles, cases.captions, strict=True))))
    return drawn | {
        "figures": [figure for group in drawn.values() for figure in group] + sheets,
        "galleries": shown,
        "error_limit": gallery.error_limit,
        "scale": report_images.list_scale_colours(),
        "pixelated": gallery.normals.images.shape[1] < report_images.SMALL,
    }


def _numbers(run: RunFiles, warnings: Sequence[str]) -> dict[str, Any]:
    """Returns the words and numbers of the page."""
    config, results = run.config, run.results
    detected = results.get("detection", {})
    decision = deciding_score(config.scoring.decision, list(detected)) if detected else ""
    promised = results.get("decision", {}).get("promised")
    lines = ranking.lines(results)
    intervals = [line.auroc for line in lines if line.auroc]
    return {
        "name": config.name,
        "warnings": list(warnings),
        "headline": facts.headline(
            detected.get(decision, {}), results.get("decision", {}), promised
        ),
        "summary": facts.summary(config, results),
        "lines": lines,
        "decision": decision,
        "differences": results.get("differences", {}),
        "promised": promised,
        "axis_low": min([0.5, *(interval["low"] // 0.1 / 10 for interval in intervals)]),
        "detection": detected,
        "rules": sorted({entry["threshold_rule"] for entry in detected.values()}),
        "classes": _classes(run),
        "reconstruction": results.get("reconstruction", {}),
        "rate": numerals.format_rate,
        "quantity": numerals.format_quantity,
        "others": facts.others(results),
        "strip_lines": strips.strip_lines(results),
        "strip_columns": strips.COLUMNS,
        "strip_counts": strips.strip_counts(results),
        "strip_reading": strips.READING,
        "meanings": {name: SCORE_TEXTS[name] for name in detected},
        "milestones": training_curves.milestones(run.history),
        "command": reproduce.make_command(config),
        "config": config.to_json(indent=2, sort_keys=True),
        "versions": _versions(),
    }


def _classes(run: RunFiles) -> list[tuple[str, int, int, dict[str, float]]]:
    """Returns name, label, number of test images and share judged rightly by each score."""
    judged = {
        s: e["per_class"] for s, e in run.results.get("detection", {}).items() if "per_class" in e
    }
    counted = Counter(zip(run.scores.labels.tolist(), run.scores.classes, strict=True))
    rows = []
    for (label, name), count in sorted(counted.items()):
        shares = {score: shares[name] for score, shares in judged.items() if name in shares}
        if shares:
            rows.append((name, label, count, shares))
    return rows


def _versions() -> str:
    others = (f"{name} {importlib.metadata.version(name)}" for name in ("jax", "flax", "numpy"))
    return ", ".join((f"vae_jax {vae_jax.__version__}", *others))
