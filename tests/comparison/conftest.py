"""Finished runs that the tests of comparisons share."""

import pytest

from tests.stored_runs import write_run
from vae_jax.comparison.settings import group_runs
from vae_jax.comparison.stored_run import read_run


@pytest.fixture(scope="session")
def workdirs(tmp_path_factory):
    """Two settings with three seeds each, on the same images: a latent of 8 dimensions is better."""
    folder = tmp_path_factory.mktemp("stored_runs")
    return [
        write_run(
            folder / f"latent{size}_seed{seed}",
            seed=seed,
            shift=shift,
            prefix=f"split{seed}_",
            model__latent_dim=size,
        )
        for size, shift in ((4, 0.6), (8, 2.0))
        for seed in range(3)
    ]


@pytest.fixture(scope="session")
def runs(workdirs):
    return [read_run(workdir) for workdir in workdirs]


@pytest.fixture(scope="session")
def settings(runs):
    return group_runs(runs)
