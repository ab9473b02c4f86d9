"""What of the Kvasir model matters: size of the code, weight of the KL, augmentation, likelihood, crop.

    python -m vae_jax.main --mode=ablate --config=configs/kvasir_ablation.py --config.data.manual_dir=DIR

The base is configs/kvasir.py but for its epochs; one factor at a time departs from it, with three
seeds each: 9 settings, 27 cells. "MSE" is `gaussian_optimal`, whose weight against the KL is its own
maximum-likelihood variance: with a fixed `model.sigma` the factor would hold two weights of the KL
against each other, not two likelihoods. `data.crop=0.38` is the crop of configs/kvasir.py:tight, which
leaves the dark box out: other images, so its difference is of the data, not of the model.

Budget: 463 training images for 40 epochs in 27 cells are 500,000 images, an hour at the 145
images a second of two idle cores. Evaluation and report took 46 to 65 seconds a cell on one shared
core, 25 minutes for all of them. 150 epochs, as configs/kvasir.py has, would be close to four hours
of training.
"""

import pathlib
import runpy


def get_config(variant: str = ""):
    base = runpy.run_path(str(pathlib.Path(__file__).with_name("kvasir.py")))
    config = base["get_config"](variant)
    config.name = f"{config.name}_ablation"
    config.train.epochs = 40
    config.ablate.factors = (
        "model.latent_dim=128,64,256",
        "objective.beta=1,0.1,10",
        "augment.strength=1,0",
        "model.likelihood=bernoulli,gaussian_optimal",
        "model.kind=vae,ae",
        "data.crop=0.7,0.38",
    )
    config.ablate.seeds = (0, 1, 2)
    return config
