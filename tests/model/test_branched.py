"""The models of these tests have no pixels: their branches explain bands, and features drawn at random."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.config import default
from vae_jax.data.region import Region
from vae_jax.model import branched
from vae_jax.model.objective import compute_terms
from vae_jax.model.vae import VAE, build_model, init_params

pytestmark = pytest.mark.usefixtures("quick_compilation")

COUNT = 3


def make_config(*observations, **fields):
    config = default()
    config.model.observations = observations
    config.model.update(
        {"band_size": 32, "band_widths": (4,), "band_latent_dim": 3, "grid": 4, "feature_channels": 5,
         "feature_widths": (6,), "feature_latent_dim": 2}
    )  # fmt: skip
    config.model.update(fields)
    return config


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    shapes = {"features": (4, 4, 5), "bands": (4, 4, 6)}
    return {
        name: jnp.asarray(rng.normal(size=(COUNT, *shape)), jnp.float16)
        for name, shape in shapes.items()
    }


def make_keys():
    """New arrays of the same keys, because JAX refuses a key that was used before."""
    return jax.random.split(jax.random.key(7), COUNT)


@functools.cache
def build(*observations):
    model = branched.build_branches(make_config(*observations))
    return model, branched.init_branches(model, jax.random.key(0))


def compute(model, params, inputs):
    no_classes = jnp.zeros(COUNT, jnp.int32)
    return jax.jit(functools.partial(branched.compute_model_terms, model))(
        params, inputs, make_keys(), no_classes
    )


def test_the_elbo_is_the_sum_of_the_elbos_of_the_branches(inputs):
    model, params = build("features", "bands")
    terms = compute(model, params, inputs)
    expected = []
    for i, (name, branch) in enumerate(model.branches.items()):
        branch_keys = branched.fold_branch(make_keys(), i)
        eps = jax.vmap(lambda key, n=branch.latent_size: jax.random.normal(key, (n,)))(branch_keys)
        x = inputs[name].astype(jnp.float32)
        posterior, raw = branch.apply({"params": params[name]}, x, eps)
        expected.append(compute_terms(branch, x, posterior, raw))
    for name in ("reconstruction", "kl", "negative_elbo"):
        total = sum(np.asarray(getattr(part, name), np.float64) for part in expected)
        np.testing.assert_allclose(getattr(terms, name), total, rtol=1e-4)
        assert getattr(terms, name).shape == (COUNT,)


def test_the_gradient_of_a_branch_does_not_depend_on_the_other_branch(inputs):
    model, params = build("features", "bands")

    @jax.jit
    def compute_gradient(params, inputs):
        classes = jnp.zeros(COUNT, jnp.int32)
        return jax.grad(
            lambda p: jnp.sum(
                branched.compute_model_terms(model, p, inputs, make_keys(), classes).negative_elbo
            )
        )(params)

    expected = compute_gradient(params, inputs)
    for changed, kept in (("bands", "features"), ("features", "bands")):
        other_params = {**params, changed: jax.tree.map(lambda a: a + 0.1, params[changed])}
        gradient = compute_gradient(other_params, {**inputs, changed: 1 - inputs[changed]})
        for a, b in zip(
            jax.tree.leaves(gradient[kept]), jax.tree.leaves(expected[kept]), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_first_branch_has_the_noise_of_the_same_model_alone(inputs):
    both, params = build("bands", "features")
    alone, _ = build("bands")
    of_bands = {"bands": params["bands"]}
    expected = compute(alone, of_bands, inputs)
    total = compute(both, params, inputs)
    first, second, plain = (
        jax.random.key_data(keys)
        for keys in (*(branched.fold_branch(make_keys(), i) for i in range(2)), make_keys())
    )
    np.testing.assert_array_equal(first, plain)
    assert not (second == plain).all(axis=1).any()
    # What the other branch adds does not depend on the bands.
    changed = compute(both, params, {**inputs, "bands": 1 - inputs["bands"]})
    alone_changed = compute(alone, of_bands, {"bands": 1 - inputs["bands"]})
    np.testing.assert_allclose(
        total.negative_elbo - expected.negative_elbo,
        changed.negative_elbo - alone_changed.negative_elbo,
        rtol=1e-3,
    )


def test_parameters_are_those_of_the_key_and_differ_between_branches():
    model, params = build("features", "bands")
    again = branched.init_branches(model, jax.random.key(0))
    other = branched.init_branches(model, jax.random.key(1))
    assert list(params) == ["features", "bands"]
    same = jax.tree.map(lambda a, b: bool((a == b).all()), params, again)
    assert all(jax.tree.leaves(same))
    for name in params:
        equal = jax.tree.map(lambda a, b: bool((a == b).all()), params[name], other[name])
        assert not all(jax.tree.leaves(equal))


def test_split_and_join_are_inverse_to_each_other():
    model, params = build("features", "bands")
    parts = model.split({**params, "pooled": 0})
    assert list(parts) == ["features", "bands"]
    assert model.join(parts).keys() == params.keys()
    pixels = build_model(make_config("pixels"))
    assert pixels.join(pixels.split(3)) == 3
    assert pixels.branches == {"pixels": pixels}


def test_pixels_alone_are_explained_by_the_usual_model():
    config = make_config("pixels")
    model = branched.build_branches(config)
    assert isinstance(model, VAE)
    assert model == build_model(config)
    params = branched.init_branches(model, jax.random.key(0))
    expected = init_params(model, jax.random.key(0))
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), params, expected)))


@pytest.mark.parametrize(
    ("fields", "networks"),
    [
        ({}, ("spatial", "convolutional")),
        ({"latent": "vector"}, ("convolutional", "convolutional")),
        ({"latent": "spatial"}, ("spatial", "spatial")),
        ({"kind": "linear"}, ("linear", "linear")),
    ],
)
def test_the_network_of_each_branch_is_that_of_the_config(fields, networks):
    model = branched.build_branches(make_config("features", "bands", **fields))
    assert tuple(branch.network for branch in model.branches.values()) == networks
    assert model.sampled
    assert {branch.likelihood_name for branch in model.branches.values()} == {"normal"}


def test_an_autoencoder_of_observations_has_no_posterior(inputs):
    model = branched.build_branches(make_config("features", "bands", kind="ae"))
    assert not model.sampled
    params = branched.init_branches(model, jax.random.key(0))
    np.testing.assert_array_equal(compute(model, params, inputs).kl, 0)


def test_cells_outside_the_region_do_not_count(inputs):
    mask = np.zeros((8, 8), bool)
    mask[:, :4] = True
    model = branched.build_branches(make_config("features", "bands"), Region(mask))
    params = branched.init_branches(model, jax.random.key(0))
    expected = compute(model, params, inputs)
    outside = {name: array.at[:, :, 2:].add(3) for name, array in inputs.items()}
    inside = {name: array.at[:, :, :2].add(3) for name, array in inputs.items()}
    same, other = (compute(model, params, changed) for changed in (outside, inside))
    np.testing.assert_array_equal(same.negative_elbo, expected.negative_elbo)
    assert (other.negative_elbo != expected.negative_elbo).all()
