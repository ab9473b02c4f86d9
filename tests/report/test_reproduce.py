import shlex

import pytest

from vae_jax import command_line
from vae_jax.config import default
from vae_jax.report import reproduce
from vae_jax.workdir import flatten_config


# ml_collections loads config files through a deprecated function of importlib.
@pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")
def test_the_command_restores_the_config():
    config = default()
    config.name = "my run; rm -rf"
    config.data.dataset = "kvasir"
    config.data.image_size = 96
    config.data.manual_dir = "/data/it's here"
    config.data.normal_classes = ('a "b"', "c d")
    config.data.anomaly_classes = ("007",)
    config.data.balanced_test = True
    config.model.widths = (8, 16, 32)
    config.train.learning_rate = 3e-4
    words = shlex.split(" ".join(reproduce.make_command(config)))
    parsed = command_line.parse_command(words[2:])
    assert parsed is not None
    assert flatten_config(parsed.config) == flatten_config(config)


def test_the_default_needs_no_override():
    assert reproduce.make_command(default()) == ["python -m vae_jax.main"]
