import numpy as np
import pytest

from vae_jax.data.intensity import FULL, REDUCED, WHOLE, Intensity
from vae_jax.detector.depth import has_other_depth


@pytest.mark.parametrize(
    ("intensity", "highest", "white", "expected"),
    [
        (FULL, 255, 255, False),
        (FULL, 60_000, 65_535, False),
        (FULL, 4_095, 65_535, True),
        (Intensity("window", 0, 4_095), 4_000, 65_535, False),
        (Intensity("window", 0, 4_095), 255, 255, True),
        (Intensity("window", 20, 200), 255, 255, False),
        (Intensity("window", 20, 200), 4_000, 65_535, True),
    ],
)
def test_an_image_that_would_be_nearly_black_or_white_is_told(intensity, highest, white, expected):
    levels = np.array([0, highest, 0, white, WHOLE, 0], np.float64)
    assert has_other_depth(levels, intensity) is expected


def test_values_that_were_rescaled_or_reduced_have_no_depth_of_their_own():
    assert not has_other_depth(np.array([0, 9, 0, 65_535, REDUCED, 0], np.float64), FULL)
