"""AITEX fabric: what the error in pixels and that in magnitude spectra each add.

    python -m vae_jax.main --mode=ablate --config=configs/aitex_ablation.py --config.data.manual_dir=DIR

The base is configs/aitex.py, with both errors, but for its epochs. Each factor takes one of them away:
`objective.pixel_weight=0` leaves the spectra alone, `objective.frequency_weight=0` the pixels. Three
seeds each: 3 settings, 9 cells. The comparison to read is "less base", on the same tiles.

One seed and 8 epochs, AUROC of fusion (strips; tiles against tiles of the same strips) and of the map of
mse (pixels; AUPRO):

    both        0.594 [0.411, 0.760]   0.533 [0.468, 0.589]   0.808   0.742
    pixel       0.732 [0.596, 0.854]   0.551 [0.497, 0.605]   0.786   0.766
    frequency   0.352 [0.146, 0.578]   0.527 [0.469, 0.582]   0.785   0.659

With 8 normal strips, one seed and so few epochs the intervals overlap: it shows no gain from the spectral
term.

Budget: 658 tiles for 20 epochs in 9 cells are 118,000, an hour and ten minutes at the 29 tiles a
second that one core trains on; each cell's evaluation comes on top.
"""

import pathlib
import runpy

from vae_jax.errors import UserError


def get_config(variant: str = ""):
    if variant:
        raise UserError(f"configs/aitex_ablation.py has no variant {variant}; take it without one")
    config = runpy.run_path(str(pathlib.Path(__file__).with_name("aitex.py")))["get_config"]()
    config.name = "aitex_ablation"
    config.train.epochs = 20
    config.ablate.factors = ("objective.pixel_weight=1,0", "objective.frequency_weight=50,0")
    config.ablate.seeds = (0, 1, 2)
    return config
