import numpy as np
import pytest

from vae_jax.data.row_draw import draw_rows


@pytest.mark.parametrize("in_order", [True, False])
def test_the_seed_determines_different_rows_within_the_range(in_order):
    rows = draw_rows(100, 10, 0, in_order=in_order)
    assert len(set(rows.tolist())) == 10
    assert rows.min() >= 0
    assert rows.max() < 100
    np.testing.assert_array_equal(draw_rows(100, 10, 0, in_order=in_order), rows)
    assert draw_rows(100, 10, 1, in_order=in_order).tolist() != rows.tolist()


def test_both_orders_hold_the_same_rows():
    drawn, ascending = (draw_rows(100, 10, 3, in_order=in_order) for in_order in (False, True))
    np.testing.assert_array_equal(np.sort(drawn), ascending)
    assert drawn.tolist() != ascending.tolist()


def test_all_rows_are_drawn_where_there_are_no_more():
    assert draw_rows(4, 10, 0, in_order=True).tolist() == [0, 1, 2, 3]
    assert draw_rows(0, 10, 0, in_order=False).tolist() == []


def test_every_row_is_drawn_equally_often():
    rng = np.random.default_rng(0)
    counts = np.bincount(
        np.concatenate([draw_rows(5, 2, rng, in_order=False) for _ in range(5000)])
    )
    np.testing.assert_allclose(counts / 5000, 0.4, atol=0.04)  # about six standard errors


def test_draws_from_one_generator_differ():
    rng = np.random.default_rng(0)
    first, second = (draw_rows(100, 10, rng, in_order=True) for _ in range(2))
    assert first.tolist() == draw_rows(100, 10, 0, in_order=True).tolist()
    assert first.tolist() != second.tolist()
