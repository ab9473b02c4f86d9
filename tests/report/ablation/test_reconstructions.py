import dataclasses
import io

import numpy as np
from PIL import Image

from vae_jax.report.ablation.reconstructions import read_reconstructions, write_reconstructions
from vae_jax.report.evaluation.cases import Cases


def test_equal_test_images_are_shown_once(tmp_path, report_images):
    for name in ("base,seed=0", "b=1,seed=0"):
        write_reconstructions(tmp_path, name, report_images)
    first, second = read_reconstructions(tmp_path, ["base,seed=0", "b=1,seed=0", "c=1,seed=0"])
    assert (first.name, second.name) == ("base", "b=1")
    assert first.images
    assert not second.images
    assert first.reconstructions == second.reconstructions


def test_different_test_images_are_shown_for_each_setting(
    tmp_path, report_images, make_report_images
):
    write_reconstructions(tmp_path, "base,seed=0", report_images)
    write_reconstructions(tmp_path, "b=1,seed=0", make_report_images(num_anomalies=2))
    rows = read_reconstructions(tmp_path, ["base,seed=0", "b=1,seed=0"])
    assert all(row.images for row in rows)


def test_a_row_shows_normal_images_first_and_then_anomalies(tmp_path, report_images):
    write_reconstructions(tmp_path, "base,seed=0", report_images)
    [row] = read_reconstructions(tmp_path, ["base,seed=0"])
    for png, field in ((row.images, "images"), (row.reconstructions, "reconstructions")):
        pixels = np.asarray(Image.open(io.BytesIO(png)))
        cases = (report_images.normals, report_images.anomalies)
        expected = np.concatenate([getattr(c, field) for c in cases])
        for i, image in enumerate(expected):
            shown = pixels[
                :, 9 * i : 9 * i + 8, :1
            ]  # images of 8 pixels, one white pixel between them
            np.testing.assert_array_equal(shown, np.rint(255 * image))


def test_large_images_are_made_smaller(tmp_path, report_images):
    large = np.full((2, 200, 200, 3), 0.5, np.float32)
    cases = Cases(large, large, large[..., 0], ["", ""], np.zeros(2))
    images = type(report_images)(cases, cases, cases, cases, cases, large, 1.0)
    write_reconstructions(tmp_path, "base,seed=0", images)
    [row] = read_reconstructions(tmp_path, ["base,seed=0"])
    assert Image.open(io.BytesIO(row.images)).height == 96


def test_a_setting_without_reconstructions_has_no_row(tmp_path, report_images):
    cases = dataclasses.replace(report_images.normals, reconstructions=None)
    images = dataclasses.replace(report_images, normals=cases, anomalies=cases)
    write_reconstructions(tmp_path, "model.observations=bands,seed=0", images)
    assert read_reconstructions(tmp_path, ["model.observations=bands,seed=0"]) == []
