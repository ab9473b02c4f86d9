"""AITEX fabric: how much the error in pixels and the error in magnitude spectra each contribute.

    python -m vae_jax.main --mode=ablate --config=configs/aitex_ablation.py --config.data.manual_dir=DIR

The base is configs/aitex.py with both errors and with fewer epochs. Each factor removes one error:
`objective.pixel_weight=0` keeps only the spectra, `objective.frequency_weight=0` keeps only the pixels.
3 settings with three seeds each make 9 cells. Read the differences from the base: they compare cells on
the same tiles.

One seed and 8 epochs. The columns are AUROC of fusion on strips, AUROC of fusion on tiles against clean
tiles of the same strips, pixel AUROC of the map of mse, and AUPRO of that map:

    both        0.594 [0.411, 0.760]   0.533 [0.468, 0.589]   0.808   0.742
    pixel       0.732 [0.596, 0.854]   0.551 [0.497, 0.605]   0.786   0.766
    frequency   0.352 [0.146, 0.578]   0.527 [0.469, 0.582]   0.785   0.659

With 8 normal strips, one seed and so few epochs the intervals overlap: the run shows no gain from the
spectral term.

Cost: 658 tiles for 20 epochs in 9 cells are 118,000 tiles. One core trains on 29 tiles per second, so
training takes an hour and ten minutes; the evaluation of each cell is extra.
"""

import pathlib
import runpy

from vae_jax.errors import UserError


def get_config(variant: str = ""):
    if variant:
        raise UserError(
            f"configs/aitex_ablation.py has no variant {variant}; leave the variant out"
        )
    config = runpy.run_path(str(pathlib.Path(__file__).with_name("aitex.py")))["get_config"]()
    config.name = "aitex_ablation"
    config.train.epochs = 20
    config.ablate.factors = ("objective.pixel_weight=1,0", "objective.frequency_weight=50,0")
    config.ablate.seeds = (0, 1, 2)
    return config
