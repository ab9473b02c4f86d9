"""The parts of the mode `explore`.

Each part computes something with `vae_jax/exploration` and describes it in sections of the page. A part
does not depend on the other parts.
"""

import dataclasses
from typing import Any

import numpy as np

from vae_jax.data.row_draw import draw_rows
from vae_jax.exploration.class_samples import sample_by_label, sample_from_codes
from vae_jax.exploration.decoded_paths import decode_interpolations, decode_traversals
from vae_jax.exploration.features import FeatureNetwork
from vae_jax.exploration.image_choice import choose_classes_in_turn
from vae_jax.exploration.maps import MAPS, choose_maps, tsne
from vae_jax.exploration.neighbours import measure_memorisation
from vae_jax.exploration.pixels import flatten_pixels
from vae_jax.exploration.quality import Quality, measure_generation
from vae_jax.exploration.separability import METHOD, measure_separability
from vae_jax.exploration.trained_run import TrainedRun
from vae_jax.exploration.training_set import EncodedTrainingSet, draw_codes
from vae_jax.report.exploration.latent_map import MappedImages, make_interactive_map
from vae_jax.report.exploration.latent_sections import (
    make_interpolation_section,
    make_map_section,
    make_traversal_section,
)
from vae_jax.report.exploration.number_sections import (
    make_quality_section,
    make_separability_section,
)
from vae_jax.report.exploration.page import Section
from vae_jax.report.exploration.sample_sections import (
    make_memorisation_section,
    make_reconstruction_section,
    make_sample_section,
)

_CLASS_SAMPLES = 10  # samples of each class
_COMPARED_IMAGES = 25  # samples, reconstructions and real images that are shown side by side
_MEMORISATION_IMAGES = 500  # test normals whose distances to training images are measured
_RECONSTRUCTIONS = 14  # test images that are shown above their reconstructions
_MAX_TRAVERSALS = 16
_MAX_PAIRS = 4  # pairs of test images for interpolations


@dataclasses.dataclass(frozen=True)
class PartResult:
    """The result of one part.

    Attributes:
        sections: sections of the page.
        results: section of results.json -> fields of that section.
    """

    sections: list[Section]
    results: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)


def explore_samples(trained: TrainedRun, training_set: EncodedTrainingSet) -> PartResult:
    """Shows samples from each density and of each class, and compares some with real images."""
    test = trained.dataset.test
    codes = draw_codes(trained, training_set, trained.config.explore.samples)
    if trained.model.num_classes:
        class_samples = sample_by_label(trained, next(iter(codes.values()))[:_CLASS_SAMPLES])
    else:
        class_samples = sample_from_codes(trained, training_set, _CLASS_SAMPLES)
    normals = test.take(np.flatnonzero(test.labels == 0))
    rows = choose_classes_in_turn(normals, _COMPARED_IMAGES, trained.config.seed)
    real = normals.images[rows]
    samples = {density: trained.decode(z) for density, z in codes.items()}
    reconstructions = trained.reconstruct(real).x_hat
    return PartResult([make_sample_section(samples, reconstructions, real, class_samples)])


def explore_memorisation(trained: TrainedRun, training_set: EncodedTrainingSet) -> PartResult:
    """Measures whether samples are nearer to training images than reconstructions of test images."""
    test, train = trained.dataset.test, trained.dataset.train
    normals = np.flatnonzero(test.labels == 0)
    rows = draw_rows(len(normals), _MEMORISATION_IMAGES, trained.config.seed, in_order=True)
    test_images = test.images[normals[rows]]
    codes = draw_codes(trained, training_set, trained.config.explore.samples)
    samples = trained.decode(next(iter(codes.values())))
    memorisation = measure_memorisation(
        samples, test_images, trained.reconstruct(test_images).x_hat, train.images
    )
    fields = {
        "median_distance": {
            "samples": float(np.median(memorisation.samples)),
            "test": float(np.median(memorisation.test)),
            "decoded_test": float(np.median(memorisation.reconstructions)),
        },
        "suspicious": memorisation.suspicious,
    }
    section = make_memorisation_section(memorisation, samples, train.images)
    return PartResult([section], {"generation": {"nearest_training_image": fields}})


def explore_reconstructions(trained: TrainedRun) -> PartResult:
    """Shows test images of each class in turn above their reconstructions, errors and masks."""
    test = trained.dataset.test
    rows = choose_classes_in_turn(test, _RECONSTRUCTIONS, trained.config.seed)
    images, classes = test.images[rows], [test.classes[row] for row in rows]
    masks = None if test.masks is None else test.masks[rows]
    reconstructions = trained.reconstruct(images).x_hat
    return PartResult([make_reconstruction_section(images, reconstructions, classes, masks)])


def explore_generation(
    trained: TrainedRun, training_set: EncodedTrainingSet, inception: FeatureNetwork | None
) -> PartResult:
    """Measures the quality of samples, reconstructions and real images.

    Args:
        trained: trained model.
        training_set: encoded training images.
        inception: Inception-v3; None trains a small classifier on the dataset instead.

    Raises:
        UserError: if there are too few images, or if a classifier is needed and all training images have
            the same class.
    """
    quality = measure_generation(trained, training_set, inception)
    sets = {name: _make_quality_fields(measures) for name, measures in quality.sets.items()}
    fields = sets.pop(quality.generated) | {
        "features": quality.network_name,
        "images": quality.num_images,
        "generated": quality.generated,
        "others": sets,
    }
    if quality.label_agreement is not None:
        fields["label_agreement"] = quality.label_agreement
    section = make_quality_section(quality, trained.config.explore.generated)
    return PartResult([section], {"generation": fields})


def _make_quality_fields(measures: Quality) -> dict[str, float]:
    fields = dataclasses.asdict(measures)
    return {name: value for name, value in fields.items() if value is not None}


def explore_maps(trained: TrainedRun, score_lines: dict[str, list[str]]) -> PartResult:
    """Shows maps of the codes and of the pixels of test images.

    Args:
        trained: trained model.
        score_lines: name of a test image -> lines about its score; images without scores are missing.

    Raises:
        UserError: if there are too few images or dimensions for a map.
    """
    config, test = trained.config, trained.dataset.test
    rows = draw_rows(len(test.images), config.explore.map_images, config.seed, in_order=True)
    images = test.images[rows]
    reconstructions = trained.reconstruct(images)
    mu = reconstructions.posterior.mu
    maps = [(name, MAPS[name](mu, config.seed)) for name in choose_maps(trained.model.latent_dim)]
    mapped = MappedImages(
        [*maps, ("t-SNE of pixels", tsne(flatten_pixels(images), config.seed))],
        [test.classes[row] for row in rows],
        [bool(test.labels[row]) for row in rows],
    )
    names = test.names
    texts = [
        [
            f"{test.classes[row]} ({'anomaly' if test.labels[row] else 'normal'})",
            names[row],
            # Where tiles cover whole images, the score is that of the image.
            *score_lines.get(names[row], score_lines.get(test.files[row], [])),
        ]
        for row in rows
    ]
    interactive_map = make_interactive_map(
        mapped, texts, images / np.float32(255), reconstructions.x_hat
    )
    return PartResult([make_map_section(mapped, interactive_map)])


def explore_traversals(trained: TrainedRun, training_set: EncodedTrainingSet) -> PartResult:
    """Shows how each active dimension changes the image of the mean code.

    Raises:
        UserError: if no dimension is active.
    """
    traversals = decode_traversals(trained, training_set, _MAX_TRAVERSALS)
    return PartResult([make_traversal_section(traversals)])


def explore_interpolations(trained: TrainedRun) -> PartResult:
    """Shows interpolations between test images of different classes.

    Raises:
        UserError: if there is only one test image.
    """
    return PartResult([make_interpolation_section(decode_interpolations(trained, _MAX_PAIRS))])


def explore_separability(trained: TrainedRun) -> PartResult:
    """Measures how well classifiers separate the classes by pixels, codes and decoded images.

    Raises:
        UserError: if fewer than two classes of the training images have enough groups.
    """
    separability = measure_separability(trained)
    fields: dict[str, Any] = {
        "method": METHOD,
        "classes": separability.classes,
        "learnt_images": separability.num_training_images,
    }
    for set_name, by_kind in separability.accuracies.items():
        fields[set_name] = {"images": separability.num_images[set_name]} | {
            kind: dataclasses.asdict(accuracies) for kind, accuracies in by_kind.items()
        }
    section = make_separability_section(separability, bool(trained.model.num_classes))
    return PartResult([section], {"latent": {"classifier": fields}})
