import doctest

import pytest

from vae_jax.report import numerals


def test_examples_in_the_docstrings_are_true():
    outcome = doctest.testmod(numerals)
    assert outcome.failed == 0
    assert outcome.attempted == 6


@pytest.mark.parametrize("value", [1.2345e-7, 0.00123456, 0.98765, 12.3456, 999.94, 1234.56, 9.8e9])
def test_a_quantity_keeps_four_significant_digits(value):
    text = numerals.format_quantity(value)
    assert float(text.replace(",", "")) == pytest.approx(value, rel=5e-4)


def test_quantities_that_have_no_digits_are_written():
    assert numerals.format_quantity(0.0) == "0"
    assert numerals.format_quantity(float("nan")) == "nan"
    assert numerals.format_quantity(float("-inf")) == "-inf"


def test_small_shares_are_not_rounded_to_zero():
    assert numerals.format_percent(0.00012) == "0.012 %"
    assert numerals.format_percent(0) == "0.0 %"


@pytest.mark.parametrize(
    ("seconds", "text"), [(59.94, "59.9 s"), (59.96, "1 min 0 s"), (3599.6, "1 h 0 min")]
)
def test_durations_next_to_a_unit_take_the_larger_unit(seconds, text):
    assert numerals.format_duration(seconds) == text


@pytest.mark.parametrize(
    ("num_bytes", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (2**40, "1024.0 GiB")]
)
def test_sizes_have_binary_units(num_bytes, text):
    assert numerals.format_size(num_bytes) == text
