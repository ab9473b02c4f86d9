"""MNIST, latent 16: the digit zero as the anomaly, or all of Fashion-MNIST.

    python -m vae_jax.main --config=configs/mnist.py
    python -m vae_jax.main --config=configs/mnist.py:fashion_mnist

Data: MNIST (LeCun, Cortes, Burges; CC BY-SA 3.0), downloaded, or the four official idx files under
`data.manual_dir`; the other dataset's under `data.anomaly_manual_dir`. Tested on the official test split.

MNIST_NUMBERS
"""

from vae_jax.config import default
from vae_jax.errors import UserError


def get_config(variant: str = ""):
    config = default()
    config.name = "mnist"
    config.data.dataset = "mnist"
    config.data.image_size = 28
    config.data.val_fraction = 0.05
    config.data.calibration_fraction = 0.05
    config.data.test_fraction = 0.0  # MNIST has its own test split
    config.model.widths = (32, 64)
    config.model.hidden_dim = 256
    config.model.latent_dim = 16
    config.model.likelihood = "bernoulli"
    config.train.epochs = 20
    config.train.batch_size = 128
    config.train.learning_rate_schedule = "cosine"
    config.train.epochs_per_checkpoint = 1
    config.scoring.pca_components = 64
    if variant == "fashion_mnist":
        config.name = "mnist_fashion_mnist"
        config.data.anomaly_dataset = "fashion_mnist"
        config.data.anomaly_classes = ()
    elif variant:
        raise UserError(f"configs/mnist.py has no variant {variant}; valid: fashion_mnist")
    return config
