import numpy as np
from matplotlib.path import Path

from vae_jax.report.evaluation.mask_outlines import trace_outline


def test_an_outline_surrounds_exactly_the_marked_pixels():
    mask = np.zeros((12, 15), bool)
    mask[0:4, 2:9] = mask[6:12, 5:15] = True  # both touch the edge of the image
    parts = [part.rstrip("Z") for part in trace_outline(mask).split("M")[1:]]
    paths = [Path(np.array([p.split(",") for p in part.split("L")], float)) for part in parts]
    centres = np.stack(np.meshgrid(np.arange(15) + 0.5, np.arange(12) + 0.5), -1).reshape(-1, 2)
    inside = np.any([path.contains_points(centres) for path in paths], axis=0).reshape(12, 15)
    np.testing.assert_array_equal(inside, mask)


def test_a_mask_that_marks_nothing_has_no_outline():
    assert trace_outline(np.zeros((4, 4), bool)) == ""
