"""Polyps in endoscopy: trained on normal mucosa, judged on polyps.

    python -m vae_jax.main --config=configs/kvasir.py --config.data.manual_dir=DIR
    python -m vae_jax.main --config=configs/kvasir.py:tight --config.data.manual_dir=DIR

`:ae` is a plain autoencoder, `:beta` a beta-VAE (4), `:tight` another crop; configs/kvasir_ablation.py
varies code, beta, augmentation and likelihood.

Data: Kvasir v2 (Pogorelov et al. 2017, downloaded) or HyperKvasir (Borgli et al. 2020, CC BY 4.0, by
hand), a folder a class. Normal are normal-z-line, normal-pylorus, normal-cecum and bbps-2-3, as far
as they are there.

On the cecum, bbps-2-3 and polyps of HyperKvasir, shorter side 256 (463 training normals, 46 normals
and 764 polyps to judge, seed 0): AUROC of mse 0.849 [0.782, 0.909], fusion 0.858, mahalanobis 0.879;
beside them PCA 0.856, nearest neighbour in pixels 0.908, width of the stored file 0.969. Pixel AUROC
on the polyp masks 0.587 (PCA 0.578), AUPRO 0.225 (0.222). Normals are copied with MSE 0.0038, PSNR
24.6 dB, SSIM 0.66, polyps with 0.0067, 22.1 dB, 0.60. Two cores: 7 minutes of training at 163 images a
second, 8 in all; 1.2 GiB. Another order of sums (one core, other versions) moves AUROCs by up to 0.01.

What its source reports and this data does not bear out: AUROC 0.903 for the cross-entropy and 0.895
for the probabilistic score (here bce 0.705 [0.630, 0.782], elbo 0.711 [0.635, 0.787]: bright and dark
greys cost more entropy than an error does), PSNR 28.5 dB and SSIM 0.89 for normals.

Five other seeds split the same images so that PCA's AUROC runs from 0.82 to 0.90: with 46 normals the
figures of one split say little beyond their interval.

A warning about this data. In the lower left corner of 98 % of the normals and 55 % of the polyps
stands a dark box, and the width of the stored file alone separates them. At the experiment's crop of
0.7 the box is still in view, so part of what any score finds there is the box. `:tight` keeps the
central 38 %, which leaves the box out (and the polyp's surroundings with it): what is found there is
mucosa. With it the AUROC of PCA falls from 0.86 to 0.74 (mean of six splits), that of mse from 0.83 to
0.61 (three seeds, configs/kvasir_ablation.py).
"""

from vae_jax.config import default
from vae_jax.errors import UserError


def get_config(variant: str = ""):
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
    config.model.likelihood = "bernoulli"

    # At full weight from the start, the KL keeps the code empty of detail for 60 epochs.
    config.objective.beta_schedule = "linear"
    config.objective.beta_warmup = 20.0

    config.train.epochs = 150
    config.train.batch_size = 16
    config.train.learning_rate_schedule = "cosine"
    config.train.epochs_per_checkpoint = 5
    if variant == "tight":
        config.data.crop = 0.38
    elif variant == "ae":
        config.model.kind = "ae"
    elif variant == "beta":
        config.objective.beta = 4.0
    elif variant:
        raise UserError(f"configs/kvasir.py has no variant {variant}; valid: ae, beta, tight")
    if variant:
        config.name = f"kvasir_{variant}"
    return config
