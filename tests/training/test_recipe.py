import pytest

from vae_jax.model.vae import build_model
from vae_jax.training.recipe import make_recipe


def test_a_recipe_counts_its_schedules_in_epochs(small_config):
    config = small_config.copy_and_resolve_references()
    config.train.learning_rate, config.train.warmup_epochs = 0.1, 2.0
    config.train.learning_rate_schedule = "constant"
    recipe = make_recipe(config, build_model(config), steps_per_epoch=5)
    assert float(recipe.learning_rate(5)) == pytest.approx(0.05)
    assert float(recipe.learning_rate(10)) == pytest.approx(0.1)
    assert [float(recipe.beta_schedule(step)) for step in (0, 1, 5)] == pytest.approx([0, 0.2, 1])


def test_a_recipe_holds_the_weights_and_the_parts_of_the_config(small_config):
    config = small_config.copy_and_resolve_references()
    config.objective.pixel_weight, config.objective.frequency_weight = 0.5, 2.0
    config.train.accumulate = 4
    recipe = make_recipe(config, build_model(config), steps_per_epoch=5)
    assert (recipe.objective.pixel_weight, recipe.objective.frequency_weight) == (0.5, 2.0)
    assert recipe.accumulate == 4
