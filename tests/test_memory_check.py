import contextlib
import types

import pytest

from tests.shipped_configs import load_shipped
from vae_jax import memory_check
from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.grid import make_cells, read_factors
from vae_jax.memory_check import check_device_memory, check_memory
from vae_jax.validate import resolve_names, validate_config
from vae_jax.workdir import flatten_config, override_fields

GIB = 2**30
# Fields whose value may be a billion: another number, such as that of the images, limits what they do.
HARMLESS = {
    "seed",
    "data.tile_size", "data.tile_stride",
    "train.epochs", "train.min_steps",  # the number of steps is checked when that of the images is known
    "train.steps_per_call", "train.plateau_patience", "train.early_stopping_patience",
    "train.epochs_per_validation", "train.epochs_per_checkpoint", "train.epochs_per_frame",
    "scoring.batch_size", "scoring.knn_k", "scoring.gmm_components", "scoring.pca_components",
    "explore.generated", "explore.map_images", "explore.mixture_components",
}  # fmt: skip
# Fields of a branch, which the embedded default does not use.
FEATURES = ("feature_size", "grid", "feature_channels", "feature_latent_dim", "augmented_copies")
BANDS = ("band_size", "band_latent_dim")
INTEGERS = [
    field
    for field, value in flatten_config(default()).items()
    if type(value) is int and field.partition(".")[2] not in (*FEATURES, *BANDS)
]


def check(fields, mode="train", available=32 * GIB):
    """Checks a config as the command line does, with so many bytes of memory."""
    config = default()
    override_fields(config, fields)
    if config.model.observations != ("pixels",):
        names = [
            f"{name}_{score}" for name in config.model.observations for score in ("place_nll",)
        ]
        override_fields(config, {"scoring.names": names, "scoring.fusion": names})
    resolve_names(config)
    validate_config(config)
    check_memory(config, mode, available)


@pytest.mark.parametrize("field", INTEGERS)
def test_a_billion_is_refused_in_one_line_that_names_the_field_or_is_harmless(field):
    mode = "explore" if field.startswith("explore.") else "train"
    if field in HARMLESS:
        check({field: 10**9}, mode)
        return
    with pytest.raises(UserError, match=field) as refused:
        check({field: 10**9}, mode)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("observation", "field"),
    [*(("features", field) for field in FEATURES), *(("bands", field) for field in BANDS)],
)
def test_a_billion_is_refused_in_the_fields_of_a_branch(observation, field):
    with pytest.raises(UserError, match=rf"model\.{field}"):
        check({"model.observations": (observation,), f"model.{field}": 10**9})


@pytest.mark.parametrize("field", [*INTEGERS, "model.band_size"])
def test_no_integer_is_larger_than_jax_can_count(field):
    with pytest.raises(UserError, match=rf"{field} is 1000000000000; "):
        check({field: 10**12})


@pytest.mark.parametrize("mode", ["train", "evaluate", "explore", "select"])
def test_no_shipped_config_is_refused_on_4_gib(mode):
    for config in load_shipped().values():
        check_memory(config, mode, 4 * GIB)


def test_every_cell_of_an_ablation_is_checked():
    config = default()
    factors = read_factors(("model.latent_dim=16,1000000000",))
    with pytest.raises(
        UserError, match=r"cell model.latent_dim=1000000000.*lower model.latent_dim"
    ):
        make_cells(config, factors)


@pytest.mark.parametrize(
    ("fields", "needed", "advice"),
    [
        ({"model.latent_dim": 10**9}, "11.2 TiB", "model.latent_dim (it is 1000000000)"),
        (
            {"model.latent_dim": 2_000_000, "model.hidden_dim": 100_000},
            "8.7 TiB",
            "model.latent_dim (it is 2000000) or model.hidden_dim (it is 100000)",
        ),
        ({"data.image_size": 2**20}, "5.3 PiB", "data.image_size (it is 1048576)"),
        ({"model.widths": (2**20, 2**20)}, "512.0 TiB", "model.widths (it is [1048576, 1048576])"),
    ],
)
def test_the_message_has_both_numbers_and_the_fields_that_matter(fields, needed, advice):
    with pytest.raises(UserError) as refused:
        check(fields)
    assert str(refused.value) == (
        f"a training step needs at least {needed} of memory, but 32.0 GiB are available; lower {advice}"
    )


def test_where_no_field_is_larger_than_its_default_another_machine_is_needed():
    with pytest.raises(UserError, match="use a machine with more memory"):
        check({}, available=1000)


def test_what_an_accelerator_holds_is_checked_when_jax_knows_its_memory(monkeypatch):
    monkeypatch.setattr(memory_check, "has_accelerator", lambda: True)
    config = default()
    config.train.batch_size = 10**9
    check_memory(config, "train")
    with pytest.raises(UserError, match=r"lower train.batch_size \(it is 1000000000\)"):
        check_device_memory(config, "train")
    config = default()
    config.report.samples = 10**9  # on the host
    check_device_memory(config, "train")
    with pytest.raises(UserError, match=r"lower report\.samples"):
        check_memory(config, "train")


@pytest.mark.parametrize(("statistics", "refused"), [({"bytes_limit": 10**6}, True), (None, False)])
def test_the_memory_of_an_accelerator_counts_where_jax_reports_it(monkeypatch, statistics, refused):
    device = types.SimpleNamespace(memory_stats=lambda: statistics)
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    monkeypatch.setattr("jax.local_devices", lambda: [device])
    monkeypatch.setattr("jax.device_count", lambda: 4)
    config = default()
    config.train.batch_size = 10**6
    with pytest.raises(UserError, match=r"976\.6 KiB are") if refused else contextlib.nullcontext():
        check_device_memory(config, "train")
