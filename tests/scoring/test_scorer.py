import jax
import numpy as np
import pytest

from vae_jax.data.batches import iterate_batches
from vae_jax.model.vae import BoundModel
from vae_jax.scoring import scorer as scorer_lib
from vae_jax.scoring.scorer import make_scorer

pytestmark = pytest.mark.usefixtures("quick_compilation")

COLUMNS = ("quality_mse", "kl")


@pytest.fixture
def setup(make_setup):
    return make_setup()


def make(setup, batch_size=256, num_devices=1, max_images=None):
    scoring_config = setup.scoring_config.copy_and_resolve_references()
    scoring_config.batch_size = batch_size
    devices = jax.devices()[:num_devices]
    return make_scorer(setup.trained.model, COLUMNS, scoring_config, 0, devices, max_images)


def test_columns_are_those_of_the_model(setup):
    images = setup.dataset.test.images
    columns = make(setup)(setup.trained.params, images)
    assert set(columns) == set(COLUMNS)
    outputs = setup.trained.reconstruct(images)
    errors = np.square(images / np.float32(255) - outputs.x_hat).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(columns["quality_mse"], errors, rtol=1e-5)
    mu, logvar = outputs.posterior.mu, outputs.posterior.logvar
    kl = 0.5 * (np.square(mu) + np.exp(logvar) - 1 - logvar).sum(axis=1)
    np.testing.assert_allclose(columns["kl"], kl, rtol=1e-4)
    assert all(values.dtype == np.float64 for values in columns.values())


def test_columns_of_chosen_rows_are_in_the_order_of_the_rows(setup):
    images, rows = setup.dataset.test.images, np.array([7, 3, 24, 3])
    score = make(setup, batch_size=3)
    columns = score(setup.trained.params, images)
    chosen = score(setup.trained.params, images, rows=rows)
    for name, values in chosen.items():
        np.testing.assert_allclose(values, columns[name][rows], rtol=1e-5)


@pytest.mark.parametrize(
    ("num_devices", "max_images", "expected"),
    [(1, None, 256), (1, 11, 11), (2, 11, 12), (1, 999, 256)],
)
def test_batches_are_not_larger_than_the_largest_call(
    setup, monkeypatch, num_devices, max_images, expected
):
    sizes = []

    def record(images, batch_size, *rest):
        sizes.append(batch_size)
        return iterate_batches(images, batch_size, *rest)

    monkeypatch.setattr(scorer_lib, "iterate_batches", record)
    score = make(setup, num_devices=num_devices, max_images=max_images)
    score(setup.trained.params, setup.dataset.test.images[:11])
    assert sizes == [expected]


def test_other_parameters_do_not_compile_again(setup, monkeypatch):
    traces = []
    encode = BoundModel.encode

    def count(bound, x):
        traces.append(x.shape)
        return encode(bound, x)

    monkeypatch.setattr(BoundModel, "encode", count)
    score, images = make(setup), setup.dataset.test.images
    first = score(setup.trained.params, images)
    num_traces = len(traces)
    halved = jax.tree.map(lambda values: values / 2, setup.trained.params)
    second = score(halved, images)
    assert len(traces) == num_traces > 0
    assert (first["kl"] != second["kl"]).all()
