"""Every shipped config and every variant of it, shrunk, from real images to results.json.

A run keeps what its config chooses: data roles, depth of the model, likelihood, schedules, scores. Only
sizes shrink: fewer images, narrow layers, two epochs.
"""

import csv
import dataclasses
import gzip
import json
import logging
import math
import pathlib
import re
import runpy
import shutil
import struct

import numpy as np
import pytest

from vae_jax import grid
from vae_jax import main as main_module
from vae_jax import workdir as workdir_lib
from vae_jax.data.builders.idx import read_idx
from vae_jax.errors import UserError
from vae_jax.scoring.scores import NEEDS_POSTERIOR
from vae_jax.validate import resolve_names, validate_config

ROOT = pathlib.Path(__file__).parents[1]
CONFIGS = {path.stem: path for path in sorted((ROOT / "configs").glob("*.py"))}

# ml_collections imports the config file in a way that Python 3.12 will drop.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("quick_compilation"),  # the runs are short, and compile a lot
    pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning"),
]

# Sections of results.json: those of every run, and those that depend on the config.
ALWAYS = {"dataset", "detection", "baselines", "cost"}
PIXELS = {"reconstruction"}  # the model explains pixels
SAMPLED = {"likelihood", "latent"}  # the model is a VAE
MASKED = {"localisation"}  # the dataset has masks

SPLITS = ("train", "val", "calibration")
# Number of stride-2 convolutions -> side of the shrunk images in pixels.
SIDES = {2: 16, 4: 32, 5: 64, 6: 64}


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a shipped config.

    Attributes:
        data: name of the folder of small real data; "" where the dataset needs no files.
        other: the same for the dataset whose test images are the anomalies; "" for none.
        sections: sections of results.json that the run has beside those of every run.
        detects: whether the config has anomalies to detect.
    """

    data: str
    other: str = ""
    sections: frozenset[str] = frozenset(SAMPLED)
    detects: bool = True


WITH_MASKS = frozenset(SAMPLED | MASKED)
RUNS = {
    "digits": Run(""),
    "mnist": Run("mnist"),
    "mnist:fashion_mnist": Run("mnist", "fashion_mnist"),
    "mnist:binarised": Run("mnist", detects=False),
    "fashion_mnist": Run("fashion_mnist"),
    "fashion_mnist:mnist": Run("fashion_mnist", "mnist"),
    "fashion_mnist:mnist_features": Run("fashion_mnist", "mnist"),
    "mnist_conditional": Run("mnist", detects=False),
    "mnist_latent": Run("mnist"),
    "kvasir": Run("kvasir", sections=WITH_MASKS),
    "kvasir:features": Run("kvasir", sections=WITH_MASKS),
    "kvasir:ae": Run("kvasir", sections=frozenset(MASKED)),
    "chest_xray": Run("chest_xray"),
    "chest_xray:features": Run("chest_xray"),
    "chest_xray:generation": Run("chest_xray", detects=False),
    "aitex": Run("aitex", sections=WITH_MASKS),
    "aitex:features": Run("aitex", sections=WITH_MASKS),
    "aitex:bands": Run("aitex", sections=WITH_MASKS),
    "folder": Run("magnetic_tile", sections=WITH_MASKS),
}
# Variant -> the config that it is but for the values of these fields. The run of that config stands for
# both, because a run of each would take minutes and execute the same code.
OTHER_VALUES = {
    "mnist_latent:4": ("mnist_latent", {"model.latent_dim"}),
    "mnist_latent:16": ("mnist_latent", {"model.latent_dim"}),
    "kvasir:tight": ("kvasir", {"data.crop"}),
    "kvasir:beta": ("kvasir", {"objective.beta"}),
    "kvasir:tight_features": ("kvasir:features", {"data.crop", "scoring.fusion"}),
    "chest_xray:256": ("chest_xray", {"data.image_size", "model.widths"}),
    "chest_xray:512": ("chest_xray", {"data.image_size", "model.widths"}),
    "aitex:pixel": ("aitex", {"objective.frequency_weight"}),
    "aitex:frequency": ("aitex", {"objective.pixel_weight"}),
}
# Variant -> the config that it is, under another name.
SYNONYMS = {
    "mnist_latent:2": "mnist_latent",
    "chest_xray:128": "chest_xray",
    "aitex:both": "aitex",
}


@dataclasses.dataclass(frozen=True)
class Ablation:
    """One shipped ablation: the folder of its small real data, its sections, and how many cells it has."""

    data: str
    sections: frozenset[str]
    num_cells: int


ABLATIONS = {
    "mnist_latent": Ablation("mnist", frozenset(SAMPLED), 3),
    "kvasir_ablation": Ablation("kvasir", WITH_MASKS, 27),
    "aitex_ablation": Ablation("aitex", WITH_MASKS, 9),
}

CHEAP_FACTORS = ("objective.beta", "augment.strength", "objective.frequency")

# These runs execute little code that no other run does; `pytest -m exhaustive` runs them, too.
EXHAUSTIVE = {
    "digits", "fashion_mnist", "mnist",
    "mnist:fashion_mnist", "fashion_mnist:mnist", "kvasir:features", "kvasir:ae", "chest_xray:features",
    "chest_xray:generation", "aitex:features", "aitex:bands", "kvasir_ablation", "aitex_ablation",
}  # fmt: skip


def mark_exhaustive(names):
    return [
        pytest.param(name, marks=pytest.mark.exhaustive if name in EXHAUSTIVE else ())
        for name in names
    ]


def load_config(name):
    """Config of `name` or `name:variant`."""
    stem, _, variant = name.partition(":")
    return runpy.run_path(str(CONFIGS[stem]))["get_config"](variant)


def variants_in_code(stem):
    """The variants that a config names when it refuses an unknown one."""
    with pytest.raises(UserError, match="has no variant nonsense") as refused:
        load_config(f"{stem}:nonsense")
    listed = re.search(r"valid: (.*)", str(refused.value))
    return set(listed[1].split(", ")) if listed else set()


def variants_in_docs(stem):
    """The variants that the project's documents and the docstring of a config mention."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *CONFIGS.values()]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    mentioned = set(re.findall(rf"\b{stem}\.py:(\w+)", text))
    return mentioned | set(re.findall(r"`:(\w+)`", CONFIGS[stem].read_text(encoding="utf-8")))


@pytest.mark.parametrize("stem", CONFIGS)
def test_every_config_and_every_variant_has_a_test(stem):
    tested = {
        name
        for name in (*RUNS, *OTHER_VALUES, *SYNONYMS, *ABLATIONS)
        if name.partition(":")[0] == stem
    }
    variants = variants_in_code(stem) | variants_in_docs(stem)
    assert tested == {stem, *(f"{stem}:{variant}" for variant in variants)}


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_a_variant_without_a_run_differs_from_one_with_a_run_in_values_alone(name):
    other, fields = OTHER_VALUES[name]
    assert other in RUNS
    variant, base = (workdir_lib.flatten_config(load_config(n)) for n in (name, other))
    assert {field for field in base if variant[field] != base[field]} == {"name", *fields}
    config = load_config(name)
    resolve_names(config)
    validate_config(config)


@pytest.mark.parametrize("name", SYNONYMS)
def test_a_synonym_is_the_same_config_under_another_name(name):
    config = load_config(name)
    config.name = load_config(SYNONYMS[name]).name
    assert workdir_lib.flatten_config(config) == workdir_lib.flatten_config(
        load_config(SYNONYMS[name])
    )


def copy_first(source, target, count, pattern="*"):
    """Copies the first files of a folder, by name; returns the copies."""
    target.mkdir(parents=True)
    paths = sorted(path for path in source.glob(pattern) if path.is_file())[:count]
    return [pathlib.Path(shutil.copy(path, target)) for path in paths]


def copy_idx(source, target):
    target.mkdir()
    for part, count in (("train", 160), ("t10k", 60)):
        for kind, num_dimensions in (("images-idx3", 3), ("labels-idx1", 1)):
            name = f"{part}-{kind}-ubyte.gz"
            array = read_idx(source / name, num_dimensions)[:count]
            header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
            (target / name).write_bytes(gzip.compress(header + array.tobytes(), 1))


def copy_kvasir(source, target):
    for class_name, count in (("normal-cecum", 30), ("bbps-2-3", 20)):
        copy_first(source / class_name, target / class_name, count)
    polyps = copy_first(source / "polyps", target / "polyps", 12)
    (target / "polyps-masks").mkdir()
    for polyp in polyps:
        shutil.copy(source / f"polyps-masks/{polyp.stem}.png", target / "polyps-masks")
    shutil.copy(source / "groups.csv", target)


def copy_chest_xray(source, target):
    for split, count in (("train", 40), ("test", 10)):
        for class_name in ("NORMAL", "PNEUMONIA"):
            copy_first(source / split / class_name, target / split / class_name, count)


def copy_aitex(source, target):
    rolls = sorted(path for path in (source / "NODefect_images").iterdir() if path.is_dir())
    for roll in rolls:
        copy_first(roll, target / "NODefect_images" / roll.name, 6)
    strips = copy_first(source / "Defect_images", target / "Defect_images", 2, "*_02.png")
    (target / "Mask_images").mkdir()
    for strip in strips:
        for mask in (source / "Mask_images").glob(f"{strip.stem}_mask*.png"):
            shutil.copy(mask, target / "Mask_images")


def copy_magnetic_tile(source, target):
    copy_first(source / "train/good", target / "train/good", 40)
    copy_first(source / "test/good", target / "test/good", 8)
    for class_name in ("blowhole", "crack"):
        images = copy_first(source / "test" / class_name, target / "test" / class_name, 6)
        masks = target / "ground_truth" / class_name
        masks.mkdir(parents=True)
        for image in images:
            shutil.copy(source / f"ground_truth/{class_name}/{image.stem}_mask.png", masks)


COPIES = {
    "mnist": copy_idx,
    "fashion_mnist": copy_idx,
    "kvasir": copy_kvasir,
    "chest_xray": copy_chest_xray,
    "aitex": copy_aitex,
    "magnetic_tile": copy_magnetic_tile,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The folder of prepared data, which all runs share: an image is prepared and decoded once."""
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture(scope="module")
def small_data(real_data, tmp_path_factory):
    """Name of a dataset -> folder with a few of its real images, in the official layout."""
    root = tmp_path_factory.mktemp("small_data")

    def small_data(name):
        if not (root / name).exists():
            if not (real_data / name).is_dir():
                pytest.skip(f"{real_data} has no folder {name}")
            COPIES[name](real_data / name, root / name)
        return root / name

    return small_data


@pytest.fixture
def run_main(tmp_path, monkeypatch, prepared):
    """Arguments -> workdir of the command that they make, run in this process."""
    # The memory allocator and the log level belong to the whole test process.
    monkeypatch.setattr(main_module, "keep_memory", lambda: None)
    monkeypatch.setattr(main_module, "choose_xla_options", lambda precision: None)
    level = logging.getLogger("vae_jax").level

    def run_main(*args):
        shared = (f"--workdir={tmp_path}", f"--config.data.dir={prepared}")
        assert main_module.main(["main", *shared, *args]) == 0
        return tmp_path

    yield run_main
    logging.getLogger("vae_jax").setLevel(level)


def explains_pixels(config):
    return tuple(config.model.observations) == ("pixels",)


def shrink(config):
    """Overrides that make a run of a config small, as arguments."""
    depth = len(config.model.widths)
    fields = {
        "data.image_size": min(config.data.image_size, SIDES[depth]),
        "model.widths": (4,) * depth,
        "model.hidden_dim": min(config.model.hidden_dim, 8),
        "model.latent_dim": min(config.model.latent_dim, 16),
        "train.epochs": 2,
        "train.parallel": "jit",
        "scoring.bootstrap_resamples": 100,
        "scoring.importance_samples": 20,
        "report.cases": 2,
        "report.samples": 4,
    }
    if not explains_pixels(config):
        fields |= {
            "data.image_size": min(config.data.image_size, 64),
            "model.feature_size": 64,
            "model.grid": 4,
            "model.feature_channels": 8,
            "model.feature_widths": (8,),
            "model.feature_latent_dim": 2,
            "model.band_size": min(config.model.band_size, 32),
            "model.band_widths": (8,),
            "model.band_latent_dim": 4,
            "train.min_steps": 2,
        }
    if config.data.tile_stride:
        fields["data.tile_stride"] = 256  # half as many tiles, side by side
    return [f"--config.{field}={value}" for field, value in fields.items()]


def assert_finite(value, where="results"):
    if isinstance(value, dict):
        for key, item in value.items():
            assert_finite(item, f"{where}.{key}")
    elif isinstance(value, list):
        for row, item in enumerate(value):
            assert_finite(item, f"{where}[{row}]")
    elif not isinstance(value, str):
        assert value is not None, where
        assert math.isfinite(value), where


def assert_keeps_contract(workdir, sections, detects, names):
    """results.json and scores.csv of a finished run hold what the contract with the user names."""
    results = json.loads((workdir / "results.json").read_text(encoding="utf-8"))
    assert set(results) == ALWAYS | sections
    assert_finite(results)
    counts = results["dataset"]["counts"]
    assert min(counts[role] for role in (*SPLITS, "test_normal")) > 0
    assert (counts["test_anomaly"] > 0) == detects
    assert set(results["detection"]) == names
    for entry in (*results["detection"].values(), *results["baselines"].values()):
        assert ("auroc" in entry) == detects
        if detects:
            auroc = entry["auroc"]
            assert 0 <= auroc["low"] <= auroc["value"] <= auroc["high"] <= 1
    assert bool(results["baselines"]) == detects
    with open(workdir / "scores.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == counts["test_normal"] + counts["test_anomaly"]
    assert np.isfinite([[float(row[name]) for name in names] for row in rows]).all()
    assert (workdir / "report.html").stat().st_size


def names_of_scores(config):
    """The scores that a run of a config computes; an autoencoder lacks those that need a posterior."""
    sampled = config.model.kind != "ae"
    return {name for name in config.scoring.names if sampled or name not in NEEDS_POSTERIOR}


def flag_of(name):
    stem, colon, variant = name.partition(":")
    return f"--config={CONFIGS[stem]}{colon}{variant}"


@pytest.mark.parametrize("name", mark_exhaustive(RUNS))
def test_a_config_runs_to_results_that_keep_the_contract(name, small_data, run_main):
    run, config = RUNS[name], load_config(name)
    args = [flag_of(name), *shrink(config)]
    if run.data:
        args.append(f"--config.data.manual_dir={small_data(run.data)}")
    if run.other:
        args.append(f"--config.data.anomaly_manual_dir={small_data(run.other)}")
    workdir = run_main(*args)
    sections = run.sections | (PIXELS if explains_pixels(config) else set())
    assert_keeps_contract(workdir, sections, run.detects, names_of_scores(config))


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_has_the_cells_that_its_lab_book_counts(name):
    config = load_config(name)
    cells = grid.make_cells(config, grid.read_factors(config.ablate.factors))
    assert len(cells) == ABLATIONS[name].num_cells


@pytest.mark.parametrize("name", mark_exhaustive(ABLATIONS))
def test_an_ablation_runs_every_cell_to_results_that_keep_the_contract(name, small_data, run_main):
    ablation, config = ABLATIONS[name], load_config(name)
    manual_dir = small_data(ablation.data)
    # Fewer factors bound the time; these change one number of the same program.
    factors = [two_levels(f) for f in config.ablate.factors if not f.startswith(CHEAP_FACTORS)]
    workdir = run_main(
        "--mode=ablate", flag_of(name), f"--config.data.manual_dir={manual_dir}", *shrink(config),
        f"--config.ablate.factors={tuple(factors)}", "--config.ablate.seeds=(0,)",
        # The base of an ablation is a config whose own run computes all its scores.
        "--config.train.epochs=1", "--config.scoring.names=('mse',)", "--config.report.cases=1",
    )  # fmt: skip
    config.ablate.seeds = (0,)
    cells = grid.make_cells(config, grid.read_factors(factors))
    assert {path.name for path in (workdir / "cells").iterdir()} == {cell.name for cell in cells}
    for cell in cells:
        sections = ablation.sections | PIXELS
        sections -= SAMPLED if cell.config.model.kind == "ae" else set()
        assert_keeps_contract(workdir / "cells" / cell.name, sections, True, {"mse"})
    with open(workdir / "ablation.csv", newline="", encoding="utf-8") as stream:
        assert [row["status"] for row in csv.DictReader(stream)] == ["done"] * len(cells)
    assert (workdir / "ablation.html").stat().st_size


def two_levels(factor):
    """A factor with its base and its second level alone."""
    field, _, levels = factor.partition("=")
    return f"{field}={','.join(levels.split(',')[:2])}"
