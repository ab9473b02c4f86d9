"""Images that nearly agree get one group, and images that only look alike do not."""

import dataclasses
import itertools
import logging

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.sparse.csgraph import connected_components

from vae_jax.data import near_duplicates
from vae_jax.data.examples import Examples
from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.data.near_duplicates import find_components, group_near_duplicates

SIDE = 64
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE] / SIDE


def make_scene(seed):
    """Returns a picture of its own, with coarse and fine structure, in [0, 1]."""
    noise = np.random.default_rng([seed, 1]).normal(size=(2, SIDE, SIDE))
    scene = gaussian_filter(noise[0], 8) * 8 + gaussian_filter(noise[1], 2) * 2
    return (scene - scene.min()) / np.ptp(scene)


def add_noise(picture, seed):
    return picture + np.random.default_rng([seed, 2]).normal(0, 0.02, picture.shape)


# Ways in which a second picture of the same scene can differ.
VARIATIONS = {
    "noise": lambda scene: add_noise(scene, 0),
    "brighter": lambda scene: scene + 0.2,
    "less contrast": lambda scene: 0.3 + 0.4 * scene,
    "gamma": lambda scene: scene**1.5,
    "uneven light": lambda scene: scene * (0.85 + 0.3 * COLUMNS),
    "shifted": lambda scene: np.roll(scene, 1, axis=0),
    "a mark": lambda scene: np.where(np.hypot(ROWS - 0.4, COLUMNS - 0.4) < 0.05, 1, scene),
    "blurred": lambda scene: gaussian_filter(scene, 1),
}


def encode(pictures):
    grey = (np.clip(0.2 + 0.5 * np.stack(pictures), 0, 1) * 255).astype(np.uint8)
    return grey[..., None]


def make_examples(pictures, groups=None, labels=None, official_test=None, images=None):
    count = len(pictures)
    files = [f"{i:04}" for i in range(count)]
    return Examples(
        images=encode(pictures) if images is None else images,
        labels=np.zeros(count, np.int32) if labels is None else np.array(labels, np.int32),
        classes=["good"] * count,
        files=files,
        groups=files if groups is None else groups,
        stored_size=np.zeros((count, 3), np.int32),
        has_mask=np.zeros(count, bool),
        official_test=official_test,
    )


def group(examples, padded=False):
    return group_near_duplicates(examples, np.zeros(len(examples), bool), padded, "folder")


@pytest.fixture(scope="module")
def scenes():
    return [make_scene(seed) for seed in range(40)]


@pytest.mark.parametrize("variation", VARIATIONS)
def test_two_pictures_of_one_scene_form_a_group_and_other_scenes_do_not(scenes, variation):
    groups = group(make_examples([*scenes, VARIATIONS[variation](scenes[3])]))
    assert groups == [*(f"{i:04}" for i in range(40)), "0003"]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_few_images_can_be_grouped(scenes, size):
    assert group(make_examples(scenes[:size])) == [f"{i:04}" for i in range(size)]


def test_identical_images_among_few_others_form_a_group(scenes):
    assert group(make_examples([*scenes[:3], scenes[0]]))[3] == "0000"


def test_chains_of_images_form_one_group(scenes):
    blend = [(1 - t) * scenes[0] + t * scenes[1] for t in np.linspace(0, 1, 15)]
    groups = group(make_examples([*scenes[2:], *blend]))
    assert len(set(groups[-15:])) == 1
    assert len(set(groups)) == 39
    ends = group(make_examples([*scenes[2:], blend[0], blend[-1]]))
    assert ends[-1] != ends[-2]


def test_colour_images_and_images_on_disk_give_the_same_groups(scenes):
    pictures = [*scenes, scenes[5] + 0.1]
    expected = group(make_examples(pictures))
    grey = encode(pictures)
    colour = np.repeat(grey, 3, axis=-1)
    on_disk = ImagesOnDisk.from_parts([grey[:20], grey[20:]])
    for images in (colour, on_disk):
        assert group(make_examples(pictures, images=images)) == expected


# Different objects that look alike.
def make_object(seed):
    disc = 0.4 * (np.hypot(ROWS - 0.5, COLUMNS - 0.5) < 0.3)
    return add_noise(disc, seed)


SETS_WITHOUT_DUPLICATES = {
    "aligned": make_object,
    "with a brighter and a darker side": lambda seed: (
        make_object(seed) + np.random.default_rng(seed).normal(0, 0.1) * COLUMNS
    ),
    "flat": lambda seed: np.full((SIDE, SIDE), seed / 60),
    "noise": lambda seed: np.random.default_rng(seed).random((SIDE, SIDE)),
    "black": lambda seed: np.full((SIDE, SIDE), -1.0),
}


@pytest.mark.parametrize("kind", SETS_WITHOUT_DUPLICATES)
def test_different_objects_that_look_alike_are_not_grouped(kind):
    groups = group(make_examples([SETS_WITHOUT_DUPLICATES[kind](seed) for seed in range(60)]))
    sizes = np.unique(groups, return_counts=True)[1]
    assert (sizes > 1).sum() <= 1
    assert sizes.max() <= 4


def test_a_duplicate_among_aligned_objects_is_found():
    # Objects with a scratch of their own each, and one of them twice.
    objects = [
        make_object(seed) + 0.3 * (make_scene(seed) - 0.5) * (make_object(seed) > 0.2)
        for seed in range(40)
    ]
    groups = group(make_examples([*objects, objects[7] + 0.05]))
    assert groups[-1] == groups[7]
    assert len(set(groups)) == 40


def test_the_agreement_is_raised_until_no_group_holds_most_images(caplog):
    # Places on a line, so that each image agrees with its neighbours.
    moved = [0.5 * np.exp(-((COLUMNS - 0.2 - 0.6 * i / 150) ** 2) / 0.02) for i in range(150)]
    with caplog.at_level(logging.INFO):
        groups = group(make_examples(moved))
    if "not grouped" in caplog.text:
        assert len(set(groups)) == 150
        assert "groups.csv" in caplog.text
    else:
        assert np.unique(groups, return_counts=True)[1].max() <= 50


def test_copies_of_one_image_alone_are_not_one_group_that_nothing_else_is_in(caplog):
    groups = group(make_examples([make_scene(0), *[make_scene(i % 2) for i in range(40)]]))
    assert len(set(groups)) == 41
    assert "a group would have more than 13 of 41 images" in " ".join(caplog.text.split())


def test_existing_groups_are_joined_and_named_by_the_first_in_the_alphabet(scenes):
    pictures = [scenes[0], scenes[1], scenes[1] + 0.1, scenes[2], scenes[2] + 0.1, scenes[3]]
    names = ["c", "c", "b", "b", "a", "d"]
    # c and b agree through scene 1, b and a through scene 2.
    assert group(make_examples(pictures, names)) == ["a"] * 5 + ["d"]


def test_images_that_are_not_normal_are_not_compared(scenes):
    labels = [0] * 40 + [1, -1]
    groups = group(make_examples([*scenes, scenes[0], scenes[1]], labels=labels))
    assert len(set(groups)) == 42


def test_images_of_the_official_test_split_stay_there_and_are_counted(scenes, caplog):
    pictures = [*scenes, scenes[0] + 0.1, scenes[1], make_scene(99), scenes[2] + 0.1, scenes[3]]
    labels = [0] * 43 + [1, -1]
    examples = make_examples(pictures, labels=labels, official_test=np.arange(45) >= 40)
    with caplog.at_level(logging.INFO):
        assert len(set(group(examples))) == 45
    assert "3 of 4 images of the official test split nearly agree" in caplog.text
    assert "0 of 40 normal images nearly agree" in caplog.text


def test_slices_of_volumes_are_not_compared(scenes):
    for num_slices in (80, 40):  # all images, or half of them
        examples = make_examples([*scenes, *scenes])
        files = [f"{row}.nii.gz#7" if row < num_slices else f"{row}.png" for row in range(80)]
        examples = dataclasses.replace(examples, files=files, groups=files)
        assert group(examples) == examples.groups


def test_images_that_may_only_be_in_test_are_not_compared(scenes):
    examples = make_examples([*scenes, scenes[0]])
    groups = group_near_duplicates(examples, np.arange(41) == 40, False, "aitex")
    assert groups == examples.groups


def test_the_log_counts_images_and_groups(scenes, caplog):
    pictures = [*scenes, scenes[0], scenes[0] + 0.1, scenes[1]]
    with caplog.at_level(logging.INFO):
        group(make_examples(pictures))
    assert "5 of 43 normal images nearly agree with another one" in caplog.text
    assert "in 2 groups of at most 3 images" in caplog.text


def test_too_many_images_are_not_compared_and_the_log_says_so(scenes, caplog, monkeypatch):
    monkeypatch.setattr(near_duplicates, "MAX_IMAGES", 40)
    examples = make_examples([*scenes, scenes[0]])
    assert group(examples) == examples.groups
    assert "41 images are too many to compare; the limit is 40" in caplog.text


def test_black_bars_do_not_count(scenes):
    def pad(picture, side):
        image = encode([picture])[0, ::2]  # twice as wide as high
        padded = np.zeros((SIDE, SIDE, 1), np.uint8)
        start = (SIDE - len(image)) // 2 + side
        padded[start : start + len(image)] = image
        return padded

    pictures = [*scenes, scenes[4]]
    images = np.stack([pad(picture, i % 2) for i, picture in enumerate(pictures)])
    groups = group(make_examples(pictures, images=images), padded=True)
    assert groups == [*(f"{i:04}" for i in range(40)), "0004"]


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_components_are_those_of_the_whole_graph_whatever_the_chunk_is(chunk, monkeypatch):
    monkeypatch.setattr(near_duplicates, "_CHUNK", chunk)
    rng = np.random.default_rng(0)
    points = np.repeat(rng.normal(size=(12, 5)), 3, axis=0) + rng.normal(0, 0.3, (36, 5))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points = points[rng.permutation(36)].astype(np.float32)
    expected = connected_components(points @ points.T >= 0.97)[1]
    views = [points, np.full((36, 5), 5**-0.5, np.float32)]
    components = find_components(views, 0.97, 36)
    assert 1 < expected.max() < 35
    for i, j in itertools.combinations(range(36), 2):
        assert (components[i] == components[j]) == (expected[i] == expected[j])
    largest = int(np.bincount(expected).max())
    assert find_components(views, 0.97, largest) is not None
    assert find_components(views, 0.97, largest - 1) is None
