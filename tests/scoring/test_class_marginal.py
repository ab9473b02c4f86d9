import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from vae_jax.config import default
from vae_jax.model.vae import BoundModel, build_model, init_params
from vae_jax.scoring import fits
from vae_jax.scoring.class_marginal import bind_most_likely_class, marginalise_classes
from vae_jax.scoring.gradient import terms_at_mean
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.scorer import make_scorer

CLASSES, COUNT = 3, 5
NAMES = (
    "mse", "elbo", "nll", "bits_per_dim", "input_complexity", "corrected_nll", "typicality", "knn",
    "likelihood_regret",
)  # fmt: skip


@pytest.fixture(scope="module")
def subject():
    config = default()
    config.model.widths, config.model.latent_dim, config.model.num_classes = (4, 8), 4, CLASSES
    config.scoring.importance_samples = config.scoring.regret_steps = 2
    model = build_model(config)
    params = init_params(model, jax.random.key(0))
    # Labels weigh little in a fresh model; here they are to matter.
    params["decoder"]["unflatten"]["kernel"] = params["decoder"]["unflatten"]["kernel"] * 5
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 1), np.uint8)
    return config, model, params, images


def columns(subject, class_indices=None, batch_size=COUNT):
    config, model, params, images = subject
    scoring_config = config.scoring.copy_and_resolve_references()
    scoring_config.batch_size = batch_size
    fitted = fits.fit_scores(NAMES, model, params, images, scoring_config, 0)
    names = (*NAMES, "kl")
    scorer = make_scorer(model, names, scoring_config, 0, jax.devices()[:1], fitted)
    return scorer(params, images, class_indices)


def normal_elbo(subject):
    """What typicality is measured from: the mean over normals, here the images themselves."""
    return columns(subject)["elbo"].mean()


def test_marginal_scores_follow_from_those_given_each_class(subject):
    given = [columns(subject, np.full(COUNT, k, np.int32)) for k in range(CLASSES)]
    marginal = columns(subject)
    under = {name: np.stack([one[name] for one in given]) for name in given[0]}
    for name in ("elbo", "nll", "corrected_nll"):
        mixture = np.log(CLASSES) - special.logsumexp(-under[name], axis=0)
        np.testing.assert_allclose(marginal[name], mixture, rtol=1e-4, atol=1e-3)
    # What is said of these of one model holds with the class summed out, too.
    bits = marginal["nll"] / (64 * np.log(2)) + 8
    np.testing.assert_allclose(marginal["bits_per_dim"], bits, rtol=1e-5)
    of_png = under["bits_per_dim"][0] - under["input_complexity"][0]
    np.testing.assert_allclose(marginal["input_complexity"], bits - of_png, atol=1e-4)
    np.testing.assert_allclose(
        marginal["typicality"],
        np.abs(marginal["elbo"] - normal_elbo(subject)),
        rtol=1e-3,
        atol=0.01,
    )
    weights = special.softmax(-under["elbo"], axis=0)
    for name in ("mse", "kl", "likelihood_regret"):
        np.testing.assert_allclose(marginal[name], (weights * under[name]).sum(0), rtol=1e-3)


def test_classes_matter(subject):
    first, second = (columns(subject, np.full(COUNT, k, np.int32)) for k in range(2))
    assert np.all(np.abs(first["elbo"] - second["elbo"]) > 1e-3)


def test_each_image_may_be_given_its_own_class_and_batches_do_not_matter(subject):
    class_indices = np.array([0, 1, 2, 1, 0], np.int32)
    mixed = columns(subject, class_indices, batch_size=2)
    for k in range(CLASSES):
        alone = columns(subject, np.full(COUNT, k, np.int32))
        for name, values in mixed.items():
            chosen = class_indices == k
            np.testing.assert_allclose(values[chosen], alone[name][chosen], rtol=1e-3, atol=1e-3)


def test_what_is_known_of_normals_is_known_under_the_classes_that_are_given(subject):
    config, model, params, images = subject
    class_indices = np.array([2, 1, 0, 1, 2], np.int32)
    fitted = fits.fit_scores(("knn",), model, params, images, config.scoring, 0, class_indices)
    x = jnp.asarray(images, jnp.float32) / 255
    mu = BoundModel(model, params, jnp.asarray(class_indices)).encode(x).mu
    # Each code is a training code, so with k = 1 its distance to the nearest is 0.
    scoring_config = config.scoring.copy_and_resolve_references()
    scoring_config.knn_k = 1
    scorer = make_scorer(model, ("knn",), scoring_config, 0, jax.devices()[:1], fitted)
    given, other = (
        scorer(params, images, c)["knn"] for c in (class_indices, (class_indices + 1) % 3)
    )
    np.testing.assert_allclose(given, 0, atol=1e-3 * float(jnp.std(mu)))
    assert np.all(other > 1e-3 * float(jnp.std(mu)))


def test_marginal_of_equal_classes_is_the_class():
    values = jnp.array([[1.0, 2.0]] * 4)
    found = marginalise_classes({"elbo": values, "mse": values}, jnp.zeros((4, 2)), 64, {})
    np.testing.assert_allclose(found["elbo"], [1, 2], rtol=1e-6)
    np.testing.assert_allclose(found["mse"], [1, 2], rtol=1e-6)


def test_pictures_are_drawn_under_the_most_likely_class(subject):
    _, model, params, images = subject
    x = jnp.asarray(images, jnp.float32) / 255
    losses = np.stack(
        [
            terms_at_mean(BoundModel(model, params, jnp.int32(k)), x).negative_elbo
            for k in range(CLASSES)
        ]
    )
    bound = bind_most_likely_class(model, params, x)
    np.testing.assert_array_equal(bound.class_index, losses.argmin(axis=0))
    found = TrainedModel(model, params, 2).reconstruct(images)
    np.testing.assert_allclose(found.x_hat, bound.reconstruct(x), atol=1e-5)


def test_samples_take_the_classes_in_turn(subject):
    _, model, params, _ = subject
    params = jax.tree.map(jnp.copy, params)
    kernel = params["decoder"]["unflatten"]["kernel"]
    # Blind to z, so that only the label is left.
    params["decoder"]["unflatten"]["kernel"] = kernel.at[: model.latent_dim].set(0)
    samples = TrainedModel(model, params, 7).sample_prior(7, seed=0)
    np.testing.assert_allclose(samples[0], samples[3], atol=1e-6)
    assert np.abs(samples[0] - samples[1]).max() > 1e-3
