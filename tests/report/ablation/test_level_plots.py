import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from vae_jax.report import drawing
from vae_jax.report.ablation.factor_outcomes import group_by_factor
from vae_jax.report.ablation.level_plots import draw_levels


@pytest.fixture
def latent_dim(levels, outcomes):
    return group_by_factor(levels, outcomes, "one_at_a_time")[0]


def count_pixels(figure, colour):
    image = np.asarray(Image.open(io.BytesIO(figure.png)).convert("RGB")).astype(int)
    target = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((abs(image - target).max(axis=2) < 20).sum())


def test_alternative_text_contains_the_mean_at_each_level_in_order(latent_dim):
    figure = draw_levels(latent_dim, "auroc", "AUROC", "")
    assert figure.name == "ablation_model.latent_dim_auroc"
    assert figure.alt.endswith("mean 4 0.7910, 16 0.8010, 128 0.8110.")


def test_a_measure_that_no_cell_has_gives_no_figure(latent_dim):
    assert draw_levels(latent_dim, "unknown", "Unknown", "") is None


def test_means_with_intervals_are_drawn_only_for_two_or_more_seeds(levels, outcomes, latent_dim):
    one_seed = [outcome for outcome in outcomes if outcome.seed == 0]
    single = group_by_factor(levels, one_seed, "one_at_a_time")[0]
    assert count_pixels(draw_levels(latent_dim, "auroc", "AUROC", ""), drawing.BLUE) > 100
    assert count_pixels(draw_levels(single, "auroc", "AUROC", ""), drawing.BLUE) == 0


def test_long_levels_make_the_figure_wider(latent_dim):
    suffix = " and a long explanation"
    long = dataclasses.replace(
        latent_dim,
        levels=[level + suffix for level in latent_dim.levels],
        outcomes=[
            dataclasses.replace(o, levels={latent_dim.field: o.levels[latent_dim.field] + suffix})
            for o in latent_dim.outcomes
        ],
    )
    figures = [draw_levels(factor, "auroc", "AUROC", "") for factor in (latent_dim, long)]
    widths = [Image.open(io.BytesIO(figure.png)).width for figure in figures]
    assert widths[1] > 1.3 * widths[0]
