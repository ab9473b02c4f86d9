"""Anomaly maps of images that were cut into tiles, measured on whole strips, on tiles and on pixels.

T tiles of one strip, N test tiles, H W tile.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from vae_jax.data.row_draw import draw_rows
from vae_jax.metrics.localisation import Localisation
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.scoring.anomaly_maps import (
    Mapper,
    Maps,
    choose_maps,
    make_scaled_mappers,
)
from vae_jax.scoring.baselines import Baselines
from vae_jax.scoring.localisation_sections import list_localisation_sections
from vae_jax.scoring.role_scores import Columns
from vae_jax.scoring.setup import ScoringSetup
from vae_jax.scoring.stitching import Strip, assemble_strip
from vae_jax.scoring.tile_groups import TileGroups, group_tiles, rank_strips_and_tiles, rank_tiles


@dataclasses.dataclass(frozen=True)
class StripEvaluation:
    """Measures of whole strips, and some strips for the report.

    Attributes:
        tiles: the test tiles in groups.
        counts: number of `normal_strips` and `anomalous_strips`, and of tiles of each kind.
        maps: for each map the rankings that `rank_tiles` returns, and `pixel`, the measures that
            `Localisation.result` returns.
        shown: strips to show, each with its first map.
    """

    tiles: TileGroups
    counts: dict[str, int]
    maps: dict[str, dict]
    shown: list[Strip]


def evaluate_strips(
    setup: ScoringSetup,
    names: Sequence[str],
    baselines: Baselines,
    fits: dict[str, Any],
    num_shown: int = 6,
) -> StripEvaluation | None:
    """Measures the anomaly maps of the scores and of the baselines on whole strips; see `measure_strips`.

    Args:
        setup: model, data and scoring config; the test images are tiles in any order.
        names: names of scores; a score without a map is skipped.
        baselines: baselines of the dataset, for their maps.
        fits: fits of the scores on training normals.
        num_shown: number of strips to show; a third of them are normal. They are chosen at random.

    Returns:
        The measures; None if the test images are not tiles.
    """
    if setup.dataset.test.offsets is None:
        return None
    # A batch that is longer than the longest strip would be padded every time.
    longest = max(map(len, group_tiles(setup.dataset.test).rows_of_strip.values()))
    setup = dataclasses.replace(setup, trained=setup.trained.with_max_batch_size(longest))
    map_names = choose_maps(setup.trained.model, names, setup.scoring_config.fusion)
    scaled_mappers = make_scaled_mappers(setup, names, baselines, fits)
    return measure_strips(setup, scaled_mappers, list(map(str, map_names)), num_shown)


def measure_strips(
    setup: ScoringSetup, scaled_mappers: Sequence[Mapper], order: Sequence[str], num_shown: int = 6
) -> StripEvaluation:
    """Measures anomaly maps on whole strips.

    Memory holds the maps of one strip at a time. The score of a strip is the highest value of its map; the
    score of a tile is the highest value of its own map, before the maps of the tiles are blended.

    Args:
        setup: model, data and scoring config; the test images are tiles in any order.
        scaled_mappers: compute the maps of tiles, in standard deviations above calibration normals.
        order: names of maps; a strip is shown with the first of them.
        num_shown: number of strips to show; a third of them are normal. They are chosen at random.
    """
    tiles = group_tiles(setup.dataset.test)
    files_to_show = _draw_strips(tiles, num_shown, setup.seed)
    shown: dict[str, Strip] = {}
    maps: dict[str, dict] = {}
    num_maps = len(tiles.rows_of_strip) * len(scaled_mappers)
    with open_progress_bar(num_maps, "strips", unit="strip") as bar:
        for compute_maps in scaled_mappers:
            for name, measure in _measure_maps(
                setup, tiles, compute_maps, order, files_to_show, bar.update
            ).items():
                ranking = rank_strips_and_tiles(tiles, measure.tile_scores, measure.strip_scores)
                maps[name] = ranking | {"pixel": measure.pixels.result(with_curves=True)}
                for file, strip in measure.strips.items():
                    shown.setdefault(file, strip)
    return StripEvaluation(tiles, _count(tiles), maps, list(shown.values()))


def describe_strips(
    setup: ScoringSetup, strips: StripEvaluation, columns: Columns
) -> dict[str, dict]:
    """Returns the section `strips` and, if pixels were measured, the sections about anomaly maps.

    Args:
        setup: model, data and scoring config.
        strips: measures of the maps.
        columns: name of a score -> its value for each tile.
    """
    ranking = rank_tiles(columns, strips.tiles)
    sections = list_localisation_sections(
        {name: map_["pixel"] for name, map_ in strips.maps.items() if map_["pixel"]}
    )
    pixels = sections.get("localisation", {})
    maps = {name: map_ | {"pixel": pixels.get(name, {})} for name, map_ in strips.maps.items()}
    return {"strips": {"counts": strips.counts, "maps": maps, "scores": ranking}} | sections


@dataclasses.dataclass
class _MapMeasure:
    """Measures of one map over all strips.

    Attributes:
        pixels: measures of the pixels of whole strips.
        tile_scores: highest value of each tile's map.
        strip_scores: file of a strip -> highest value of its map.
        strips: file of a strip to show -> the strip.
    """

    pixels: Localisation
    tile_scores: Float[np.ndarray, "N"]
    strip_scores: dict[str, float]
    strips: dict[str, Strip]


def _draw_strips(tiles: TileGroups, count: int, seed: int) -> set[str]:
    """Chooses the strips to show at random, without reading their scores."""
    rng = np.random.default_rng((seed, len(tiles.rows_of_strip)))
    normal = [file for file in tiles.rows_of_strip if file not in tiles.anomalous]
    anomalous = [file for file in tiles.rows_of_strip if file in tiles.anomalous]
    num_normal = min(len(normal), count // 3 if anomalous else count)
    normal_rows = draw_rows(len(normal), num_normal, rng, in_order=False)
    anomalous_rows = draw_rows(len(anomalous), count - num_normal, rng, in_order=False)
    return {normal[row] for row in normal_rows} | {anomalous[row] for row in anomalous_rows}


def _measure_maps(
    setup: ScoringSetup,
    tiles: TileGroups,
    compute_maps: Mapper,
    order: Sequence[str],
    files_to_show: set[str],
    on_strips: Callable[[int], object],
) -> dict[str, _MapMeasure]:
    """Measures every map of a mapper, one strip at a time; calls `on_strips` after each strip."""
    test, region = tiles.test, setup.dataset.region
    region_mask = None if region is None else region.mask
    num_resamples = setup.scoring_config.bootstrap_resamples
    measures: dict[str, _MapMeasure] = {}
    for file, rows in tiles.rows_of_strip.items():
        maps: Maps = compute_maps(test.take(rows))
        for name in sorted(maps, key=lambda name: _position(name, order)):
            values = maps[name]
            strip = assemble_strip(test, rows, name, values, region_mask)
            measure = measures.setdefault(
                name,
                _MapMeasure(
                    Localisation(setup.seed, num_resamples), np.empty(len(test.files)), {}, {}
                ),
            )
            measure.pixels.update(
                strip.values[None], strip.mask[None], strip.covered, [test.groups[rows[0]]]
            )
            inside = values if region_mask is None else values[:, region_mask]
            measure.tile_scores[rows] = inside.reshape(len(rows), -1).max(axis=1)
            measure.strip_scores[file] = strip.score
            if file in files_to_show:
                measure.strips[file] = strip
        on_strips(1)
    return measures


def _position(name: str, order: Sequence[str]) -> int:
    """Returns the position of a map in the order of the maps; JAX returns dicts in alphabetical order."""
    return order.index(name) if name in order else len(order)


def _count(tiles: TileGroups) -> dict[str, int]:
    return {
        "normal_strips": len(tiles.rows_of_strip) - len(tiles.anomalous),
        "anomalous_strips": len(tiles.anomalous),
        **{kind: int(is_kind.sum()) for kind, is_kind in tiles.kinds.items()},
    }
