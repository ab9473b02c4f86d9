import itertools

import pytest

from vae_jax import grid
from vae_jax.config import default
from vae_jax.errors import UserError


def make(factors, design="one_at_a_time", seeds=(0, 1)):
    config = default()
    config.ablate.factors, config.ablate.design, config.ablate.seeds = factors, design, seeds
    return grid.make_cells(config, grid.read_factors(config.ablate.factors))


FACTORS = ("model.latent_dim=2,4,16", "objective.beta=1,0.1")


def test_one_at_a_time_changes_one_field_of_the_base_per_cell():
    cells = make(FACTORS, seeds=(7,))
    settings = [(cell.config.model.latent_dim, cell.config.objective.beta) for cell in cells]
    assert settings == [(2, 1.0), (4, 1.0), (16, 1.0), (2, 0.1)]
    assert all(cell.config.seed == 7 for cell in cells)


def test_full_combines_all_levels_with_every_seed():
    cells = make(FACTORS, design="full")
    settings = [(c.config.seed, c.config.model.latent_dim, c.config.objective.beta) for c in cells]
    assert sorted(settings) == sorted(itertools.product((0, 1), (2, 4, 16), (1.0, 0.1)))


def test_cells_have_different_names_that_are_safe_as_folders():
    cells = make(("model.widths=(8, 16),(4,)", "data.roi=a/b,a_b"), design="full")
    names = [cell.name for cell in cells]
    assert len(set(names)) == len(names) == 8
    assert not any("/" in name or " " in name for name in names)


def test_names_of_classes_in_a_level_stay_the_text_that_was_typed():
    cells = make(("data.anomaly_classes=(1_2,),(3, 1e3)",), seeds=(0,))
    assert [cell.config.data.anomaly_classes for cell in cells] == [("1_2",), ("3", "1e3")]


def test_levels_have_the_type_of_their_field():
    cells = make(
        (
            "model.widths=(8, 16),(4,)", "data.balanced_test=false,True", "augment.strength=1,0",
            "model.likelihood=bernoulli,laplace",
        ),
        seeds=(0,),
    )  # fmt: skip
    assert [cell.config.model.widths for cell in cells[:2]] == [(8, 16), (4,)]
    assert [cells[i].config.data.balanced_test for i in (0, 2)] == [False, True]
    assert [cells[i].config.augment.strength for i in (0, 3)] == [1.0, 0.0]
    assert isinstance(cells[3].config.augment.strength, float)
    assert [cells[i].config.model.likelihood for i in (0, 4)] == ["bernoulli", "laplace"]


def test_a_cell_is_a_plain_run_and_the_config_of_the_ablation_is_unchanged():
    config = default()
    config.ablate.factors = FACTORS
    cell = grid.make_cells(config, grid.read_factors(FACTORS))[1]
    assert cell.config.ablate.factors == ()
    assert config.model.latent_dim == 16
    assert config.ablate.factors == FACTORS


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ((), "ablate.factors is empty"),
        (("model.latnt_dim=2,4",), "did you mean model.latent_dim?"),
        (("model.latent_dim=2,many",), "'many'; its levels must be whole numbers"),
        (("objective.beta=1,low",), "'low'; its levels must be numbers"),
        (("data.balanced_test=false,no",), "'no'; its levels must be true and false"),
        (("model.widths=(8,),8",), "'8'; its levels must be tuples"),
        (("model.latent_dim",), "with an empty level"),
        (("model.latent_dim=2,,4",), "with an empty level"),
        (("model.latent_dim=2",), "two or more different levels"),
        (("objective.beta=1,1.0",), "two or more different levels"),
        (("objective.beta=1,1",), "two or more different levels"),
        (("seed=0,1",), "because ablate.seeds varies it"),
        (("report.cases=1,2",), "because it changes nothing"),
        (("model.latent_dim=2,4", "model.latent_dim=8,9"), "model.latent_dim twice"),
        (("model.likelihood=bernoulli,gausian",), "did you mean gaussian?"),
        (("model.latent_dim=2,0",), "model.latent_dim is 0"),
    ],
)
def test_a_factor_that_is_not_valid_is_refused_in_one_line(factors, message):
    with pytest.raises(UserError) as refused:
        make(factors)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("seeds", "message"),
    [((), "is empty"), ((0, 0), "each seed once"), ((-1,), "-1"), (("one",), "'one'")],
)
def test_seeds_that_are_not_valid_are_refused(seeds, message):
    with pytest.raises(UserError, match=message):
        make(FACTORS, seeds=seeds)
