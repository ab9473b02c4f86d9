"""Measures the quality of generated images by the features of one network.

N images, D features, K classes.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from vae_jax.errors import UserError
from vae_jax.exploration.classifier import train_feature_network
from vae_jax.exploration.features import FeatureNetwork, ImageFeatures
from vae_jax.exploration.image_choice import split_unseen_normals
from vae_jax.exploration.trained_run import TrainedRun
from vae_jax.exploration.training_set import EncodedTrainingSet, draw_codes
from vae_jax.metrics import generation

_MIN_IMAGES = 10  # fewer images give no useful estimate of a covariance
# Images in each split of the Inception Score, whose expectation is lower for fewer images.
_IMAGES_PER_SPLIT = 100


@dataclasses.dataclass(frozen=True)
class Quality:
    """Measures of one set of images in comparison with the reference images.

    Attributes:
        frechet_distance: 0 is best; it decreases as the number of images grows.
        kernel_distance: 0 is best; it is unbiased for any number of images.
        inception_score: value from 1 to the number of classes; higher is better.
        inception_score_deviation: standard deviation over the splits; None if there is only one.
    """

    frechet_distance: float
    kernel_distance: float
    inception_score: float
    inception_score_deviation: float | None


@dataclasses.dataclass(frozen=True)
class GenerationQuality:
    """Quality of samples, reconstructions and real images under the same features.

    Attributes:
        sets: name of a set of images -> its quality.
        generated: name of the set whose images are samples of the model.
        network_name: name of the network that computed the features.
        num_images: number of images in each set and in the reference.
        label_agreement: proportion of the samples for which the classifier predicts the class that the
            decoder was given; None if the model is not conditional or if the network is Inception-v3.
    """

    sets: dict[str, Quality]
    generated: str
    network_name: str
    num_images: int
    label_agreement: float | None


def measure_generation(
    trained: TrainedRun,
    training_set: EncodedTrainingSet,
    inception: FeatureNetwork | None,
) -> GenerationQuality:
    """Compares samples, reconstructions and real images with other real images.

    Args:
        trained: trained model.
        training_set: encoded training images.
        inception: Inception-v3; None trains a small classifier on the dataset instead.

    Raises:
        UserError: if there are too few images, or if a classifier is needed and all training images have
            the same class.
    """
    dataset, seed, explore_config = trained.dataset, trained.config.seed, trained.config.explore
    reference, held_out = split_unseen_normals(dataset, explore_config.generated, seed)
    count = len(reference)
    _require_enough(count)
    network = inception or train_feature_network(dataset, explore_config.classifier_epochs, seed)
    images: dict[str, np.ndarray] = {
        f"samples, {density}": trained.decode(z)
        for density, z in draw_codes(trained, training_set, count).items()
    }
    generated = next(iter(images))
    images |= {
        "decoded held-out images": trained.reconstruct(held_out).x_hat,
        "held-out images": held_out,
    }
    features = {name: network.compute(members) for name, members in images.items()}
    num_classes = trained.model.num_classes
    agreement = None
    if num_classes and inception is None:
        # `TrainedModel.decode` gave the decoder the classes in turn.
        class_indices = np.arange(count) % num_classes
        predicted = features[generated].probabilities.argmax(axis=1)
        agreement = float(np.mean(predicted == class_indices))
    sets = compare_with_reference(network.compute(reference), features)
    return GenerationQuality(sets, generated, network.name, count, agreement)


def compare_with_reference(
    reference: ImageFeatures, sets: Mapping[str, ImageFeatures]
) -> dict[str, Quality]:
    """Compares each set of images with the reference images.

    Args:
        reference: features of real images. The network must not have been trained on them, because its
            features of training images differ from those of all other images, even real ones.
        sets: name of a set -> features of its images, as many as there are reference images.

    Raises:
        UserError: if there are fewer than ten images.
        ValueError: if the numbers of images differ, because the Fréchet distance depends on them.
    """
    _require_enough(len(reference.values))
    moments = generation.compute_moments(reference.values)
    return {name: _compare(name, reference, moments, features) for name, features in sets.items()}


def _compare(
    name: str, reference: ImageFeatures, moments: generation.Moments, features: ImageFeatures
) -> Quality:
    values, probabilities = features
    if len(values) != len(reference.values):
        raise ValueError(
            f"{name} has {len(values)} images, but the reference has {len(reference.values)}"
        )
    splits = min(10, max(1, len(values) // _IMAGES_PER_SPLIT))
    score, deviation = generation.inception_score(probabilities, splits)
    return Quality(
        generation.frechet_distance(moments, generation.compute_moments(values)),
        generation.kernel_distance(reference.values, values),
        score,
        deviation if splits > 1 else None,
    )


def _require_enough(count: int) -> None:
    if count < _MIN_IMAGES:
        raise UserError(
            f"a comparison of distributions needs at least {_MIN_IMAGES} images in each set; found "
            f"{count}; raise explore.generated, or take a dataset with at least {2 * _MIN_IMAGES} normals "
            "in val, calibration and test"
        )
