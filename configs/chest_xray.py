"""Chest X-rays of children: trained on healthy ones, judged on pneumonia.

    python -m vae_jax.main --config=configs/chest_xray.py --config.data.manual_dir=DIR
    python -m vae_jax.main --config=configs/chest_xray.py:512 --config.data.manual_dir=DIR
    python -m vae_jax.main --config=configs/chest_xray.py:generation --config.data.manual_dir=DIR
    python -m vae_jax.main --mode=explore --workdir=runs/chest_xray_generation

Data: Kermany et al. 2018 (Mendeley rscbjbr9sj, CC BY 4.0), by hand: the folders train and test, in
each NORMAL and PNEUMONIA. Tested on the official test folder (234 and 390 images); of the 1,341
healthy training images, 1,073 are trained on, 107 are for validation, 161 for calibration, no patient
on two sides (seed 0).

The model: 400 latent dimensions, 50 epochs, binary cross-entropy and KL. At 128 pixels one core
trains on 41 images a second and needs 1.7 GiB, so that two are meant to be done within a quarter of an
hour; `:256` and `:512` have 4 and 16 times the pixels. The code is made of 8x8 places at each size.

`:generation` takes both classes as normal, so that there is nothing to detect, but samples of both
and codes to tell them apart by. It has four times the images, and 12 epochs are as many steps.

The official test folder is not like the training folder, so a figure on one says little about the
other. Seed 0, `:generation`, an SVC on 100 principal components: on held-out patients of the training
folder, which neither it nor the autoencoder has learnt from, 97.0 % right on images, 97.4 % on codes,
96.6 % on decoded images; on the official test folder 77.4 %, 75.0 % and 76.4 % (the source gives 92 %,
88 % and 92 %, and does not say of which).

Detection, seed 0, official test folder: AUROC of fusion 0.592 [0.545, 0.636], typicality 0.680, bce
0.634, mse 0.562; beside them band energy 0.848 [0.816, 0.880] and the size of the stored file 0.805.
A pixel VAE does not see pneumonia, and what a rule without a network sees may be the camera. Scores flag
4 to 22 % of the healthy test images where 5 % are promised. One core: 30 minutes while shared, 1.8 GiB.
"""

from vae_jax.config import default
from vae_jax.errors import UserError

# Size in pixels -> channels after each convolution, down to 8x8 places.
_WIDTHS = {
    "128": (32, 64, 128, 256),
    "256": (16, 32, 64, 128, 256),
    "512": (16, 16, 32, 64, 128, 256),
}


def get_config(variant: str = ""):
    if variant not in ("", "generation", *_WIDTHS):
        raise UserError(
            f"configs/chest_xray.py has no variant {variant}; valid: {', '.join(_WIDTHS)}, generation"
        )
    config = default()
    config.name = f"chest_xray_{variant}" if variant else "chest_xray"
    size = variant if variant in _WIDTHS else "128"

    config.data.dataset = "chest_xray"
    config.data.image_size = int(size)
    config.data.normal_classes = ("NORMAL",)
    config.data.anomaly_classes = ("PNEUMONIA",)
    config.data.test_fraction = 0.0  # the data has its own test split

    config.model.widths = _WIDTHS[size]
    config.model.latent_dim = 400
    config.model.likelihood = "bernoulli"

    # At full weight from the start, the KL keeps the code empty of detail for many epochs.
    config.objective.beta_schedule = "linear"
    config.objective.beta_warmup = 10.0

    config.train.epochs = 50
    config.train.batch_size = 16
    config.train.learning_rate_schedule = "cosine"
    config.train.epochs_per_checkpoint = 5

    config.scoring.pca_components = 64
    config.scoring.batch_size = 64
    if variant == "generation":
        config.data.normal_classes = ("NORMAL", "PNEUMONIA")
        config.data.anomaly_classes = ()
        config.objective.beta_warmup = 3.0
        config.train.epochs = 12
        config.train.epochs_per_checkpoint = 1
    return config
