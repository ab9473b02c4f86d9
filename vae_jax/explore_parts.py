"""The parts of the mode `explore`: each computes with `exploration`, draws with `report`, and stands alone.

What a part returns are sections of the page, and sections of results.json.

n training images, Z latent.
"""

import dataclasses

import numpy as np
from jaxtyping import Int32

from vae_jax.errors import UserError
from vae_jax.exploration import classes as classes_lib
from vae_jax.exploration import codes, maps, neighbours, paths, pixels, quality
from vae_jax.exploration import separability as separability_lib
from vae_jax.exploration.choice import classes_in_turn, draw, pairs
from vae_jax.exploration.classes import Known
from vae_jax.exploration.features import Features, train_features
from vae_jax.exploration.trained import Trained
from vae_jax.report import explore_numbers, explore_samples, explore_space, latent_map
from vae_jax.report.explore_page import Section

Found = tuple[list[Section], dict]

_MOST_CODES = 20_000  # training images that are encoded; drawn beyond that
_OF_CLASS = 10  # samples of a class
_MOST_TRAVERSALS = 16
_PAIRS = 4  # of test images with a way between them
_SHOWN = 14  # test images over their reconstructions
_YARDSTICK = 500  # test normals whose distance to training images samples are held against


def know(trained: Trained) -> Known:
    """Encodes the training images, or some of them where they are very many."""
    train = trained.dataset.train
    examples = train.take(draw(len(train.images), _MOST_CODES, trained.config.seed))
    return Known(examples, trained.encode(examples.images, trained.conditions(examples)))


def samples(trained: Trained, known: Known) -> Found:
    """Samples of every kind, reconstructions, and whether samples are copies of training images."""
    settings, seed, dataset = trained.config.explore, trained.config.seed, trained.dataset
    drawn = {
        kind: trained.decode(z) for kind, z in _codes(trained, known, settings.samples).items()
    }
    normals = np.flatnonzero(dataset.test.labels == 0)
    yardstick = dataset.test.images[normals[draw(len(normals), _YARDSTICK, seed)]]
    decoded = trained.reconstruct(yardstick)
    by_class = (
        classes_lib.by_label(trained, _OF_CLASS)
        if trained.model.num_classes
        else classes_lib.from_codes(trained, known, _OF_CLASS)
    )
    shown = classes_in_turn(dataset.test, _SHOWN, seed)
    images = next(iter(drawn.values()))
    found = neighbours.memorisation(images, yardstick, decoded, dataset.train.images)
    sections = [
        explore_samples.samples(drawn, decoded, yardstick, by_class),
        explore_samples.memorisation(found, images, dataset.train.images),
        explore_samples.reconstructions(
            dataset.test.images[shown], trained.reconstruct(dataset.test.images[shown]),
            [dataset.test.classes[row] for row in shown],
        ),
    ]  # fmt: skip
    medians = {
        "samples": float(np.median(found.samples)),
        "test": float(np.median(found.test)),
        "decoded_test": float(np.median(found.decoded)),
    }
    numbers = {"median_distance": medians, "suspicious": found.suspicious}
    return sections, {"generation": {"nearest_training_image": numbers}}


def generation(trained: Trained, known: Known, asked: Features | None) -> Found:
    """Fréchet distance, kernel distance and Inception Score of samples, reconstructions and real images.

    Args:
        trained: the model.
        known: its training images.
        asked: features that the user named; None trains a classifier for some.

    Raises:
        UserError: if the dataset has one class and no features were named, or too few images.
    """
    config, dataset = trained.config, trained.dataset
    features = asked or train_features(dataset, config.explore.classifier_epochs, config.seed)
    roles = (dataset.val, dataset.calibration, dataset.test)
    held_out = np.concatenate([role.images[role.labels == 0] for role in roles])
    train = dataset.train.images
    count = min(config.explore.generated, len(train), len(held_out))
    held_out = held_out[draw(len(held_out), count, config.seed)]
    sets: dict[str, np.ndarray] = {
        f"samples, {kind}": trained.decode(z) for kind, z in _codes(trained, known, count).items()
    }
    generated, drawn = next(iter(sets.items()))
    sets |= {"decoded held-out images": trained.reconstruct(held_out), "held-out images": held_out}
    found = quality.compare(features, train[draw(len(train), count, config.seed)], sets)
    agreement = None
    if trained.model.num_classes and asked is None:
        wanted = np.arange(count) % trained.model.num_classes
        agreement = float(np.mean(features.look(drawn)[1].argmax(axis=1) == wanted))
    section = explore_numbers.quality(
        found, features.name, count, config.explore.generated, agreement
    )
    numbers = dataclasses.asdict(found[generated]) | {
        "features": features.name,
        "images": count,
        "generated": generated,
        "others": {
            name: dataclasses.asdict(entry) for name, entry in found.items() if name != generated
        },
    }
    if agreement is not None:
        numbers["label_agreement"] = agreement
    return [section], {"generation": numbers}


def latent_maps(trained: Trained, scores: dict[str, list[str]]) -> Found:
    """Maps of the test images' codes, beside that of their pixels, and as something to point at.

    Args:
        trained: the model.
        scores: file of a test image -> lines about its score; it may be empty.

    Raises:
        UserError: if there are too few images or dimensions for a map.
    """
    config, test = trained.config, trained.dataset.test
    rows = draw(len(test.images), config.explore.map_images, config.seed)
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
        images / np.float32(255), trained.reconstruct(images),
    )  # fmt: skip
    return [explore_space.maps(found, of_pixels, classes, abnormal, page_map)], {}


def traversals(trained: Trained, known: Known) -> Found:
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
    given = np.zeros(len(z), np.int32) if trained.model.num_classes else None
    images = trained.decode(z, given)
    rows = images.reshape(len(shown), steps, *images.shape[1:])
    return [explore_space.traversals(rows, found, trained.model.sampled)], {}


def interpolations(trained: Trained) -> Found:
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
    return [explore_space.interpolations(*strips, ends, names)], {}


def separability(trained: Trained) -> Found:
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
    section = explore_numbers.separability(found, bool(trained.model.num_classes))
    return [section], {"latent": {"classifier": numbers}}


def _codes(trained: Trained, known: Known, count: int) -> dict[str, np.ndarray]:
    """Returns how codes are drawn -> codes; of the prior first, where there is one."""
    settings, seed = trained.config.explore, trained.config.seed
    mixture = codes.fit_mixture(known.posterior.mu, settings.mixture_components, seed)
    found = {f"mixture of {settings.mixture_components} over training codes":
             codes.from_mixture(mixture, count, seed)}  # fmt: skip
    if trained.model.sampled:
        found = {"prior": codes.from_prior(trained.model, count, seed)} | found
    return found


def _halfway(trained: Trained, rows: np.ndarray, steps: int) -> Int32[np.ndarray, "N"] | None:
    """Returns the class of each step, for a conditional model: of the nearer end."""
    found = trained.conditions(trained.dataset.test)
    if found is None:
        return None
    first = (np.arange(steps) < steps / 2)[None]
    return np.where(first, found[rows[:, :1]], found[rows[:, 1:]]).astype(np.int32).ravel()
