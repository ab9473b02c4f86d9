"""The data that the scripts of the page compute with, as JSON inside of the page.

Columns of numbers are base64 text of little-endian floats: exact, and shorter than digits. N test images,
n thumbnails.
"""

import base64
import json
from typing import Any

import markupsafe
import numpy as np

from vae_jax.report.evaluation.cases import ReportImages
from vae_jax.report.evaluation.thumbnails import COLUMNS, ROWS, encode_sheets
from vae_jax.report.html import make_data_uri
from vae_jax.scoring.score_table import ScoreTable

THUMBNAIL_BUDGET = 4_000_000  # bytes of all sheets; base64 makes a third more of them
SCORE_BUDGET = 4_000_000  # bytes of all columns of scores; the last ones are left out beyond it


def collect_live_data(
    scores: ScoreTable, results: dict[str, Any], report_images: ReportImages
) -> dict[str, Any] | None:
    """Returns the data of the scripts; None where there is no score with a threshold.

    Args:
        scores: content of `scores.csv`.
        results: content of `results.json`.
        report_images: the images of the report.
    """
    detection, decision = results.get("detection", {}), results.get("decision", {})
    deciding = decision.get("score", "")
    entries = {
        name: entry
        for name, entry in detection.items()
        if name in scores.columns and "threshold" in entry
    }
    if not entries or not len(scores.labels):
        return None
    classes = sorted(set(scores.classes))
    numbers = {name: number for number, name in enumerate(classes)}
    data = {
        "deciding": deciding if deciding in entries else next(iter(entries)),
        # The decision about one image depends on the others, so no threshold alone describes it.
        "jointly": "Benjamini-Hochberg" in decision.get("rule", ""),
        "labels": scores.labels.tolist(),
        "classes": classes,
        "classOf": [numbers[name] for name in scores.classes],
        "scores": _list_scores(scores, entries, deciding, report_images.calibration),
    }
    if decision.get("promised") is not None:
        data["wanted"] = decision["promised"]
    if "p_value" in scores.columns:
        data["pValues"] = encode_column(scores.columns["p_value"])
    thumbnails = report_images.thumbnails
    if thumbnails is not None:
        sheets = encode_sheets(thumbnails.pixels, THUMBNAIL_BUDGET)
        if sheets:
            data["gallery"] = {
                "rows": thumbnails.rows.tolist(),
                "files": thumbnails.files,
                "complete": thumbnails.is_complete,
                "side": thumbnails.pixels.shape[1],
                "columns": COLUMNS,
                "perSheet": COLUMNS * ROWS,
                "sheets": [make_data_uri(sheet, "webp") for sheet in sheets],
            }
    return data


def _list_scores(
    scores: ScoreTable,
    entries: dict[str, dict[str, Any]],
    deciding: str,
    calibration: dict[str, np.ndarray],
) -> list[dict[str, Any]]:
    """Returns the columns of the scores within the budget, the deciding score first."""
    listed, size = [], 0
    for name in sorted(entries, key=lambda name: name != deciding):
        entry = entries[name]
        column = {
            "name": name,
            "threshold": entry["threshold"],
            "values": encode_column(scores.columns[name]),
        }
        if "threshold_low" in entry:
            column["low"] = entry["threshold_low"]
        if name in calibration:
            column["calibration"] = encode_column(np.sort(calibration[name]))
        size += sum(len(part["data"]) for part in column.values() if isinstance(part, dict))
        if listed and size > SCORE_BUDGET:
            break
        listed.append(column)
    return listed


def encode_column(values: np.ndarray) -> dict[str, str]:
    """Returns the type of a column of numbers, "f4" or "f8", and its bytes as base64 text."""
    with np.errstate(
        over="ignore"
    ):  # a value that float32 cannot hold becomes infinite, and f8 is used
        short = values.astype("<f4")
    exact = values.astype("<f8")
    kind = "f4" if (short == exact).all() else "f8"
    content = (short if kind == "f4" else exact).tobytes()
    return {"type": kind, "data": base64.b64encode(content).decode("ascii")}


def write_json(data: Any) -> markupsafe.Markup:
    """Returns JSON that may stand inside of a `script` element, whatever its texts are."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return markupsafe.Markup(text)
