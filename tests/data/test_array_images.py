import io

import numpy as np
import pytest
from PIL import Image

from vae_jax.data.array_images import choose_shape, fit_intensity, fold_rows, frame_arrays
from vae_jax.data.framing import Framing
from vae_jax.data.intensity import FULL, Intensity
from vae_jax.data.preprocessing import Preprocessing


def encode(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("framing", ["stretch", "pad", "crop"])
@pytest.mark.parametrize(("dtype", "shape"), [("uint8", ()), ("uint8", (3,)), ("uint16", ())])
def test_an_array_gives_what_a_file_with_its_values_gives(framing, dtype, shape):
    array = np.random.default_rng(0).integers(0, 250, (9, 14, *shape)).astype(dtype)
    intensity = FULL if dtype == "uint8" else Intensity("window", 20, 300)
    framing = Framing(8, shape[0] if shape else 1, intensity=intensity, framing=framing)
    expected = Preprocessing("folder", framing).apply(encode(array), "a.png").images
    given = array if shape else array[..., None]
    np.testing.assert_array_equal(frame_arrays(given[None], framing), expected)


def test_grey_levels_of_another_type_are_the_same_levels():
    array = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8)
    framing = Framing(8, 1)
    np.testing.assert_array_equal(frame_arrays(array.astype(float), framing), array)


def test_a_window_leaves_room_on_both_sides_and_ignores_a_few_extremes():
    rows = np.linspace(-3, 3, 10_000).reshape(100, 100)
    rows[0, :3] = 1e6
    intensity = fit_intensity(rows)
    assert (intensity.low, intensity.high) == pytest.approx((-4.5, 4.5), abs=0.05)
    assert fit_intensity(rows.astype(np.uint8)) == FULL


@pytest.mark.parametrize("value", [0.0, 7.0, -1e9])
def test_a_constant_becomes_the_middle_grey(value):
    rows = np.full((5, 4), value)
    images = frame_arrays(rows.reshape(5, 2, 2, 1), Framing(2, 1, intensity=fit_intensity(rows)))
    assert set(images.ravel()) <= {127, 128}


def test_numbers_fill_the_smallest_square():
    assert [choose_shape(n)[0] for n in (1, 2, 4, 5, 9, 10)] == [1, 2, 2, 3, 3, 4]
    folded = fold_rows(np.arange(10).reshape(2, 5), (3, 3, 1), -1)
    np.testing.assert_array_equal(folded[1].ravel(), [5, 6, 7, 8, 9, -1, -1, -1, -1])
