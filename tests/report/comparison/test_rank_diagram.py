import numpy as np

from vae_jax.comparison.ranks import Ranks
from vae_jax.report.comparison.rank_diagram import arrange_diagram

RANKS = Ranks(np.array([3.0, 1.5, 1.7, 3.8]), 9.0, 0.01, 1.6)
NAMES = ("c", "a", "b", "d")


def test_the_best_rank_is_first_and_on_the_left():
    diagram = arrange_diagram(NAMES, RANKS)
    assert [label.text.split()[0] for label in diagram.labels] == ["a", "b", "c", "d"]
    assert [label.is_left for label in diagram.labels] == [True, True, False, False]
    assert diagram.alt.startswith("Average ranks, the best first: a 1.50; b 1.70; c 3.00; d 3.80.")


def test_places_are_proportional_to_ranks():
    diagram = arrange_diagram(NAMES, RANKS)
    places = [label.x for label in diagram.labels]
    assert np.allclose(np.diff(places) / np.diff([1.5, 1.7, 3.0, 3.8]), diagram.scale / 1.6)
    (first, one), *_, (last, four) = diagram.ticks
    assert (one, four) == ("1", "4")
    assert np.isclose((last - first) / 3, diagram.scale / 1.6)


def test_bars_cover_what_cannot_be_told_apart():
    diagram = arrange_diagram(NAMES, RANKS)
    places = [label.x for label in diagram.labels]
    covered = [[left <= x <= right for x in places] for left, right, _ in diagram.bars]
    assert covered == [[True, True, True, False], [False, False, True, True]]
    assert len({y for *_, y in diagram.bars}) == 2
