"""Images that were cut into tiles, judged whole, by tile and by pixel, one strip at a time.

T tiles of one strip, N test tiles.
"""

from collections.abc import Callable, Mapping, Sequence

import ml_collections
import numpy as np
from jaxtyping import Bool, Float, Int

from vae_jax.data.examples import Examples
from vae_jax.data.row_draw import draw_rows
from vae_jax.metrics import bootstrap
from vae_jax.metrics.localisation import Localisation
from vae_jax.model.vae import VAE
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.scoring.localise import Scale, model_maps, pca_map
from vae_jax.scoring.stitching import Strip, assemble


def strips(
    model: VAE,
    params: dict,
    names: Sequence[str],
    train: Examples,
    calibration: Examples,
    test: Examples,
    scoring_config: ml_collections.ConfigDict,
    seed: int,
    num_shown: int = 6,
) -> tuple[dict, list[Strip]]:
    """Measures the maps of the selected scores, and that of PCA, on whole strips.

    Memory holds the maps of one strip at a time. A strip's score is the highest value of its map, a
    tile's the highest of its own map, before it is blended.

    Args:
        model: that was trained.
        params: its parameters.
        names: of the selected scores; those without a map are passed over.
        train: normals that the PCA residual is fitted on.
        calibration: normals that fix each map's scale.
        test: tiles, those of a strip in any order.
        scoring_config: the `scoring` group of the config.
        seed: of the noise, of the draw behind PCA, of the bootstrap, and of the strips to show.
        num_shown: strips to show, a third of them normal, drawn without looking at their scores.

    Returns:
        `counts` of `normal_strips`, `anomalous_strips` and of tiles: `rolls`, `clean`, `defects`; and
        `maps`, for each map what `rank_tiles` returns, and `pixel`: what `Localisation` returns.
        Then the strips to show, with the first map. Nothing, where images are not tiles.
    """
    if test.offsets is None:
        return {}, []
    of_strip = _rows_of_strips(test)
    # A batch longer than any strip would be filled up with repeats.
    scoring_config = ml_collections.ConfigDict(scoring_config)
    scoring_config.batch_size = min(scoring_config.batch_size, max(map(len, of_strip.values())))
    mappers = [
        model_maps(model, params, names, scoring_config, seed),
        pca_map(train, scoring_config.pca_components, seed),
    ]
    region = None if model.region is None else model.region.mask
    shown_files = _draw(test, of_strip, num_shown, seed)
    shown: dict[str, Strip] = {}
    maps: dict[str, dict] = {}
    with open_progress_bar(len(of_strip) * len(mappers), "strips", unit="strip") as bar:
        for mapper in mappers:
            scale = Scale.of(mapper, calibration.images, scoring_config)
            pixels: dict[str, Localisation] = {}
            highest: dict[str, np.ndarray] = {}  # of each tile
            scores: dict[str, dict[str, float]] = {}  # of each strip
            for file, rows in of_strip.items():
                found = scale.apply(mapper(test.images[rows]))
                for name in sorted(found, key=_order(names)):
                    values = found[name]
                    strip = assemble(test, rows, name, values, region)
                    pixels.setdefault(name, Localisation(seed)).update(
                        strip.values[None], strip.mask[None], strip.covered
                    )
                    within = values if region is None else values[:, region]
                    highest.setdefault(name, np.empty(len(test.files)))[rows] = within.reshape(
                        len(rows), -1
                    ).max(axis=1)
                    scores.setdefault(name, {})[file] = strip.score
                    if file in shown_files:
                        shown.setdefault(file, strip)
                bar.update()
            for name in pixels:
                maps[name] = _rank(test, highest[name], scores[name], scoring_config, seed) | {
                    "pixel": pixels[name].result()
                }
    kinds = _kinds(test)
    anomalous = _anomalous(test)
    counts = {
        "normal_strips": len(of_strip) - len(anomalous),
        "anomalous_strips": len(anomalous),
        **{kind: int(chosen.sum()) for kind, chosen in kinds.items()},
    }
    return {"counts": counts, "maps": maps}, list(shown.values())


def rank_tiles(
    columns: Mapping[str, Float[np.ndarray, "N"]],
    test: Examples,
    scoring_config: ml_collections.ConfigDict,
    seed: int,
) -> dict[str, dict]:
    """Returns how scores of tiles rank strips, and tiles of defects, each with its interval.

    Args:
        columns: score -> its value for each tile.
        test: the tiles.
        scoring_config: the `scoring` group of the config.
        seed: of the bootstrap.

    Returns:
        For each score `image`, of strips by their highest tile; `patch` with `rolls`, tiles of defects
        against those of normal strips, and `clean`, against tiles without a defect of the same strips.
        The intervals of `patch` take overlapping tiles for independent, and are too narrow.
    """
    of_strip = _rows_of_strips(test)
    return {
        name: _rank(
            test,
            values,
            {file: float(values[rows].max()) for file, rows in of_strip.items()},
            scoring_config,
            seed,
        )
        for name, values in columns.items()
    }


def _order(names: Sequence[str]) -> Callable[[str], int]:
    """Returns the place of a map among the selected scores; JAX hands dicts back in alphabetical order."""
    return lambda name: names.index(name) if name in names else len(names)


def _rows_of_strips(test: Examples) -> dict[str, Int[np.ndarray, "T"]]:
    rows: dict[str, list[int]] = {}
    for row, file in enumerate(test.files):
        rows.setdefault(file, []).append(row)
    return {file: np.array(found) for file, found in rows.items()}


def _anomalous(test: Examples) -> set[str]:
    """Returns the strips with a defect, also where each tile that shows it was left out.

    Their other tiles tell: they are of a class that lies beside defects elsewhere and never bears one.
    """
    tiles = list(zip(test.files, test.classes, test.labels, strict=True))
    found = {file for file, _, label in tiles if label}
    of_defects = {name for _, name, label in tiles if label}
    beside = {name for file, name, _ in tiles if file in found} - of_defects
    return found | {file for file, name, _ in tiles if name in beside}


def _kinds(test: Examples) -> dict[str, Bool[np.ndarray, "N"]]:
    """Returns which tiles are of normal strips, and which without and with a defect on the others."""
    abnormal = _anomalous(test)
    beside = np.array([file in abnormal for file in test.files])
    defects = test.labels == 1
    return {"rolls": ~beside, "clean": beside & ~defects, "defects": defects}


def _rank(
    test: Examples,
    of_tile: Float[np.ndarray, "N"],
    of_strip: Mapping[str, float],
    scoring_config: ml_collections.ConfigDict,
    seed: int,
) -> dict:
    """Returns the rankings of strips and of tiles; one without normals or anomalies is absent."""
    kinds = _kinds(test)
    abnormal = _anomalous(test)
    strip_labels = np.array([int(file in abnormal) for file in of_strip])
    found = {}
    if len(np.unique(strip_labels)) == 2:
        found["image"] = _intervals(
            np.array(list(of_strip.values())), strip_labels, scoring_config, seed
        )
    patch = {}
    for against in ("rolls", "clean"):
        if kinds[against].any() and kinds["defects"].any():
            chosen = kinds[against] | kinds["defects"]
            patch[against] = _intervals(of_tile[chosen], test.labels[chosen], scoring_config, seed)
    return found | ({"patch": patch} if patch else {})


def _intervals(scores, labels, scoring_config, seed) -> dict[str, dict[str, float]]:
    return bootstrap.rank(scores, labels, scoring_config.bootstrap_resamples, seed).intervals()


def _draw(test: Examples, of_strip: Mapping[str, np.ndarray], count: int, seed: int) -> set[str]:
    """Returns files of strips to show, whatever their scores."""
    rng = np.random.default_rng((seed, len(of_strip)))
    anomalous = _anomalous(test)
    normal, abnormal = ([f for f in of_strip if (f in anomalous) == kind] for kind in (False, True))
    num_normal = min(len(normal), count // 3 if abnormal else count)
    chosen = [
        *(normal[row] for row in draw_rows(len(normal), num_normal, rng, in_order=False)),
        *(
            abnormal[row]
            for row in draw_rows(len(abnormal), count - num_normal, rng, in_order=False)
        ),
    ]
    return set(chosen)
