import pytest

from vae_jax.errors import UserError
from vae_jax.score_names import (
    AGGREGATES,
    BASELINES,
    COMBINATIONS,
    MAPS,
    OBSERVATIONS,
    ScoreName,
    list_score_names,
)
from vae_jax.scoring.score_texts import describe_score

ALL_NAMES = [
    *list_score_names(OBSERVATIONS),
    *(str(ScoreName(o, m, a)) for o in OBSERVATIONS for m in MAPS[o] for a in AGGREGATES),
    *COMBINATIONS,
    *BASELINES,
]


def test_every_score_has_a_text_of_its_own_in_sentences():
    texts = [describe_score(name) for name in ALL_NAMES]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert text[0].isupper()
        assert text.endswith(".")
        assert not set(text) & set("{}")


def test_the_text_of_a_score_says_observation_measure_and_aggregate():
    assert describe_score("features_cosine_max") == (
        "One minus the cosine of the angle between the features of the image at a place and their "
        "reconstruction: the highest place, after smoothing by one cell."
    )
    assert describe_score("bands_kl") == (
        "The KL divergence of the posterior of the bands from the prior, in nats."
    )


def test_pixels_are_not_smoothed_before_their_highest_place_is_read():
    assert "smoothing" in describe_score("bands_mse_max")
    assert "smoothing" not in describe_score("mse_max")


@pytest.mark.parametrize("name", BASELINES)
def test_the_text_of_a_baseline_says_that_it_needs_no_model(name):
    assert describe_score(name).endswith("It needs no trained model.")


def test_an_unknown_score_is_refused():
    with pytest.raises(UserError, match="there is no score 'features_ssim'"):
        describe_score("features_ssim")
