"""The parts of the mode `explore`: each computes with `exploration`, draws with `report`, and stands alone.

What a part returns are sections of the page, and sections of results.json.

n training images, Z latent.
"""

import dataclasses

import numpy as np
from jaxtyping import Int32

from vae_jax.data.class_indices import list_class_names
from vae_jax.data.row_draw import draw_rows
from vae_jax.errors import UserError
from vae_jax.exploration import class_samples as classes_lib
from vae_jax.exploration import latent_draws, maps, neighbours, paths, pixels, quality
from vae_jax.exploration import separability as separability_lib
from vae_jax.exploration.class_samples import EncodedTrainingSet
from vae_jax.exploration.features import Features, train_features
from vae_jax.exploration.image_choice import classes_in_turn, halves, pairs
from vae_jax.exploration.trained_run import TrainedRun
from vae_jax.report.exploration import latent_map, latent_sections, number_sections, sample_sections
from vae_jax.report.exploration.page import Section
from vae_jax.scoring.inference import draw_prior

Found = tuple[list[Section], dict]

_MOST_CODES = 20_000  # training images that are encoded; drawn beyond that
_OF_CLASS = 10  # samples of a class
_MOST_TRAVERSALS = 16
_PAIRS = 4  # of test images with a way between them
_BESIDE = 25  # samples beside decoded and real images
_SHOWN = 14  # test images over their reconstructions
_YARDSTICK = 500  # test normals whose distance to training images samples are held against


def know(trained: TrainedRun) -> EncodedTrainingSet:
    """Encodes the training images, or some of them where they are very many, and fits their mixture.

    Raises:
        UserError: if there is one training image.
    """
    config, train = trained.config, trained.dataset.train
    examples = train.take(draw_rows(len(train.images), _MOST_CODES, config.seed, in_order=True))
    posterior = trained.encode(examples.images, trained.class_indices(examples))
    mixture = latent_draws.fit_mixture(posterior.mu, config.explore.mixture_components, config.seed)
    return EncodedTrainingSet(examples, posterior, mixture)


def samples(trained: TrainedRun, known: EncodedTrainingSet) -> Found:
    """Samples of every kind and class, and some beside decoded and real images."""
    dataset, seed = trained.dataset, trained.config.seed
    z = _codes(trained, known, trained.config.explore.samples)
    by_class = (
        classes_lib.by_label(trained, next(iter(z.values()))[:_OF_CLASS])
        if trained.model.num_classes
        else classes_lib.from_codes(trained, known, _OF_CLASS)
    )
    normals = dataset.test.take(np.flatnonzero(dataset.test.labels == 0))
    real = normals.images[classes_in_turn(normals, _BESIDE, seed)]
    drawn = {kind: trained.decode(values) for kind, values in z.items()}
    return [sample_sections.samples(drawn, trained.reconstruct(real).x_hat, real, by_class)], {}


def memorisation(trained: TrainedRun, known: EncodedTrainingSet) -> Found:
    """Whether samples are copies of training images."""
    dataset = trained.dataset
    normals = np.flatnonzero(dataset.test.labels == 0)
    drawn = draw_rows(len(normals), _YARDSTICK, trained.config.seed, in_order=True)
    yardstick = dataset.test.images[normals[drawn]]
    z = next(iter(_codes(trained, known, trained.config.explore.samples).values()))
    images = trained.decode(z)
    found = neighbours.memorisation(
        images, yardstick, trained.reconstruct(yardstick).x_hat, dataset.train.images
    )
    medians = {
        "samples": float(np.median(found.samples)),
        "test": float(np.median(found.test)),
        "decoded_test": float(np.median(found.decoded)),
    }
    numbers = {"median_distance": medians, "suspicious": found.suspicious}
    section = sample_sections.memorisation(found, images, dataset.train.images)
    return [section], {"generation": {"nearest_training_image": numbers}}


def reconstructions(trained: TrainedRun) -> Found:
    """Test images of each class in turn over their reconstructions."""
    test = trained.dataset.test
    rows = classes_in_turn(test, _SHOWN, trained.config.seed)
    images, classes = test.images[rows], [test.classes[row] for row in rows]
    decoded = trained.reconstruct(images).x_hat
    return [sample_sections.reconstructions(images, decoded, classes)], {}


def generation(trained: TrainedRun, known: EncodedTrainingSet, asked: Features | None) -> Found:
    """Fréchet distance, kernel distance and Inception Score of samples, reconstructions and real images.

    Args:
        trained: the model.
        known: its training images.
        asked: features that the user named; None trains a classifier for some.

    Raises:
        UserError: if the dataset has one class and no features were named, or too few images.
    """
    config, dataset = trained.config, trained.dataset
    reference, held_out = halves(dataset, config.explore.generated, config.seed)
    count = len(reference)
    quality.require(count)
    features = asked or train_features(dataset, config.explore.classifier_epochs, config.seed)
    sets: dict[str, np.ndarray] = {
        f"samples, {kind}": trained.decode(z) for kind, z in _codes(trained, known, count).items()
    }
    generated = next(iter(sets))
    sets |= {
        "decoded held-out images": trained.reconstruct(held_out).x_hat,
        "held-out images": held_out,
    }
    looked = {name: features.look(images) for name, images in sets.items()}
    found = quality.compare(features.look(reference), looked)
    agreement = None
    if trained.model.num_classes and asked is None:
        wanted = np.arange(count) % trained.model.num_classes  # as `TrainedRun.decode` gives them
        agreement = float(np.mean(looked[generated][1].argmax(axis=1) == wanted))
    section = number_sections.quality(
        found, features.name, count, config.explore.generated, agreement
    )
    figures = {name: _present(dataclasses.asdict(entry)) for name, entry in found.items()}
    numbers = figures.pop(generated) | {
        "features": features.name,
        "images": count,
        "generated": generated,
        "others": figures,
    }
    if agreement is not None:
        numbers["label_agreement"] = agreement
    return [section], {"generation": numbers}


def latent_maps(trained: TrainedRun, scores: dict[str, list[str]]) -> Found:
    """Maps of the test images' codes, beside that of their pixels, and as something to point at.

    Args:
        trained: the model.
        scores: file of a test image -> lines about its score; it may be empty.

    Raises:
        UserError: if there are too few images or dimensions for a map.
    """
    config, test = trained.config, trained.dataset.test
    rows = draw_rows(len(test.images), config.explore.map_images, config.seed, in_order=True)
    images, abnormal = test.images[rows], [bool(test.labels[row]) for row in rows]
    classes = [test.classes[row] for row in rows]
    mu = trained.encode(images).mu
    found = [
        (name, maps.MAPS[name](mu, config.seed)) for name in maps.maps_for(trained.model.latent_dim)
    ]
    of_pixels = maps.tsne(pixels.flat(images), config.seed)
    texts = [
        [
            f"{test.classes[row]} ({'anomaly' if test.labels[row] else 'normal'})",
            test.names[row],
            *scores.get(test.names[row], []),
        ]
        for row in rows
    ]
    page_map = latent_map.page_map(
        [*found, ("t-SNE of pixels", of_pixels)], classes, abnormal, texts,
        images / np.float32(255), trained.reconstruct(images).x_hat,
    )  # fmt: skip
    return [latent_sections.maps(found, of_pixels, classes, abnormal, page_map)], {}


def traversals(trained: TrainedRun, known: EncodedTrainingSet) -> Found:
    """What each active dimension does to the mean code of the training images.

    Raises:
        UserError: if no dimension is active.
    """
    found = paths.dimensions(known.posterior)
    if not len(found.active):
        raise UserError(
            f"none of the {len(found.mean)} latent dimensions is active, so there is none to move along; "
            "train with a smaller objective.beta or a slower warm-up"
        )
    steps, shown = trained.config.explore.steps, found.active[:_MOST_TRAVERSALS]
    z = np.concatenate([paths.traverse(found, int(dimension), steps) for dimension in shown])
    # One class for all, where the model takes one: only the dimension is to change.
    conditional = bool(trained.model.num_classes)
    given = np.zeros(len(z), np.int32) if conditional else None
    name = list_class_names(trained.dataset)[0] if conditional else None
    images = trained.decode(z, given)
    rows = images.reshape(len(shown), steps, *images.shape[1:])
    return [latent_sections.traversals(rows, found, trained.model.sampled, name)], {}


def interpolations(trained: TrainedRun) -> Found:
    """Ways between test images of different classes."""
    test, steps = trained.dataset.test, trained.config.explore.steps
    rows = pairs(test, _PAIRS, trained.config.seed)
    images = test.images[rows.ravel()]
    mu = trained.encode(images).mu.reshape(len(rows), 2, -1)
    strips = []
    for way in (paths.linear, paths.spherical):
        z = np.concatenate([way(start, end, steps) for start, end in mu])
        given = _halfway(trained, rows, steps)
        strips.append(trained.decode(z, given).reshape(len(rows), steps, *images.shape[1:]))
    ends = (images / np.float32(255)).reshape(len(rows), 2, *images.shape[1:])
    names = [(test.classes[a], test.classes[b]) for a, b in rows]
    conditional = bool(trained.model.num_classes)
    return [latent_sections.interpolations(*strips, ends, names, conditional)], {}


def separability(trained: TrainedRun) -> Found:
    """How well a classifier tells the classes apart from pixels, codes and decoded images.

    Raises:
        UserError: if the training images have fewer than two classes.
    """
    found = separability_lib.separability(trained)
    numbers = {
        "method": separability_lib.METHOD,
        "classes": found.classes,
        "learnt_images": found.num_learnt,
    }
    for name, judged in found.judged.items():
        numbers[name] = {"images": found.num_images[name]} | {
            kind: dataclasses.asdict(figures) for kind, figures in judged.items()
        }
    section = number_sections.separability(found, bool(trained.model.num_classes))
    return [section], {"latent": {"classifier": numbers}}


def _codes(trained: TrainedRun, known: EncodedTrainingSet, count: int) -> dict[str, np.ndarray]:
    """Returns how codes are drawn -> codes; of the prior first, where there is one."""
    seed = trained.config.seed
    kind = f"mixture of {known.mixture.n_components} over training codes"
    found = {kind: latent_draws.from_mixture(known.mixture, count, seed)}
    if trained.model.sampled:
        found = {"prior": draw_prior(trained.model, count, seed)} | found
    return found


def _present(figures: dict[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if value is not None}


def _halfway(trained: TrainedRun, rows: np.ndarray, steps: int) -> Int32[np.ndarray, "N"] | None:
    """Returns the class of each step, for a conditional model: of the nearer end."""
    found = trained.class_indices(trained.dataset.test)
    if found is None:
        return None
    first = (np.arange(steps) < steps / 2)[None]
    return np.where(first, found[rows[:, :1]], found[rows[:, 1:]]).astype(np.int32).ravel()
