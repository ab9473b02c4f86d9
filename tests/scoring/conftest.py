"""Fixtures that make views, training normals and setups for tests of scores."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.data.examples import Examples
from vae_jax.model.objective import Terms
from vae_jax.model.vae import BoundModel, Posterior, build_model, init_params
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.setup import ScoringSetup
from vae_jax.scoring.view import TrainingNormals, View


@pytest.fixture
def make_view(config):
    """Returns a function that makes a view from its parts; every part that is left out is zero.

    The output of the decoder, `raw`, is the one that stands for `x_hat`.
    """
    without_params = BoundModel(build_model(config), {})

    def make_view(count, **parts):
        zero_images = jnp.zeros((count, 8, 8, 1))
        zeros = jnp.zeros(count)
        likelihood = parts.get("bound", without_params).model.likelihood
        defaults = {
            "x": zero_images,
            "x_hat": zero_images,
            "raw": likelihood.likeliest_raw(parts.get("x_hat", zero_images)),
            "sampled_raws": None,
            "posterior": Posterior(jnp.zeros((count, 2)), jnp.zeros((count, 2))),
            "terms": Terms(zeros, zeros, zeros),
            "x_hat_noisy": zero_images,
            "bound": without_params,
            "keys": jax.random.split(jax.random.key(0), count),
            "scoring_config": config.scoring,
            "fits": {},
            "host": {},
        }
        return View(**defaults | parts)

    return make_view


@pytest.fixture
def make_normals(config):
    """Returns a function that makes training normals; every quantity that is left out is None."""

    def make_normals(posterior=None, *, residuals=None, pooled=None):
        quantities = (posterior, residuals, pooled)
        return TrainingNormals(
            *(lambda quantity=quantity: quantity for quantity in quantities),
            lambda measure: None,
            config.scoring,
            config.seed,
        )

    return make_normals


@pytest.fixture
def make_setup(config, dataset):
    """Returns a function that makes the setup of an untrained model; roles may replace the dataset's."""

    def make_setup(**roles):
        model = build_model(config, roles.get("region"))
        params = init_params(model, jax.random.key(0))
        trained = TrainedModel(model, params, config.scoring.batch_size)
        data = dataclasses.replace(dataset, **roles)
        return ScoringSetup(trained, data, config.scoring, config.seed)

    return make_setup


@pytest.fixture(scope="session")
def make_tiles():
    """Returns a function that makes the tiles of strips of grey noise.

    A strip is 24 pixels long and has five tiles. The last strips are anomalous: they contain a bright
    square at columns 9 and 10, which is marked in the masks.
    """
    starts, length = (0, 4, 8, 12, 16), 24

    def cut(strips):
        return np.concatenate([[strip[:, at : at + 8] for at in starts] for strip in strips])

    def make_tiles(name, num_strips, seed, num_anomalous=0):
        rng = np.random.default_rng(seed)
        images = rng.integers(60, 100, (num_strips, 8, length), np.uint8)
        masks = np.zeros_like(images)
        masks[num_strips - num_anomalous :, 3:5, 9:11] = 1
        images[masks > 0] = 255
        num_tiles = num_strips * len(starts)
        files = [f"{name}/{strip}.png" for strip in range(num_strips) for _ in starts]
        tile_masks = cut(masks)
        return Examples(
            images=cut(images)[..., None],
            labels=tile_masks.any((1, 2)).astype(np.int32),
            classes=["tile"] * num_tiles,
            files=files,
            groups=files,
            stored_size=np.tile(np.array([length, 8, 99], np.int32), (num_tiles, 1)),
            masks=tile_masks,
            has_mask=np.ones(num_tiles, bool),
            offsets=np.tile(np.array(starts, np.int32), num_strips),
        )

    return make_tiles
