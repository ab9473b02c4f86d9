import numpy as np
import pytest

from vae_jax.audit.shortcuts import measure_separations


def test_images_of_one_group_count_as_one_in_the_interval_of_a_separation():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [60, 40])
    widths = rng.normal(size=100) + labels
    nothing = np.zeros(0, int)

    def measure(copies, groups):
        values, repeated = np.repeat(widths, copies), np.repeat(labels, copies)
        rows = np.arange(len(values))
        (separation,) = measure_separations(
            {"stored_width": values}, repeated, nothing, rows, groups
        )
        return separation.auroc

    once = measure(1, [str(i) for i in range(100)])
    alone = measure(4, [str(i) for i in range(400)])
    grouped = measure(4, [str(i // 4) for i in range(400)])
    assert grouped["value"] == pytest.approx(once["value"])
    for end in ("low", "high"):
        assert grouped[end] == pytest.approx(once[end], abs=2e-3)
    assert alone["high"] - alone["low"] < 0.6 * (grouped["high"] - grouped["low"])
