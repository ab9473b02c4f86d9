import numpy as np
import pytest

from vae_jax.data.intensity import FULL, Histogram, Intensity, check_levels, parse_intensity
from vae_jax.errors import UserError

WINDOW = Intensity("window", 0, 1023)


@pytest.mark.parametrize(
    ("text", "intensity"),
    [
        ("full", FULL),
        ("window:0,1023", WINDOW),
        ("window:-1000,400.5", Intensity("window", -1000, 400.5)),
        ("percentile:0.5,99.5", Intensity("percentile", 0.5, 99.5)),
    ],
)
def test_an_intensity_is_spelled_by_its_kind_and_two_numbers(text, intensity):
    assert parse_intensity(text) == intensity


def test_values_are_mapped_linearly_and_clipped():
    values = np.array([-1.0, 0.0, 511.5, 1023.0, 2000.0])
    np.testing.assert_allclose(WINDOW.map_values(values, 0, 65_535), [0, 0, 127.5, 255, 255])
    np.testing.assert_allclose(
        FULL.map_values(values * 257, 0, 65_535)[:4], [0, 0, 255, 255], atol=128
    )
    np.testing.assert_allclose(FULL.map_values(np.array([0.0, 257.0]), 0, 65_535), [0, 1])


def test_percentiles_cannot_map_values_before_they_are_a_window():
    with pytest.raises(ValueError, match="must become a window"):
        Intensity("percentile", 1, 99).map_values(np.zeros(3), 0, 255)


@pytest.mark.parametrize("percentiles", [(0, 100), (0.1, 99.9), (5, 50), (33.3, 66.6)])
def test_percentiles_of_a_histogram_are_those_of_all_values_together(percentiles):
    rng = np.random.default_rng(0)
    images = [rng.normal(500, 100 + 50 * i, (9, 7 + i)).astype(np.int64) for i in range(5)]
    histogram = Histogram()
    for image in images:
        histogram.add(image)
    values = np.concatenate([image.ravel() for image in images])
    low, high = np.percentile(values, percentiles, method="inverted_cdf").tolist()
    assert histogram.find_window(Intensity("percentile", *percentiles)) == Intensity(
        "window", low, high
    )


def test_percentiles_of_a_constant_are_refused():
    histogram = Histogram()
    histogram.add(np.full((4, 4), 7, np.uint16))
    with pytest.raises(UserError, match=r"percentile:1,99: both percentiles.*are the value 7"):
        histogram.find_window(Intensity("percentile", 1, 99))


def check(levels, intensity=FULL, train=None):
    # A row holds lowest, highest, black, white and what the values are; all images are opaque.
    levels = np.pad(np.array(levels, float), ((0, 0), (0, 1)))
    check_levels(levels, levels if train is None else levels[train], intensity, "folder")


@pytest.mark.parametrize("highest", [1, 255, 1023, 4095, 16_383])
def test_training_images_that_use_less_than_a_quarter_of_their_type_are_refused(highest):
    with pytest.raises(UserError, match=rf"largest value is {highest}, .*window:0,{highest} "):
        check([(0, highest, 0, 65_535, 0), (0, highest // 2, 0, 65_535, 0)])


def test_training_images_that_use_a_quarter_of_their_type_are_accepted():
    check([(0, 16_384, 0, 65_535, 0), (0, 3, 0, 65_535, 0)])
    check([(0, 3, 0, 255, 0)] * 2)
    check([(0, 1023, 0, 65_535, 0)] * 2, WINDOW)


def test_only_training_images_decide_whether_the_range_fits():
    levels = [(0, 1023, 0, 65_535, 0), (0, 65_535, 0, 65_535, 0)]
    check(levels)
    with pytest.raises(UserError, match=r"largest value is 1023, 1.6 %"):
        check(levels, train=[0])


def test_negative_values_need_a_window():
    levels = [(-1000, 30_000, 0, 32_767, 0)]
    with pytest.raises(UserError, match=r"negative values, down to -1000.*window:-1000,30000"):
        check(levels)
    check(levels, Intensity("window", -1000, 400))


@pytest.mark.parametrize("levels", [(0, 100, 0, 65_535, 0), (1023, 5000, 0, 65_535, 0)])
def test_a_window_that_holds_no_value_of_the_training_images_is_refused(levels):
    with pytest.raises(UserError, match=r"all of which are outside data.intensity=window:100,1023"):
        check([levels], Intensity("window", 100, 1023))


def test_a_window_for_images_with_different_numbers_of_bits_is_refused():
    levels = [(0, 1023, 0, 65_535, 0), (0, 255, 0, 255, 0)]
    with pytest.raises(
        UserError, match=r"1 of 2 images have more than 8 bits.*same number of bits"
    ):
        check(levels, WINDOW)


def test_colours_that_lose_their_lower_bits_are_refused_where_that_leaves_few_levels():
    check([(0, 65_535, 0, 65_535, 1)])
    with pytest.raises(UserError, match="store colours with 8 bits per channel"):
        check([(0, 771, 0, 65_535, 1)])
    with pytest.raises(UserError, match="1 images have colours with 16 bits per channel"):
        check([(0, 65_535, 0, 65_535, 1)], WINDOW)


def test_many_fractions_are_counted_in_bounded_memory():
    rng = np.random.default_rng(0)
    histogram = Histogram()
    images = [rng.normal(0, 100, (200, 200)).astype(np.float32) for _ in range(5)]
    for image in images:
        histogram.add(image)
    assert len(histogram._values) < 120_000 < 200_000
    window = histogram.find_window(Intensity("percentile", 1, 99))
    np.testing.assert_allclose((window.low, window.high), np.percentile(images, (1, 99)), rtol=5e-3)


# Lowest, highest, black, white, kind: 2 is rescaled by a medical file, 3 is a window of a medical file.
CT = (-1024, 3071, -1024, 64_511, 2)


def test_rescaled_values_need_a_window_if_they_use_little_of_the_bits_stored():
    message = (
        r"from -1024 to 3071, 6.2 % of the range of the files \(-1024 to 64511\).*window:-1024,3071"
    )
    with pytest.raises(UserError, match=message):
        check([CT])
    check([CT], Intensity("window", -160, 240))
    check([(-1024, 3071, 3071, -1024, 2)])  # MONOCHROME1
    with pytest.raises(UserError, match="from -1000 to -900, 0 % of the range of the files"):
        check([(-1000, -900, -160, 240, 3)])
    check([(-1024, 3071, -160, 240, 3)])


def test_one_window_is_right_for_rescaled_values_of_any_number_of_bits():
    window = Intensity("window", -160, 240)
    check([CT, (-1024, 3071, -1024, 3071, 2), (-1024, 1000, -160, 240, 3)], window)
    with pytest.raises(UserError, match="the types of the images differ"):
        check([CT, (0, 255, 0, 255, 0)], window)
