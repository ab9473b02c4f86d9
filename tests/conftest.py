"""Strictness for every test, set before JAX starts: eight virtual devices, no silent promotion."""

import os
import pathlib

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jaxtyping
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_legacy_prng_key", "error")
jax.config.update("jax_debug_key_reuse", True)

# Shapes written in signatures are checked in every test, never in a user's run.
jaxtyping.install_import_hook("vae_jax", "beartype.beartype")


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """Folder with real images in their official layouts; VAE_JAX_TEST_DATA names another place."""
    default = pathlib.Path(__file__).parents[2] / "shared" / "data"
    folder = pathlib.Path(os.environ.get("VAE_JAX_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder}; VAE_JAX_TEST_DATA names their folder")
    return folder
