"""Strictness for every test, set before JAX starts: eight virtual devices, no silent promotion.

XLA compiles with the options that a run chooses.
"""

import dataclasses
import os
import pathlib
import tempfile

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)
os.environ["JAX_PLATFORMS"] = "cpu"

from vae_jax.runtime.compiler import choose_xla_options

choose_xla_options("float32")

import jax
import jaxtyping
import numpy as np
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_legacy_prng_key", "error")
jax.config.update("jax_debug_key_reuse", True)
# Many tests train the same small model: compile it once a session.
_CACHE = tempfile.TemporaryDirectory(prefix="vae_jax_test_programs_")
jax.config.update("jax_compilation_cache_dir", _CACHE.name)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# Shapes written in signatures are checked in every test, never in a user's run.
jaxtyping.install_import_hook("vae_jax", "beartype.beartype")

from vae_jax.config import default
from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.exploration.trained_run import TrainedRun
from vae_jax.model.vae import build_model, init_params


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """Folder with real images in their official layouts; VAE_JAX_TEST_DATA names another place."""
    default = pathlib.Path(__file__).parents[2] / "shared" / "data"
    folder = pathlib.Path(os.environ.get("VAE_JAX_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder}; VAE_JAX_TEST_DATA names their folder")
    return folder


def make_examples(name: str, count: int, seed: int, *, anomalies: int = 0) -> Examples:
    """Blurred discs at random places, learnable in a few steps; the anomalies are rings."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(2, 6, (count, 2, 1, 1))
    distance = np.sqrt(np.square(np.indices((8, 8))[None] - centre).sum(axis=1))
    labels = (np.arange(count) >= count - anomalies).astype(np.int32)
    discs, rings = np.clip(3 - distance, 0, 1), np.clip(1 - abs(distance - 3), 0, 1)
    images = np.where(labels[:, None, None], rings, discs)
    return Examples(
        images=(255 * images).astype(np.uint8)[..., None],
        labels=labels,
        classes=["ring" if label else "disc" for label in labels],
        files=[f"{name}/{i}.png" for i in range(count)],
        groups=[f"{name}/{i}" for i in range(count)],
        stored_size=np.full((count, 3), 8, np.int32),
        masks=None,
        has_mask=np.zeros(count, bool),
    )


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """Forty training discs; fifteen discs and ten rings to judge."""
    return Dataset(
        name="discs",
        fingerprint="abc",
        image_size=8,
        channels=1,
        train=make_examples("train", 40, 0),
        val=make_examples("val", 10, 1),
        calibration=make_examples("calibration", 25, 2),
        test=make_examples("test", 25, 3, anomalies=10),
    )


@pytest.fixture
def on_disk(tmp_path):
    """Dataset -> the same with its images and masks on disk."""

    def stored(role: str, images: np.ndarray | None) -> ImagesOnDisk | None:
        if images is None:
            return None
        path = tmp_path / f"{role}-{images.ndim}.u8"
        images.tofile(path)
        return ImagesOnDisk.from_parts([np.memmap(path, np.uint8, "r", shape=images.shape)])

    def on_disk(dataset: Dataset) -> Dataset:
        roles = {role: getattr(dataset, role) for role in ("train", "val", "calibration", "test")}
        moved = {
            role: dataclasses.replace(
                examples, images=stored(role, examples.images), masks=stored(role, examples.masks)
            )
            for role, examples in roles.items()
        }
        return dataclasses.replace(dataset, **moved)

    return on_disk


@pytest.fixture(scope="session")
def in_halves(dataset):
    """(axis of the images, two names) -> the dataset with its discs in two classes, by where they lie."""

    def name(examples, axis, low, high):
        weight = examples.images[..., 0].astype(float).sum(axis=3 - axis)
        centre = (weight * np.arange(8)).sum(axis=1) / weight.sum(axis=1)
        sides = np.where(centre < 3.5, low, high)
        classes = np.where(examples.labels == 1, "ring", sides).tolist()
        return dataclasses.replace(examples, classes=classes)

    def in_halves(axis: int, low: str, high: str) -> Dataset:
        roles = ("train", "val", "calibration", "test")
        named = {role: name(getattr(dataset, role), axis, low, high) for role in roles}
        return dataclasses.replace(dataset, **named)

    return in_halves


@pytest.fixture(scope="session")
def two_classes(in_halves):
    """The discs in two classes: left or right of the middle. The rings stay in a class of their own."""
    return in_halves(2, "left", "right")


@pytest.fixture(scope="session")
def make_config():
    """() -> the config of a model that trains on `dataset` in seconds."""

    def make_config():
        config = default()
        config.data.channels = 1
        config.model.widths = (4, 8)
        config.model.latent_dim = 2
        config.model.likelihood = "bernoulli"
        config.train.batch_size = 16
        config.train.epochs = 5
        config.train.epochs_per_checkpoint = 2
        config.train.parallel = "jit"
        config.augment.horizontal_flip = 0.5
        config.scoring.bootstrap_resamples = 100
        config.report.cases = 2
        config.report.samples = 4
        return config

    return make_config


@pytest.fixture
def config(make_config):
    """A model that trains on `dataset` in seconds."""
    return make_config()


@pytest.fixture
def make_trained(config, two_classes):
    """(dataset, fields of the model group) -> an exploration's run of a model with initial parameters."""

    def make_trained(dataset=two_classes, **fields):
        config.model.update(fields)
        config.explore.update(
            {"samples": 8, "mixture_components": 2, "steps": 5, "map_images": 20, "generated": 20,
             "classifier_epochs": 2}
        )  # fmt: skip
        model = build_model(config)
        params = init_params(model, jax.random.key(0))
        return TrainedRun(model, params, 64, config, dataset)

    return make_trained
