import dataclasses

import pytest

from tests.small_runs import make_run
from vae_jax.detector.storage import read_detector
from vae_jax.programs.exportable import split_names


@pytest.fixture(scope="session")
def bands_run(tmp_path_factory, image_folder):
    """Workdir of a run that observes bands, and decides by a combination."""
    workdir = tmp_path_factory.mktemp("bands_run") / "screws"
    model = {"observations": ("bands",), "band_size": 16}
    scoring = {
        "names": ("bands_place_nll_max", "bands_mahalanobis", "pca", "band_pca", "hedge"),
        "fusion": ("bands_cosine", "bands_place_nll"),
        "map_smoothing": 1.0,
    }
    return make_run(workdir, image_folder, model=model, scoring=scoring)


@pytest.fixture(scope="session", params=["pixels", "bands"])
def any_run(request, run, bands_run):
    """Workdir of a run on pixels, and of one on bands."""
    return {"pixels": run, "bands": bands_run}[request.param]


@pytest.fixture(scope="session")
def exportable(any_run):
    """The detector of the run, whose scores can all be exported."""
    parts = read_detector(any_run)
    return dataclasses.replace(parts, names=tuple(split_names(parts)[0]))
