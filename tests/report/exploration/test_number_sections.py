import dataclasses

import pytest

from vae_jax.exploration.quality import GenerationQuality, Quality
from vae_jax.exploration.separability import Accuracies, Proportion, Separability
from vae_jax.report.exploration.number_sections import (
    make_quality_section,
    make_separability_section,
)


@pytest.fixture
def quality():
    """Quality of samples and of real images, 64 of each."""
    return GenerationQuality(
        sets={
            "samples, prior": Quality(3.0801, 0.024356, 1.001, 0.1),
            "held-out images": Quality(0.415, -0.0001, 1.105, None),
        },
        generated="samples, prior",
        network_name="classifier of digits",
        num_images=64,
        label_agreement=None,
    )


@pytest.fixture
def separability():
    """Accuracies on held-out images only."""
    accuracies = Accuracies(Proportion(0.9, 0.85, 0.95), Proportion(0.8, 0.7, 0.9))
    return Separability(["a", "b"], 1052, {"held_out": 324}, {"held_out": {"codes": accuracies}})


def test_each_set_of_images_has_a_row_with_its_measures(quality):
    assert make_quality_section(quality, 64).table.rows == [
        ["samples, prior", "3.080", "0.02436", "1.001 ± 0.100"],
        ["held-out images", "0.4150", "-0.0001", "1.105"],
    ]


def test_the_text_explains_why_there_are_fewer_images_than_requested(quality):
    (enough,) = make_quality_section(quality, 64).text
    assert "requests" not in enough
    assert (
        make_quality_section(quality, 2048)
        .text[1]
        .startswith("explore.generated requests 2,048 images.")
    )


def test_the_text_contains_the_label_agreement_of_a_conditional_model(quality):
    conditional = dataclasses.replace(quality, label_agreement=0.5)
    assert "50.00 % of them to that class" in make_quality_section(conditional, 64).text[1]


def test_each_input_has_a_row_with_its_accuracies(separability):
    section = make_separability_section(separability, conditional=False)
    assert section.table.rows == [
        ["codes, validation and calibration images", "324", "0.900 [0.850, 0.950]",
         "0.800 [0.700, 0.900]"]
    ]  # fmt: skip
    assert "1,052 training images of 2 classes: a, b." in section.text[0]


def test_the_text_reports_sets_without_rows(separability):
    section = make_separability_section(separability, conditional=False)
    assert section.text[1].startswith("The table has no rows for the test images")


def test_the_text_explains_the_inferred_class_of_a_conditional_model(separability):
    section = make_separability_section(separability, conditional=True)
    assert "It infers the class" in section.text[1]
