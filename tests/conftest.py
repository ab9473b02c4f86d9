"""What every test shares: a strict JAX, a cache of compiled programs, and fixtures.

JAX is set up before it starts: eight virtual devices, no silent promotion of dtypes or ranks, an error when
a key is used twice. Shapes in signatures are checked. XLA compiles with the options that a run chooses.

Without names of tests, pytest runs the suite in one worker per core. A test file stays in one worker, so
its module fixtures are made once. Tests that are named run in the process of pytest.

Fixtures that save time, because many tests need the same thing:

- `dataset`: forty training discs and a test set with ten rings. `two_classes` and `in_halves` divide the
  discs into classes, `on_disk` stores the images of a dataset on disk.
- `config`: the config of a model that trains on `dataset` in seconds; `make_config` makes another one.
- `trained_run`: config and workdir of such a run after its training; each test gets its own copy.
- `quick_compilation`: compilation without optimisation, for tests that compile a lot and compute little.
- `make_trained`: a model with initial parameters, for tests that need no training.
- `real_data`: the folder of real images; the test is skipped where there are none.

A test with the marker `slow` takes more than a few seconds; `pytest -m "not slow"` leaves it out.
"""

import dataclasses
import os
import pathlib
import shutil
import tempfile

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)
os.environ["JAX_PLATFORMS"] = "cpu"
# Threads of scikit-learn that wait for others would take the cores of parallel test workers.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from vae_jax.runtime.compiler import choose_xla_options

choose_xla_options("float32")

import hypothesis
import jax
import jaxtyping
import numpy as np
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_legacy_prng_key", "error")
jax.config.update("jax_debug_key_reuse", True)
# Many tests train the same small model, which is compiled once: workers inherit this folder of programs.
_PROGRAMS = "VAE_JAX_TEST_PROGRAMS"
if _PROGRAMS not in os.environ:
    _folder_of_programs = tempfile.TemporaryDirectory(prefix="vae_jax_test_programs_")
    os.environ[_PROGRAMS] = _folder_of_programs.name
jax.config.update("jax_compilation_cache_dir", os.environ[_PROGRAMS])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# A property holds on a busy machine as well, however long its first example takes to compile.
hypothesis.settings.register_profile("without_deadline", deadline=None)
hypothesis.settings.load_profile("without_deadline")

# Shapes written in signatures are checked in every test, never in a user's run.
jaxtyping.install_import_hook("vae_jax", "beartype.beartype")

from vae_jax.config import default
from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.framing import Framing
from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.data.preprocessing import Preprocessing
from vae_jax.exploration.trained_run import TrainedRun
from vae_jax.model.vae import build_model, init_params

pytest_plugins = ["tests.small_runs"]  # runs that several modules share

ROLES = ("train", "val", "calibration", "test")
_MAX_WORKERS = 4  # each needs up to 2 GB of memory


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Returns the number of workers: one per core for the suite, none for tests that are named."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    # macOS lacks sched_getaffinity.
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count())
    return min(len(cores), _MAX_WORKERS)


@pytest.fixture(scope="module")
def quick_compilation():
    """Programs that this module's tests compile are not optimised: they compile faster and run slower."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """Folder with real images in their official layouts; VAE_JAX_TEST_DATA names another one."""
    default = pathlib.Path(__file__).parents[2] / "shared" / "data"
    folder = pathlib.Path(os.environ.get("VAE_JAX_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist; set VAE_JAX_TEST_DATA to a folder with real images")
    return folder


def make_examples(name: str, count: int, seed: int, *, anomalies: int = 0) -> Examples:
    """Blurred discs at random places, which a model learns in a few steps; the anomalies are rings."""
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
    """Forty training discs, and a test set of fifteen discs and ten rings."""
    return Dataset(
        name="discs",
        fingerprint="abc",
        image_size=8,
        channels=1,
        train=make_examples("train", 40, 0),
        val=make_examples("val", 10, 1),
        calibration=make_examples("calibration", 25, 2),
        test=make_examples("test", 25, 3, anomalies=10),
        preprocessing=Preprocessing("discs", Framing(8, 1)),
    )


@pytest.fixture
def on_disk(tmp_path):
    """Dataset -> the same dataset with its images and masks on disk."""

    def store(role: str, images: np.ndarray | None) -> ImagesOnDisk | None:
        if images is None:
            return None
        path = tmp_path / f"{role}-{images.ndim}.u8"
        images.tofile(path)
        return ImagesOnDisk.from_parts([np.memmap(path, np.uint8, "r", shape=images.shape)])

    def on_disk(dataset: Dataset) -> Dataset:
        stored = {
            role: dataclasses.replace(
                examples, images=store(role, examples.images), masks=store(role, examples.masks)
            )
            for role, examples in ((role, getattr(dataset, role)) for role in ROLES)
        }
        return dataclasses.replace(dataset, **stored)

    return on_disk


@pytest.fixture(scope="session")
def in_halves(dataset):
    """(axis of the images, two names) -> the dataset with its discs in two classes, by their position."""

    def name_classes(examples, axis, low, high):
        weight = examples.images[..., 0].astype(float).sum(axis=3 - axis)
        centre = (weight * np.arange(8)).sum(axis=1) / weight.sum(axis=1)
        sides = np.where(centre < 3.5, low, high)
        classes = np.where(examples.labels == 1, "ring", sides).tolist()
        return dataclasses.replace(examples, classes=classes)

    def in_halves(axis: int, low: str, high: str) -> Dataset:
        named = {role: name_classes(getattr(dataset, role), axis, low, high) for role in ROLES}
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
    """The config of a model that trains on `dataset` in seconds."""
    return make_config()


@pytest.fixture(scope="session")
def _shared_run(tmp_path_factory, make_config, dataset):
    """Workdir of the run that `trained_run` copies."""
    # Most tests train nothing, and these imports take seconds.
    from vae_jax.train import train
    from vae_jax.workdir_claim import claim_workdir

    workdir = tmp_path_factory.mktemp("shared_run") / "run"
    config = make_config()
    claim_workdir(workdir, config)
    train(config, workdir, dataset)
    return workdir


@pytest.fixture
def trained_run(_shared_run, config, tmp_path):
    """Config and workdir of a finished training on `dataset`; the workdir belongs to the test."""
    workdir = tmp_path / "trained_run"
    shutil.copytree(_shared_run, workdir)
    return config, workdir


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
