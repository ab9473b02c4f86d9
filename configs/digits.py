"""Handwritten digits that scikit-learn carries, zero held out as the anomaly: the embedded default.

python -m vae_jax.main
"""

from vae_jax.config import default


def get_config():
    return default()
