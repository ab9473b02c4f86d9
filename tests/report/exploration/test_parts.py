import dataclasses

import numpy as np
import pytest

from vae_jax.exploration.training_set import encode_training_set
from vae_jax.report.exploration import parts
from vae_jax.report.exploration.page import Section


@pytest.fixture
def arguments(monkeypatch):
    """Replaces functions that make sections, and returns a dict that collects their arguments."""
    collected = {}

    def replace(name):
        def make_section(*args):
            collected[name] = args
            return Section("anchor", "Title", [])

        monkeypatch.setattr(parts, name, make_section)

    for name in ("make_sample_section", "make_reconstruction_section", "make_map_section"):
        replace(name)
    return collected


def classes_of(images, examples):
    name_of = {
        image.tobytes(): name for image, name in zip(examples.images, examples.classes, strict=True)
    }
    return [name_of[image.tobytes()] for image in images]


def test_samples_are_compared_with_normal_test_images_of_each_class_in_turn(
    make_trained, arguments, monkeypatch
):
    monkeypatch.setattr(parts, "_COMPARED_IMAGES", 4)
    trained = make_trained()
    parts.explore_samples(trained, encode_training_set(trained))
    samples, reconstructions, real, class_samples = arguments["make_sample_section"]
    assert classes_of(real, trained.dataset.test) == ["left", "right"] * 2
    np.testing.assert_allclose(reconstructions, trained.reconstruct(real).x_hat, atol=1e-6)
    assert [len(images) for images in samples.values()] == [8, 8]
    assert class_samples.classes == ["left", "right", "ring"]


def test_reconstructions_are_shown_of_each_class_in_turn(make_trained, arguments):
    trained = make_trained()
    parts.explore_reconstructions(trained)
    images, reconstructions, classes, _ = arguments["make_reconstruction_section"]
    assert classes[:3] == ["left", "right", "ring"]
    assert classes_of(images, trained.dataset.test) == classes
    np.testing.assert_allclose(reconstructions, trained.reconstruct(images).x_hat, atol=1e-6)


def test_memorised_training_images_are_suspicious(make_trained, monkeypatch):
    trained = make_trained()
    training_set = encode_training_set(trained)
    memorised = trained.dataset.train.images[:8] / np.float32(255)
    monkeypatch.setattr(type(trained), "decode", lambda self, z: memorised)
    result = parts.explore_memorisation(trained, training_set)
    fields = result.results["generation"]["nearest_training_image"]
    assert fields["suspicious"] == 1
    assert fields["median_distance"]["samples"] == pytest.approx(0, abs=1e-6)
    assert fields["median_distance"]["test"] > 0.01


def test_tiles_of_one_file_have_scores_of_their_own_on_the_map(
    make_trained, two_classes, arguments
):
    rows = np.arange(len(two_classes.test.images))
    test = dataclasses.replace(
        two_classes.test,
        files=[f"strip{row // 2}.png" for row in rows],
        offsets=(8 * (rows % 2)).astype(np.int32),
    )
    trained = make_trained(dataclasses.replace(two_classes, test=test))
    score_lines = {name: [f"score {row}"] for row, name in enumerate(test.names)}
    parts.explore_maps(trained, score_lines)
    mapped, interactive_map = arguments["make_map_section"]
    points = interactive_map.data["text"]
    assert len({name for _, name, _ in points}) == len(points) == 20
    for (description, name, score), class_name in zip(points, mapped.classes, strict=True):
        row = test.names.index(name)
        assert score == f"score {row}"
        assert test.classes[row] == class_name
        kind = "anomaly" if class_name == "ring" else "normal"
        assert description == f"{class_name} ({kind})"


def test_tiles_that_cover_an_image_have_its_score_on_the_map(make_trained, two_classes, arguments):
    rows = np.arange(len(two_classes.test.images))
    boxes = np.stack([8 * (rows % 2), 0 * rows, 0 * rows + 8], 1).astype(np.int32)
    files = [f"image{row // 2}.png" for row in rows]
    test = dataclasses.replace(two_classes.test, files=files, boxes=boxes)
    trained = make_trained(dataclasses.replace(two_classes, test=test))
    parts.explore_maps(trained, {file: [f"score of {file}"] for file in files})
    _, interactive_map = arguments["make_map_section"]
    points = interactive_map.data["text"]
    assert len({name for _, name, _ in points} & set(test.names)) == len(points) > 0
    for _, name, score in points:
        assert score == f"score of {name.partition('@')[0]}"
