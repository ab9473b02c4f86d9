"""The shapes of observations, which follow from the config alone."""

import ml_collections

from vae_jax.observation import bands


def list_shapes(model_config: ml_collections.ConfigDict) -> dict[str, tuple[int, int]]:
    """Returns name of an observation -> height and width of its grid, cells, and its number of channels.

    Args:
        model_config: the `model` group of the config.
    """
    return {
        "features": (model_config.grid, model_config.feature_channels),
        "bands": (-(-model_config.band_size // bands.CELL), bands.NUM_CHANNELS),
    }
