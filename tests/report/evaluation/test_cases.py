import dataclasses

import jaxtyping
import pytest


def test_cases_have_as_many_reconstructions_and_error_maps_as_images(report_images):
    cases = report_images.normals
    for name in ("reconstructions", "error_maps", "scores"):
        with pytest.raises(jaxtyping.TypeCheckError):
            dataclasses.replace(cases, **{name: getattr(cases, name)[:1]})


def test_a_report_has_no_strips_unless_images_were_cut_into_tiles(report_images):
    assert report_images.strips == []
