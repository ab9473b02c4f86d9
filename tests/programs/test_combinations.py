import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.programs.combinations import make_combination
from vae_jax.score_names import COMBINATIONS
from vae_jax.scoring.combinations import combine_scores

MEMBERS = ("features_cosine", "features_joint", "mse")


@pytest.fixture(scope="module")
def normals():
    rng = np.random.default_rng(0)
    names = [f"features_cosine{end}" for end in ("", "_mean", "_max", "_contrast")]
    names += [f"mse{end}" for end in ("", "_mean", "_max", "_contrast")]
    columns = {name: rng.normal(i, 1 + i, 40) for i, name in enumerate([*names, "features_joint"])}
    return {name: values.astype(np.float32).astype(np.float64) for name, values in columns.items()}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_combination_equals_that_of_numpy(name, normals):
    rng = np.random.default_rng(1)
    # Below, between and far above the normals, and exactly on one of them.
    scores = {
        key: np.concatenate([values[:3], rng.uniform(values.min() - 5, values.max() + 50, 60)])
        .astype(np.float32)
        .astype(np.float64)
        for key, values in normals.items()
    }
    expected = combine_scores(name, MEMBERS, normals, scores)
    columns = {key: jnp.asarray(values, jnp.float32) for key, values in scores.items()}
    combined = jax.jit(make_combination(name, MEMBERS, normals))(columns)
    assert combined.dtype == jnp.float32
    np.testing.assert_allclose(combined, expected, rtol=2e-6, atol=5e-6)


def test_a_member_without_validation_normals_is_left_out(normals):
    some = {name: normals[name] for name in ("features_cosine", "mse")}
    columns = {name: jnp.asarray(values, jnp.float32) for name, values in some.items()}
    combined = make_combination("fusion", MEMBERS, some)(columns)
    np.testing.assert_allclose(
        combined, combine_scores("fusion", MEMBERS, some, some), rtol=2e-6, atol=5e-6
    )
