import pytest

from vae_jax.errors import suggest_name

NAMES = ("model.latent_dim", "model.widths", "train.epochs", "train.epochs_per_checkpoint")


@pytest.mark.parametrize("name", ["model.latnt_dim", "latent_dim", "model.latent_dims"])
def test_a_misspelled_name_is_corrected(name):
    assert suggest_name(name, NAMES) == "did you mean model.latent_dim?"


def test_a_name_that_resembles_none_gets_no_suggestion():
    assert suggest_name("zzz", NAMES) == ""
    assert suggest_name("epochs", []) == ""


def test_the_most_similar_name_comes_first_and_the_limit_holds():
    names = ("train.epoch", "train.epochs_per_checkpoint", "train.epochs_x")
    assert suggest_name("train.epochs", names, max_suggestions=2) == (
        "did you mean train.epoch or train.epochs_x?"
    )
