"""Anomaly maps of whole images that were cut into tiles: blended, and measured against masks.

Memory holds the maps of one image at a time, and of its tiles those of one batch.

T tiles of one image, h w whole image, pixels that the model sees.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from vae_jax.data.examples import Examples
from vae_jax.data.whole_images import (
    assemble_mask,
    lay_out_rows,
    list_tiles_of_images,
    take_whole_images,
)
from vae_jax.metrics.localisation import Localisation
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.scoring.anomaly_maps import (
    Mapper,
    Maps,
    make_scaled_mappers,
    split_rows,
)
from vae_jax.scoring.baselines import Baselines
from vae_jax.scoring.setup import ScoringSetup
from vae_jax.scoring.stitching import WholeMaps


def blend_whole_maps(
    compute_maps: Callable[[Examples], Maps],
    examples: Examples,
    rows: Int[np.ndarray, "T"],
    batch_size: int,
) -> WholeMaps:
    """Computes the maps of the tiles of one image and blends them.

    Args:
        compute_maps: tiles -> their maps, scaled, or other pictures of the same height and width.
        examples: tiles of any images.
        rows: rows of the tiles of one image.
        batch_size: tiles whose maps are computed at a time.
    """
    whole = WholeMaps(lay_out_rows(examples, rows))
    first = 0
    for part in split_rows(rows, batch_size):
        whole.add(first, compute_maps(examples.take(part)))
        first += len(part)
    return whole


def measure_whole_images(
    setup: ScoringSetup, names: Sequence[str], baselines: Baselines, fits: dict[str, Any]
) -> dict[str, dict[str, float]]:
    """Measures the anomaly maps of the scores and of the baselines; see `measure_whole_maps`.

    Args:
        setup: model, data and scoring config; the test images are tiles that cover images.
        names: names of scores; a score without a map is skipped.
        baselines: baselines of the dataset, for their maps.
        fits: fits of the scores on training normals.
    """
    # A batch that is longer than the tiles of any image would be padded every time.
    longest = max(map(len, _list_measured_tiles(setup.dataset.test)), default=1)
    setup = dataclasses.replace(setup, trained=setup.trained.with_max_batch_size(longest))
    return measure_whole_maps(setup, make_scaled_mappers(setup, names, baselines, fits))


def measure_whole_maps(
    setup: ScoringSetup, scaled_mappers: Sequence[Mapper]
) -> dict[str, dict[str, float]]:
    """Measures the anomaly maps of whole images against masks, like `measure_maps`.

    Pixels are those of the images at the scale of their tiles.

    Args:
        setup: model, data and scoring config; the test images are tiles that cover images.
        scaled_mappers: compute the maps of tiles, in standard deviations above calibration normals.

    Returns:
        For each map what `Localisation.result` returns, with its curves; empty if no pixel is marked as
        abnormal.
    """
    test, batch_size = setup.dataset.test, setup.trained.batch_size
    tiles_of_images = _list_measured_tiles(test)
    if test.masks is None or not any(test.masks[rows].any() for rows in tiles_of_images):
        return {}
    results: dict[str, dict[str, float]] = {}
    num_maps = len(tiles_of_images) * len(scaled_mappers)
    with open_progress_bar(num_maps, "localising", unit="image") as bar:
        for compute_maps in scaled_mappers:
            measures: dict[str, Localisation] = {}
            for rows in tiles_of_images:
                whole = blend_whole_maps(compute_maps, test, rows, batch_size)
                mask = assemble_mask(test.masks[rows], lay_out_rows(test, rows))
                covered = whole.covered
                for name, values in whole.take_maps():
                    measure = measures.setdefault(
                        name, Localisation(setup.seed, setup.scoring_config.bootstrap_resamples)
                    )
                    measure.update(values[None], mask[None], covered, [test.groups[rows[0]]])
                bar.update(1)
            results |= {
                name: measure.result(with_curves=True) for name, measure in measures.items()
            }
    return results


def _list_measured_tiles(test: Examples) -> list[Int[np.ndarray, "T"]]:
    """Returns the rows of the tiles of each image that has a mask."""
    return list_tiles_of_images(test, np.flatnonzero(take_whole_images(test).has_mask))
