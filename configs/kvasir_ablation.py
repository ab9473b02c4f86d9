"""What of the Kvasir model matters: size of the code, weight of the KL, augmentation, likelihood.

    python -m vae_jax.main --mode=ablate --config=configs/kvasir_ablation.py --config.data.manual_dir=DIR

The base is configs/kvasir.py but for its epochs; one factor at a time departs from it, with three
seeds each: 7 settings, 21 cells. "MSE" is `gaussian_optimal`, whose weight against the KL is its own
maximum-likelihood variance: with a fixed `model.sigma` the factor would hold two weights of the KL
against each other, not two likelihoods.

Budget: 463 training images for 40 epochs in 21 cells are 389,000 images, 45 minutes at the 145
images a second of two idle cores. Evaluation and report took 46 to 65 seconds a cell on one shared
core, 20 minutes for all of them. 150 epochs, as configs/kvasir.py has, would be close to three hours
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
    )
    config.ablate.seeds = (0, 1, 2)
    return config
