"""How well whole strips, their tiles and their pixels are ranked, as lines of a table."""

import dataclasses
from typing import Any

READING = (
    "The tiles without a defect on the defective strips are the honest comparison, since the normal "
    "strips were taken under other conditions. Tiles overlap, so that the intervals of tiles are too "
    "narrow. The main table pools both kinds of normal tiles."
)
# What a table's column holds -> its heading.
COLUMNS = {
    "image": "strips",
    "rolls": "tiles, normal strips",
    "clean": "tiles, same strips",
    "pixel_auroc": "pixel AUROC",
    "aupro": "AUPRO",
}


@dataclasses.dataclass(frozen=True)
class StripLine:
    """One score, or one map, with `value` and, where there is an interval, `low` and `high`, by column."""

    name: str
    measures: dict[str, dict[str, float]]


def strip_lines(results: dict[str, Any]) -> list[StripLine]:
    """Returns the scores, then the maps, in the order they were selected; none without strips."""
    strips = results.get("strips", {})
    scores = [StripLine(name, _measures(e)) for name, e in strips.get("scores", {}).items()]
    maps = [StripLine(f"{name} map", _measures(e)) for name, e in strips.get("maps", {}).items()]
    return scores + maps


def strip_counts(results: dict[str, Any]) -> str:
    """Returns how many strips and tiles there are of each kind; empty without strips."""
    counts = results.get("strips", {}).get("counts")
    if not counts:
        return ""
    return (
        f"{counts['normal_strips']:,} normal and {counts['anomalous_strips']:,} anomalous strips; tiles: "
        f"{counts['defects']:,} with a defect, {counts['clean']:,} without on the same strips, "
        f"{counts['rolls']:,} on normal strips"
    )


def _measures(entry: dict[str, Any]) -> dict[str, dict[str, float]]:
    ranked = {"image": entry.get("image", {}), **entry.get("patch", {})}
    found = {name: measured["auroc"] for name, measured in ranked.items() if measured}
    pixel = entry.get("pixel", {})
    intervals = pixel.get("intervals", {})
    for name in ("pixel_auroc", "aupro"):
        if name in pixel:
            found[name] = {"value": pixel[name]} | intervals.get(name, {})
    return found
