import jax
import numpy as np
import pytest

from vae_jax.data.batches import compute_content_index
from vae_jax.detector.array_tree import flatten_tree
from vae_jax.detector.artifact import Artifact
from vae_jax.detector.exported_scorer import ExportedScorer
from vae_jax.detector.image_scorer import ImageScorer
from vae_jax.detector.storage import collect_tree
from vae_jax.programs.stablehlo import PLATFORMS, export_programs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(exportable):
    description, programs = export_programs(exportable)
    digests = dict.fromkeys(programs, "")
    return Artifact(exportable, description | {"sha256": digests}, programs)


@pytest.fixture(scope="module")
def images(exportable):
    size, channels = (
        getattr(exportable.preprocessing.framing, name) for name in ("image_size", "channels")
    )
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.integers(0, 9, (70, size, size, channels)), axis=1)
    return smooth.astype(np.uint8)


def test_exported_programs_give_the_scores_and_maps_of_the_detector(exportable, exported, images):
    detector, scorer = ImageScorer(exportable), ExportedScorer(exported)
    assert scorer.step == detector.step
    expected, expected_maps = detector.score(images, with_maps=True)
    scores, maps = scorer.score(images, with_maps=True)
    expected, scores = detector.combine(expected), scorer.combine(scores)
    assert scores.keys() == expected.keys()
    for name, values in scores.items():
        spread = exportable.calibration[name].std()
        np.testing.assert_allclose(values / spread, expected[name] / spread, rtol=1e-4, atol=2e-3)
    np.testing.assert_allclose(maps, expected_maps, rtol=1e-4, atol=2e-3)
    assert scorer.score(images)[1] is None


def test_the_score_of_an_image_does_not_depend_on_the_images_beside_it(exported, images):
    """A program takes any number of images; the last step is filled."""
    arrays = flatten_tree(collect_tree(exported.parts))
    arrays = {name: jax.numpy.asarray(arrays[name]) for name in exported.description["arrays"]}
    score = jax.export.deserialize(bytearray(exported.programs["score"])).call
    together = score(arrays, images, compute_content_index(images))
    for count in (1, 5):
        alone = score(arrays, images[:count], compute_content_index(images[:count]))
        for name, values in alone.items():
            np.testing.assert_allclose(values, together[name][:count], rtol=1e-5)


def test_programs_are_for_every_platform_and_hold_no_weights(exported):
    num_bytes = sum(array.nbytes for array in jax.tree.leaves(exported.parts.params))
    for content in exported.programs.values():
        assert jax.export.deserialize(bytearray(content)).platforms == PLATFORMS
    assert exported.description["platforms"] == ["cpu", "cuda", "tpu"]
    assert num_bytes > 1000
    assert {"params", "map"} <= {name.split("/")[0] for name in exported.description["arrays"]}
    assert not any(name.startswith("calibration") for name in exported.description["arrays"])
