"""AITEX fabric: trained on tiles of rolls without defects, judged on defects a few pixels wide.

    python -m vae_jax.main --config=configs/aitex.py --config.data.manual_dir=DIR
    python -m vae_jax.main --config=configs/aitex.py:pixel --config.data.manual_dir=DIR
    python -m vae_jax.main --config=configs/aitex.py:frequency --config.data.manual_dir=DIR

Data: AITEX (Silvestre-Blanes et al. 2019), by hand: NODefect_images, Defect_images and Mask_images.
Strips of 4096x256 pixels are cut into tiles of 256x256, every 128 pixels, in training as in testing,
so that each defect stands whole in some tile. Tiles at the saturated end of the cloth are left out,
and each fabric is brought to one grey level and contrast, by its training tiles.

Of fabrics 02 and 04 (40 rolls, 48 strips with defects) that makes 658 tiles to train on, 120 for
validation, 178 for calibration, 244 of rolls to test on, 104 that hold a piece of a defect and 1,342
beside the defects, on the same strips (seed 0).

The loss is 50 |x - x_hat|^2 + 50 ||F x| - |F x_hat||^2 + KL, with F the orthonormal Fourier
transform: by Parseval's theorem both errors are of one scale, so they weigh the same. `:pixel` takes
the first alone, `:frequency` the second, `:both` is the default; `fusion` is the mean of the scores
`mse` and `fft`.

Three warnings about this data. Strips with defects were taken in another light than the rolls: a score
that parts their tiles from tiles of rolls may have learnt the light. Hold against it the same score
on the clean tiles of the same strips. A defect is tiny, so that errors are averaged over the worst
0.2 % of a tile's pixels, 131 of them; the median strip's masks have 95, so this choice knows the size
of what is looked for. And at the left of many strips stands the selvedge, on some with the dark table
beyond it: no mask marks them, but they can be what is least like the rolls, and then a strip's highest
value lies there.

Seed 0, 25 epochs: AUROC of fusion 0.682 [0.547, 0.805] for whole strips, 0.636 for tiles of defects
against tiles of rolls, 0.519 [0.467, 0.573] against clean tiles of the same strips: what the scores of
tiles find is the light. The map of mse does better, 0.643 on the same strips (PCA's 0.663), pixel AUROC
0.842 [0.732, 0.955], AUPRO 0.781 [0.676, 0.870] (PCA 0.839, 0.779); the model is no better than PCA.

Cost: one core trains on 29 images a second and needs 2.1 GiB; 40 epochs are meant to fill a quarter
of an hour on two.
"""

from vae_jax.config import default
from vae_jax.errors import UserError

# Weights of the error in pixels and of that in magnitude spectra.
_VARIANTS = {"": (1.0, 50.0), "both": (1.0, 50.0), "pixel": (1.0, 0.0), "frequency": (0.0, 50.0)}


def get_config(variant: str = ""):
    if variant not in _VARIANTS:
        raise UserError(f"configs/aitex.py has no variant {variant}; valid: both, pixel, frequency")
    config = default()
    config.name = f"aitex_{variant}" if variant else "aitex"

    config.data.dataset = "aitex"
    config.data.image_size = 256
    config.data.tile_stride = 128
    config.data.max_saturated = 0.05
    config.data.normalise = "material"
    config.data.normal_classes = ("roll", "clean")
    config.data.anomaly_classes = ("defect",)
    config.data.val_fraction = 0.1
    config.data.calibration_fraction = 0.15
    config.data.test_fraction = 0.2

    config.model.widths = (16, 32, 64, 128)
    config.model.latent_dim = 128
    config.model.likelihood = "gaussian"
    config.model.sigma = 0.1  # 1 / (2 sigma^2) = 50, the weight of the spectra

    config.objective.pixel_weight, config.objective.frequency_weight = _VARIANTS[variant]
    config.objective.beta_schedule = "linear"
    config.objective.beta_warmup = 5.0

    config.train.epochs = 40
    config.train.batch_size = 16
    config.train.learning_rate_schedule = "cosine"
    config.train.epochs_per_checkpoint = 5

    config.scoring.names = ("mse", "l1", "ssim", "fft", "elbo", "kl", "knn", "fusion")
    config.scoring.fusion = ("mse", "fft")
    config.scoring.aggregate = "top_k"
    config.scoring.top_k = 0.002
    config.scoring.map_smoothing = 2.0
    config.scoring.batch_size = 32
    return config
