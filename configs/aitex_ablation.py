"""AITEX fabric: what the error in pixels and that in magnitude spectra each add.

    python -m vae_jax.main --mode=ablate --config=configs/aitex_ablation.py --config.data.manual_dir=DIR

The base is configs/aitex.py, with both errors, but for its epochs. Each factor takes one of them away:
`objective.pixel_weight=0` leaves the spectra alone, `objective.frequency_weight=0` the pixels. Three
seeds each: 3 settings, 9 cells. The comparison to read is "less base", on the same tiles.

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
