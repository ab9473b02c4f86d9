"""Polyps in endoscopy: trained on normal mucosa, judged on polyps."""

from vae_jax.config import default


def get_config():
    config = default()
    config.name = "kvasir"

    config.data.dataset = "kvasir"
    config.data.image_size = 96
    config.data.channels = 3
    config.data.crop = 0.7
    config.data.normal_classes = ("normal-z-line", "normal-pylorus", "normal-cecum", "bbps-2-3")
    config.data.anomaly_classes = ("polyps",)
    config.data.val_fraction = 0.05
    config.data.calibration_fraction = 0.07
    config.data.test_fraction = 0.08

    config.augment.horizontal_flip = 0.5
    config.augment.vertical_flip = 0.5
    config.augment.rotation = 10.0
    config.augment.brightness = 0.1
    config.augment.contrast = 0.1
    config.augment.saturation = 0.1
    config.augment.hue = 0.02

    config.model.widths = (32, 64, 128, 256)
    config.model.latent_dim = 128

    config.train.epochs = 100
    config.train.batch_size = 32
    config.train.epochs_per_checkpoint = 5
    return config
