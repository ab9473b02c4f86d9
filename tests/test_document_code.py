"""The code on the pages about a new dataset and a new score runs and does what the pages say."""

import pathlib
import re
import types

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from vae_jax import validate
from vae_jax.config import default
from vae_jax.data import pipeline, prepare
from vae_jax.errors import UserError
from vae_jax.model.vae import Posterior

DOCS = pathlib.Path(__file__).parents[1] / "docs"


def run_code(page):
    """The names that the only block of Python of a page defines."""
    (code,) = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.M | re.S)
    names = {"__name__": page}
    exec(compile(code, page, "exec"), names)
    return names


def write_coins(folder):
    """Writes both sides of 20 fine and 4 worn coins."""
    rng = np.random.default_rng(0)
    for class_name, count in (("fine", 20), ("worn", 4)):
        (folder / class_name).mkdir(parents=True)
        for coin in range(count):
            for side in ("front", "back"):
                pixels = rng.integers(0, 256, (12, 12), np.uint8)
                Image.fromarray(pixels).save(folder / class_name / f"{coin:04}_{side}.png")


def test_the_documented_builder_keeps_both_sides_of_a_coin_in_one_role(tmp_path, monkeypatch):
    coins = run_code("adding_a_dataset.md")["Coins"]
    monkeypatch.setitem(prepare.BUILDERS, "coins", coins)
    monkeypatch.setitem(validate.VALID_NAMES, "data.dataset", (*validate.DATASETS, "coins"))
    write_coins(tmp_path / "files")
    config = default()
    config.data.update(dataset="coins", manual_dir=str(tmp_path / "files"), dir=str(tmp_path / "d"))
    config.data.update(anomaly_classes=("worn",), calibration_fraction=0.3)
    validate.validate_config(config)
    dataset = pipeline.load_dataset(config.data, config.seed)
    assert set(dataset.train.classes) == {"fine"}
    assert dataset.test.classes.count("worn") == 8
    roles = {}
    for role in ("train", "val", "calibration", "test"):
        for file in getattr(dataset, role).files:
            assert roles.setdefault(file.partition("_")[0], role) == role
    assert len(roles) == 24
    with pytest.raises(UserError, match="DIR at the unpacked"):
        coins.locate_files(tmp_path)


def test_the_documented_score_is_the_entropy_of_a_gaussian():
    score = run_code("adding_a_score.md")["posterior_entropy"]
    logvar = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    posterior = Posterior(jnp.zeros((5, 3)), jnp.asarray(logvar))
    values = score(types.SimpleNamespace(posterior=posterior))
    expected = [stats.multivariate_normal(cov=np.diag(np.exp(row))).entropy() for row in logvar]
    np.testing.assert_allclose(values, expected, rtol=1e-5)
