import pathlib
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import validate
from vae_jax.config import default
from vae_jax.data.region import Region, load_region
from vae_jax.errors import UserError
from vae_jax.model.branched import build_branches
from vae_jax.model.distributions import LIKELIHOODS
from vae_jax.model.objective import compute_terms
from vae_jax.model.vae import (
    ACTIVATIONS,
    VAE,
    BoundModel,
    Posterior,
    build_model,
    count_params,
    init_params,
)
from vae_jax.observation.data_package import is_installed

CONFIGS = {path.stem: path for path in (pathlib.Path(__file__).parents[2] / "configs").glob("*.py")}

NUM_PARAMS = {
    "digits": 79_265,
    "aitex": 12_960_865,
    "aitex:both": 12_960_865,
    "aitex:pixel": 12_960_865,
    "aitex:frequency": 12_960_865,
    # Linear: 2 + 2 Z numbers for each value of an observation, Z = 16, and Z + 1 numbers more.
    "aitex:bands": 208_913,
    "aitex:features": 3_690_530,
    "aitex_ablation": 12_960_865,
    "chest_xray": 21_055_969,
    "chest_xray:128": 21_055_969,
    "chest_xray:256": 21_071_873,
    "chest_xray:512": 21_080_097,
    "chest_xray:features": 902_700,
    "chest_xray:generation": 21_055_969,
    "fashion_mnist": 1_688_289,
    "fashion_mnist:mnist": 1_688_289,
    "fashion_mnist:mnist_features": 509_740,
    "folder": 902_700,
    "kvasir": 4_928_451,
    "kvasir:ae": 3_748_675,
    "kvasir:beta": 4_928_451,
    "kvasir:features": 902_700,
    "kvasir:tight": 4_928_451,
    "kvasir:tight_features": 902_700,
    "kvasir_ablation": 4_928_451,
    "mnist": 1_688_289,
    "mnist:binarised": 1_700_609,
    "mnist:fashion_mnist": 1_688_289,
    "mnist_conditional": 1_687_249,
    "mnist_latent": 1_677_509,
    "mnist_latent:2": 1_677_509,
    "mnist_latent:4": 1_679_049,
    "mnist_latent:16": 1_688_289,
}


def load_config(stem, variant=""):
    return runpy.run_path(str(CONFIGS[stem]))["get_config"](variant)


def compute_param_shapes(config):
    """The shapes of the parameters of each branch; nothing is compiled or drawn."""
    branches = build_branches(config).branches.items()
    return {name: init_params.eval_shape(vae, jax.random.key(0)) for name, vae in branches}


@pytest.mark.parametrize("name", NUM_PARAMS)
def test_a_shipped_model_keeps_its_number_of_parameters(name):
    stem, _, variant = name.partition(":")
    if stem == "folder" and not is_installed():
        pytest.skip("without the extra `features` a folder is explained by its bands alone")
    assert count_params(compute_param_shapes(load_config(stem, variant))) == NUM_PARAMS[name]


@pytest.mark.parametrize("stem", CONFIGS)
def test_no_shipped_config_and_no_variant_lacks_a_number_of_parameters(stem):
    """A config names its variants where it refuses an unknown one."""
    with pytest.raises(UserError, match="has no variant nonsense") as refusal:
        load_config(stem, "nonsense")
    _, _, variants = str(refusal.value).partition("valid: ")
    names = {stem, *(f"{stem}:{variant}" for variant in variants.split(", ") if variant)}
    assert {name for name in NUM_PARAMS if name.partition(":")[0] == stem} == names


def test_the_table_of_parameters_has_no_config_that_is_not_shipped():
    assert {name.partition(":")[0] for name in NUM_PARAMS} == set(CONFIGS)


def test_autoencoder_lacks_only_the_logvar_head():
    vae, autoencoder = (compute_param_shapes(load_config("kvasir", kind)) for kind in ("", "ae"))
    logvar = vae["pixels"]["encoder"].pop("logvar")
    assert {name: leaf.shape for name, leaf in logvar.items()} == {
        "kernel": (9216, 128),
        "bias": (128,),
    }
    assert vae == autoencoder


@pytest.mark.parametrize(
    ("size", "channels", "widths", "hidden"),
    [(8, 1, (4, 8), 0), (28, 1, (4, 8), 16), (96, 3, (2, 4, 4, 4), 0), (40, 3, (4, 4, 4), 0)],
)
def test_outputs_have_the_shapes_that_the_config_describes(size, channels, widths, hidden):
    config = default()
    config.data.image_size, config.data.channels = size, channels
    config.model.widths, config.model.hidden_dim, config.model.latent_dim = widths, hidden, 5
    model = build_model(config)
    params = init_params.eval_shape(model, jax.random.key(0))
    x, eps = jnp.zeros((3, size, size, channels)), jnp.zeros((3, 5))
    posterior, raw = jax.eval_shape(model.apply, {"params": params}, x, eps)
    assert posterior.mu.shape == posterior.logvar.shape == (3, 5)
    assert raw.shape == x.shape
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))


def test_posterior_sample_is_mu_plus_sigma_times_noise():
    mu, sigma, eps = (np.random.default_rng(i).uniform(size=(2, 3)) for i in range(3))
    posterior = Posterior(jnp.float32(mu), jnp.float32(2 * np.log(sigma)))
    np.testing.assert_allclose(posterior.sample(jnp.float32(eps)), mu + sigma * eps, rtol=1e-5)


@pytest.fixture(scope="module")
def digits_model():
    model = build_model(default())
    return model, init_params(model, jax.random.key(0))


def draw_images(count=2):
    return jnp.asarray(np.random.default_rng(0).uniform(0.1, 0.9, (count, 8, 8, 1)), jnp.float32)


def test_bfloat16_keeps_float32_parameters_and_outputs_close(digits_model):
    model, params = digits_model
    x, outputs = draw_images(4), []
    for precision in (jnp.float32, jnp.bfloat16):
        apply = jax.jit(model.clone(dtype=precision).apply)
        posterior, raw = apply({"params": params}, x, jnp.zeros((4, 16)))
        assert {leaf.dtype for leaf in jax.tree.leaves((posterior, raw))} == {jnp.dtype("float32")}
        outputs.append(np.asarray(raw))
    assert not np.array_equal(*outputs)
    np.testing.assert_allclose(outputs[0], outputs[1], atol=0.05)


def test_bfloat16_model_has_float32_parameters():
    config = default()
    config.train.precision = "bfloat16"
    shapes = compute_param_shapes(config)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}


def test_an_autoencoder_ignores_noise(digits_model):
    model, params = digits_model
    apply = jax.jit(model.clone(sampled=False).apply)
    raws = [apply({"params": params}, draw_images(), jnp.full((2, 16), n))[1] for n in (0.0, 1.0)]
    np.testing.assert_array_equal(*raws)


def test_reconstruction_is_the_decoded_posterior_mean(digits_model):
    model, params = digits_model
    bound, x = BoundModel(model, params), draw_images()
    _, raw = model.apply({"params": params}, x, jnp.zeros((2, 16)))
    np.testing.assert_allclose(bound.reconstruct(x), jax.nn.sigmoid(raw), atol=1e-6)


def test_a_conditional_model_takes_one_class_for_all_images_or_one_for_each():
    config = default()
    config.model.num_classes = 3
    model = build_model(config)
    params, x = init_params(model, jax.random.key(0)), draw_images()
    for_all, for_each, mixed = (
        BoundModel(model, params, jnp.asarray(classes, jnp.int32)).reconstruct(x)
        for classes in (2, [2, 2], [1, 2])
    )
    np.testing.assert_array_equal(for_all, for_each)
    np.testing.assert_allclose(mixed[1], for_all[1], atol=1e-6)
    assert not np.allclose(mixed[0], for_all[0], atol=1e-3)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_loss_ignores_pixels_outside_the_region_of_interest(name):
    mask = np.zeros((8, 8), bool)
    mask[2:7, 1:5] = True
    num_parameters = LIKELIHOODS[name].parameters_per_channel
    model = VAE(8, 1, (4, 8), 4, 0, 2, "relu", name, 0.1, region=Region(mask))
    outside = jnp.asarray(~mask, jnp.float32)[None, :, :, None]
    rng = np.random.default_rng(0)
    raw = jnp.asarray(rng.standard_normal((2, 8, 8, num_parameters)), jnp.float32)
    x, posterior = draw_images(), Posterior(jnp.zeros((2, 2)), jnp.zeros((2, 2)))
    terms = compute_terms(model, x, posterior, raw)
    changed = compute_terms(model, x * (1 - outside), posterior, raw + 5 * outside)
    np.testing.assert_allclose(terms.reconstruction, changed.reconstruction, rtol=1e-5)
    assert model.log_prob(x, raw).shape == (2, 1, 20, 1)


def test_the_expected_image_is_black_outside_the_region_of_interest():
    config = default()
    config.data.roi = "ellipse"
    model = build_model(config, load_region(config.data))
    image = np.asarray(model.mean(jnp.zeros((1, 8, 8, 1))))
    assert image[0, 0, 0, 0] == 0
    assert image[0, 4, 4, 0] == 0.5


def test_config_validation_knows_the_names_of_the_model():
    of_pixels = {name for name, likelihood in LIKELIHOODS.items() if not likelihood.is_unbounded}
    assert set(validate.LIKELIHOODS) == of_pixels
    assert set(validate.ACTIVATIONS) == set(ACTIVATIONS)
