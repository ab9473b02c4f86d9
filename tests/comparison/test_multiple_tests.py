import numpy as np
import pytest

from vae_jax.comparison.multiple_tests import correct_by_holm


def test_corrected_values_agree_with_the_definition():
    p_values = np.random.default_rng(0).random(9) ** 3
    corrected = correct_by_holm(p_values.tolist())
    in_order = np.sort(p_values)
    expected = [
        min(1.0, max((9 - j) * in_order[j] for j in range(i + 1)))
        for i in np.argsort(np.argsort(p_values))
    ]
    assert corrected == pytest.approx(expected)


def test_the_example_of_holm_rejects_one_after_the_other():
    assert correct_by_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert correct_by_holm([]) == []
    assert correct_by_holm([0.2]) == [0.2]
