"""p-values of several tests that are read together. T tests."""

from collections.abc import Sequence


def correct_by_holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values that may be compared with 0.05 although there are several of them.

    If no difference exists, the probability that any of the corrected values is below 0.05 is at most 5 %,
    however the tests depend on each other.

    Args:
        p_values: the T p-values.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[i]))
        corrected[i] = highest
    return corrected
