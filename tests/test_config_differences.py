from vae_jax.config import default
from vae_jax.config_differences import run_fields


def test_only_the_fields_of_a_run_distinguish_it():
    fields = run_fields(default())
    assert {"seed", "model.latent_dim", "scoring.names", "report.cases"} <= fields.keys()
    assert not {"data.dir", "data.cache", "explore.samples", "ablate.factors"} & fields.keys()
