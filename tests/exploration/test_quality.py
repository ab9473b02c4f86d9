import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration import quality
from vae_jax.exploration.features import FeatureNetwork, ImageFeatures
from vae_jax.exploration.quality import compare_with_reference, measure_generation
from vae_jax.exploration.training_set import encode_training_set
from vae_jax.metrics import generation
from vae_jax.scoring.inference import draw_prior


def crop_pixels(images):
    """Returns some pixels as features, and two classes of equal probability."""
    values = images.reshape(len(images), -1)[:, 18:24].astype(np.float32)
    return ImageFeatures(values, np.full((len(images), 2), 0.5, np.float32))


def one_hot(labels):
    return np.eye(2, dtype=np.float32)[labels]


def test_each_set_is_compared_with_the_reference(dataset):
    reference = crop_pixels(dataset.train.images[:20])
    other = crop_pixels(dataset.calibration.images[:20])
    qualities = compare_with_reference(reference, {"same": reference, "other": other})
    assert qualities["same"].frechet_distance == pytest.approx(0, abs=1e-6)
    expected = generation.frechet_distance(
        generation.compute_moments(reference.values), generation.compute_moments(other.values)
    )
    assert qualities["other"].frechet_distance == pytest.approx(expected)
    expected = generation.kernel_distance(reference.values, other.values)
    assert qualities["other"].kernel_distance == pytest.approx(expected)
    assert qualities["other"].inception_score == pytest.approx(1)


def test_sets_of_different_sizes_are_not_compared(dataset):
    reference = crop_pixels(dataset.train.images[:20])
    with pytest.raises(ValueError, match="few has 10 images, but the reference has 20"):
        compare_with_reference(reference, {"few": crop_pixels(dataset.val.images[:10])})


def test_too_few_images_are_rejected(dataset):
    with pytest.raises(UserError, match="at least 10 images in each set; found 9"):
        compare_with_reference(crop_pixels(dataset.train.images[:9]), {})


@pytest.mark.parametrize(("count", "has_deviation"), [(199, False), (200, True)])
def test_the_inception_score_has_a_deviation_from_two_splits_on(count, has_deviation):
    rng = np.random.default_rng(0)
    features = ImageFeatures(
        rng.normal(size=(count, 3)).astype(np.float32),
        rng.dirichlet([1, 1], count).astype(np.float32),
    )
    measures = compare_with_reference(features, {"same": features})["same"]
    assert (measures.inception_score_deviation is not None) == has_deviation


def test_generated_and_real_images_are_measured_with_the_features_of_the_network(make_trained):
    trained = make_trained()

    def compute(images):
        values = np.random.default_rng(0).normal(size=(len(images), 4)).astype(np.float32)
        # Decoded images are float32, real images are uint8.
        shift = np.float32(3 if images.dtype == np.float32 else 0)
        shifted = values + shift * np.eye(4, dtype=np.float32)[0]
        return ImageFeatures(shifted, one_hot(np.arange(len(images)) % 2))

    network = FeatureNetwork("shifted", compute)
    result = measure_generation(trained, encode_training_set(trained), network)
    assert result.network_name == "shifted"
    assert result.generated == "samples, prior"
    assert result.num_images == 20
    assert result.label_agreement is None
    assert list(result.sets) == [
        "samples, prior", "samples, mixture of 2 over training codes",
        "decoded held-out images", "held-out images",
    ]  # fmt: skip
    measures = result.sets["samples, prior"]
    # Both sets have the same covariance, and their means differ by 3.
    assert measures.frechet_distance == pytest.approx(9, rel=1e-3)
    # Every prediction is certain, and both classes are equally frequent.
    assert measures.inception_score == pytest.approx(2)
    held_out = result.sets["held-out images"]
    assert held_out.frechet_distance == pytest.approx(0, abs=1e-6)


def test_no_training_image_is_measured(make_trained):
    trained = make_trained()
    measured = set()

    def compute(images):
        measured.update(image.tobytes() for image in images)
        return ImageFeatures(
            np.ones((len(images), 2), np.float32), one_hot(np.arange(len(images)) % 2)
        )

    network = FeatureNetwork("recorder", compute)
    measure_generation(trained, encode_training_set(trained), network)
    assert any(image.tobytes() in measured for image in trained.dataset.calibration.images)
    assert not any(image.tobytes() in measured for image in trained.dataset.train.images)


@pytest.mark.parametrize(("predicted_classes", "agreement"), [([0, 1], 1), ([1, 0], 0)])
def test_labels_agree_if_the_classifier_predicts_the_class_that_the_decoder_was_given(
    make_trained, monkeypatch, predicted_classes, agreement
):
    """The classifier recognises the class of each sample; in the second case it swaps the classes."""
    trained = make_trained(num_classes=2)
    z = draw_prior(trained.model, 20, trained.config.seed)
    by_class = np.stack([trained.decode(z, np.full(20, index, np.int32)) for index in (0, 1)])
    assert np.abs(by_class[0] - by_class[1]).max(axis=(1, 2, 3)).min() > 1e-3

    def compute(images):
        recognised = np.abs(by_class - images).sum(axis=(2, 3, 4)).argmin(axis=0)
        values = images.reshape(20, -1)[:, :5].astype(np.float32)
        return ImageFeatures(values, one_hot(np.array(predicted_classes)[recognised]))

    network = FeatureNetwork("oracle", compute)
    monkeypatch.setattr(quality, "train_feature_network", lambda *_: network)
    result = measure_generation(trained, encode_training_set(trained), inception=None)
    assert result.label_agreement == agreement
