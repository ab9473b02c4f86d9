"""Groups of tiles that belong to the same strip, and how well scores rank strips and tiles.

Tiles are of three kinds: `rolls` are the tiles of normal strips, `clean` the tiles without a defect of
anomalous strips, and `defects` the tiles with a defect.

T tiles of one strip, N test tiles.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

from vae_jax.data.examples import Examples
from vae_jax.metrics.ranking import measure_ranking


@dataclasses.dataclass(frozen=True)
class TileGroups:
    """Test tiles in groups.

    Attributes:
        test: the tiles.
        rows_of_strip: file of a strip -> rows of its tiles.
        anomalous: files of the strips with a defect.
        kinds: `rolls`, `clean` and `defects` -> which tiles are of this kind.
    """

    test: Examples
    rows_of_strip: dict[str, Int[np.ndarray, "T"]]
    anomalous: set[str]
    kinds: dict[str, Bool[np.ndarray, "N"]]


def group_tiles(test: Examples) -> TileGroups:
    """Groups the test tiles by strip and by kind."""
    rows_of_strip: dict[str, list[int]] = {}
    for row, file in enumerate(test.files):
        rows_of_strip.setdefault(file, []).append(row)
    anomalous = _find_anomalous_strips(test)
    in_anomalous_strip = np.array([file in anomalous for file in test.files])
    has_defect = test.labels == 1
    kinds = {
        "rolls": ~in_anomalous_strip,
        "clean": in_anomalous_strip & ~has_defect,
        "defects": has_defect,
    }
    arrays = {file: np.array(rows) for file, rows in rows_of_strip.items()}
    return TileGroups(test, arrays, anomalous, kinds)


def _find_anomalous_strips(test: Examples) -> set[str]:
    """Returns the files of the strips with a defect, even if all tiles that show the defect are missing.

    Such a strip is recognised by its other tiles: their class occurs beside defects on other strips, and
    no tile of this class has a defect.
    """
    tiles = list(zip(test.files, test.classes, test.labels, strict=True))
    with_defect = {file for file, _, label in tiles if label}
    defect_classes = {name for _, name, label in tiles if label}
    clean_classes = {name for file, name, _ in tiles if file in with_defect} - defect_classes
    return with_defect | {file for file, name, _ in tiles if name in clean_classes}


def rank_tiles(
    columns: Mapping[str, Float[np.ndarray, "N"]],
    tiles: TileGroups,
) -> dict[str, dict]:
    """Ranks strips and tiles by scores of tiles.

    Args:
        columns: name of a score -> its value for each tile.
        tiles: the tiles in groups.

    Returns:
        For each score: `image`, how well the highest tile of each strip ranks anomalous strips above
        normal strips; and `patch` with two rankings of `defects`, against `rolls` and against `clean`.
        Every measure has its interval, which treats the images of one group as one unit: the tiles of a
        strip overlap. A ranking without normals or without anomalies is absent.
    """
    return {
        name: rank_strips_and_tiles(
            tiles,
            values,
            {file: float(values[rows].max()) for file, rows in tiles.rows_of_strip.items()},
        )
        for name, values in columns.items()
    }


def rank_strips_and_tiles(
    tiles: TileGroups,
    tile_scores: Float[np.ndarray, "N"],
    strip_scores: Mapping[str, float],
) -> dict:
    """Ranks strips by the scores of strips, and tiles by the scores of tiles.

    Args:
        tiles: the tiles in groups.
        tile_scores: score of each tile.
        strip_scores: file of a strip -> its score.

    Returns:
        `image` and `patch`, as in `rank_tiles`.
    """

    group_of_tile = np.array(tiles.test.groups)

    rankings = {}
    strip_labels = np.array([int(file in tiles.anomalous) for file in strip_scores])
    if len(np.unique(strip_labels)) == 2:
        groups = [group_of_tile[tiles.rows_of_strip[file][0]] for file in strip_scores]
        rankings["image"] = measure_ranking(
            np.array(list(strip_scores.values())), strip_labels, groups
        )
    defects = tiles.kinds["defects"]
    patch = {}
    for kind in ("rolls", "clean"):
        if tiles.kinds[kind].any() and defects.any():
            rows = tiles.kinds[kind] | defects
            patch[kind] = measure_ranking(
                tile_scores[rows], tiles.test.labels[rows], group_of_tile[rows]
            )
    return rankings | ({"patch": patch} if patch else {})
