import dataclasses
import json
import shlex

import numpy as np
import pytest
from scipy import ndimage, stats

from vae_jax import command_line, select_scores
from vae_jax import workdir as workdir_lib
from vae_jax.config import default
from vae_jax.data import pipeline
from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.data.region import Region
from vae_jax.errors import UserError
from vae_jax.main import main
from vae_jax.model.branched import build_branches
from vae_jax.selection.corruptions import CORRUPTIONS
from vae_jax.training.checkpoint import Checkpoints
from vae_jax.training.recipe import make_recipe
from vae_jax.training.state import create_state
from vae_jax.workdir_claim import claim_workdir

pytestmark = pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")

SIZE = 32
COUNTS = {"train": 12, "val": 9, "calibration": 3, "test": 4}
BAND_SCORES = (
    "bands_cosine_mean", "bands_place_nll_mean", "bands_place_nll_max", "bands_mse_max",
    "bands_knn", "fusion", "fusion_max", "hedge",
)  # fmt: skip


class HiddenImages(ImagesOnDisk):
    """Images that fail the test that reads them."""

    def _read(self, rows):
        raise AssertionError("these images must not be read")

    def __getitem__(self, key):
        raise AssertionError("these images must not be read")


def make_examples(role, seed, *, hidden=False):
    count = COUNTS[role]
    rng = np.random.default_rng(seed)
    texture = ndimage.gaussian_filter(rng.normal(size=(count, SIZE, SIZE)), (0, 2, 2))
    images = np.clip(128 + 200 * texture, 0, 255).astype(np.uint8)[..., None]
    return Examples(
        images=HiddenImages.from_parts([images]) if hidden else images,
        labels=np.zeros(count, np.int32),
        classes=["good"] * count,
        files=[f"{role}/{i}.png" for i in range(count)],
        groups=[f"{role}/{i}" for i in range(count)],
        stored_size=np.full((count, 3), SIZE, np.int32),
        has_mask=np.zeros(count, bool),
    )


@pytest.fixture(scope="module")
def dataset():
    """Textures; whoever reads a test or a calibration image fails."""
    roles = {
        role: make_examples(role, i, hidden=role in ("calibration", "test"))
        for i, role in enumerate(COUNTS)
    }
    return Dataset("textures", "abc", SIZE, 1, **roles)


def make_config(folder, observation):
    config = default()
    config.data.dir = str(folder)
    config.data.image_size = SIZE
    config.model.observations = (observation,)
    config.model.band_size = SIZE
    config.model.band_widths = config.model.widths = (4,)
    config.model.latent_dim = config.model.band_latent_dim = 2
    config.train.batch_size = 4
    config.scoring.names = ("mse", "ssim", "mse_max", "ssim_max", "kl", "knn", "fusion")
    config.scoring.fusion = ("mse", "ssim")
    if observation == "bands":
        config.scoring.names = BAND_SCORES
        config.scoring.fusion = ("bands_cosine", "bands_place_nll")
    return config


@pytest.fixture
def make_run(tmp_path, dataset, monkeypatch):
    """(observation) -> config and workdir of a run with initial parameters; starts load `dataset`."""

    def make_run(observation):
        config = make_config(tmp_path / "data", observation)
        workdir = tmp_path / "run"
        claim_workdir(workdir, config)
        state = create_state(make_recipe(config, build_branches(config), 1), seed=0)
        position = {"dataset": dataset.name, "fingerprint": "abc", "epoch": 1}
        with Checkpoints(workdir / "checkpoints") as checkpoints:
            checkpoints.save(state, position, config.to_dict(), 1.0)
        monkeypatch.setattr(pipeline, "load_dataset", lambda data, seed: dataset)
        return config, workdir

    return make_run


def read_selection(workdir):
    return json.loads((workdir / "select.json").read_text())


def measure_change(examples, originals):
    """The largest change of a pixel: a score that detects every corruption."""
    names = [file.partition(" (")[0] for file in examples.files]
    return np.array(
        [
            np.abs(image.astype(float) - originals[name]).max()
            for name, image in zip(names, examples.images, strict=True)
        ]
    )


@pytest.fixture
def replace_scores(dataset, monkeypatch):
    """(name of a score that detects corruptions or None) -> all other scores are noise."""

    def replace_scores(detector):
        originals = dict(zip(dataset.val.files, dataset.val.images, strict=True))

        def score_examples(setup, names, role_examples):
            columns = {
                role: {
                    name: measure_change(examples, originals)
                    if name == detector
                    else np.resize([0.0, 1.0, 2.0], len(examples))
                    for name in names
                }
                for role, examples in role_examples.items()
            }
            return columns, {}

        monkeypatch.setattr(select_scores, "score_examples", score_examples)

    return replace_scores


@pytest.mark.slow
@pytest.mark.parametrize("observation", ["pixels", "bands"])
def test_a_run_is_ranked_without_a_look_at_test_and_calibration_images(
    make_run, observation, tmp_path, capsys
):
    config, workdir = make_run(observation)
    select_scores.run(config, workdir)
    selection = read_selection(workdir)
    assert selection["normals"] == {"role": "val", "count": COUNTS["val"]}
    assert selection["corruptions"] == dict.fromkeys(CORRUPTIONS, 40)
    ranked = [e["name"] for group in selection["groups"].values() for e in group["ranking"]]
    assert sorted(ranked) == sorted(config.scoring.names)
    for group in selection["groups"].values():
        powers = [entry["power"] for entry in group["ranking"]]
        assert powers == sorted(powers, reverse=True)
        for entry in group["ranking"]:
            assert entry["power_per_kind"].keys() == CORRUPTIONS.keys()
            assert entry["power"] == pytest.approx(np.mean([*entry["power_per_kind"].values()]))
    assert selection["test_labels"] == {}
    text = capsys.readouterr().out
    assert "no test image is used" in text
    assert all(name in text for name in config.scoring.names)
    # The store holds the images of the dataset, and no corruption.
    stored = [np.load(path).shape[0] for path in (tmp_path / "data").rglob("digests.npy")]
    assert sum(stored) == (observation == "bands") * (COUNTS["train"] + COUNTS["val"])


@pytest.mark.slow
def test_the_same_run_gives_the_same_file(make_run):
    config, workdir = make_run("bands")
    select_scores.run(config, workdir)
    first = (workdir / "select.json").read_bytes()
    select_scores.run(config, workdir)
    assert (workdir / "select.json").read_bytes() == first


def test_a_score_that_detects_the_corruptions_is_chosen(make_run, replace_scores, capsys):
    config, workdir = make_run("pixels")
    replace_scores("ssim_max")
    select_scores.run(config, workdir)
    groups = read_selection(workdir)["groups"]
    assert list(groups) == ["mean", "max", "whole image"]
    assert groups["max"]["choice"] == "ssim_max"
    assert groups["max"]["ranking"][0]["power"] == 1
    assert groups["mean"]["choice"] is None
    command = f"--mode=evaluate --workdir={workdir} --config.scoring.decision=ssim_max"
    text = capsys.readouterr().out
    assert f"max: python -m vae_jax.main {command}\n" in text
    assert "none reaches 0.55" in text
    parsed = command_line.parse_command(["main", *shlex.split(command)])
    assert parsed.config.scoring.decision == "ssim_max"


def test_tiles_that_cover_images_are_corrupted_and_compared_one_by_one(
    make_run, dataset, monkeypatch
):
    config, workdir = make_run("pixels")
    seen = {}

    def score_examples(setup, names, role_examples):
        seen.update(role_examples, own=setup.dataset.val)
        columns = {
            role: {name: np.arange(float(len(examples))) for name in names}
            for role, examples in role_examples.items()
        }
        return columns, {}

    monkeypatch.setattr(select_scores, "score_examples", score_examples)
    count = COUNTS["val"]
    boxes = np.array([[row % 3 * 16, 0, SIZE] for row in range(count)], np.int32)
    files = [f"val/{row // 3}.png" for row in range(count)]
    tiles = dataclasses.replace(dataset.val, boxes=boxes, files=files)
    names = list(config.scoring.names)
    select_scores.select_scores(config, workdir, dataclasses.replace(dataset, val=tiles), names)
    assert seen["val"] is seen["own"]
    assert seen["val"].files == tiles.names
    assert len(seen["val"]) == count
    assert seen["val"].boxes is seen["corrupted"].boxes is None
    assert {file.partition(" (")[0] for file in seen["corrupted"].files} <= set(tiles.names)


def test_a_corruption_has_the_classes_of_its_normal_and_changes_no_pixel_outside_the_region(
    make_run, dataset, monkeypatch
):
    config, workdir = make_run("pixels")
    mask = np.zeros((SIZE, SIZE), bool)
    mask[4:28, 8:24] = True
    in_region = dataclasses.replace(dataset, region=Region(mask))
    seen = {}

    def score_examples(setup, names, role_examples):
        seen.update(role_examples)
        columns = {
            role: {name: np.arange(float(len(examples))) for name in names}
            for role, examples in role_examples.items()
        }
        return columns, {}

    monkeypatch.setattr(select_scores, "score_examples", score_examples)
    select_scores.select_scores(config, workdir, in_region, list(config.scoring.names))
    clean, corrupted = seen["val"], seen["corrupted"]
    assert set(corrupted.labels) == {1}
    originals = {file: row for row, file in enumerate(clean.files)}
    for i, file in enumerate(corrupted.files):
        row = originals[file.partition(" (")[0]]
        changed = (corrupted.images[i] != clean.images[row]).any(axis=2)
        assert changed.any()
        assert not changed[~mask].any()
        assert corrupted.classes[i] == clean.classes[row]


def test_the_ranking_is_compared_with_an_evaluation_and_does_not_depend_on_it(
    make_run, replace_scores, capsys
):
    config, workdir = make_run("pixels")
    replace_scores("mse")
    select_scores.run(config, workdir)
    before = read_selection(workdir)
    aurocs = {"mse": 0.6, "ssim": 0.9, "fusion": 0.7, "knn": 0.8}
    results = {"detection": {name: {"auroc": {"value": v}} for name, v in aurocs.items()}}
    workdir_lib.write_results(workdir, results)
    capsys.readouterr()
    select_scores.run(config, workdir)
    after = read_selection(workdir)
    assert after["groups"] == before["groups"]
    power = {entry["name"]: entry["power"] for entry in after["groups"]["mean"]["ranking"]}
    names = ["mse", "ssim", "fusion"]
    expected = stats.spearmanr([power[n] for n in names], [aurocs[n] for n in names]).statistic
    mean = after["test_labels"]["mean"]
    assert mean["spearman"] == pytest.approx(expected)
    assert mean["auroc"] == {name: aurocs[name] for name in mean["auroc"]}
    text = " ".join(capsys.readouterr().out.split())
    assert "measured on the test labels of the last evaluation, and not used" in text
    assert "mean: best AUROC 0.900 by ssim; the choice mse has 0.600" in text


def test_fields_of_the_command_line_are_repeated_and_other_scores_are_not_compared(
    make_run, replace_scores, capsys
):
    config, workdir = make_run("pixels")
    workdir_lib.write_results(workdir, {"detection": {"mse": {"auroc": {"value": 0.9}}}})
    replace_scores("ssim")
    config.scoring.names = ("mse", "ssim")
    select_scores.run(config, workdir)
    assert read_selection(workdir)["test_labels"]["mean"]["auroc"] == {"mse": 0.9}
    config.scoring.aggregate = "max"
    capsys.readouterr()
    select_scores.run(config, workdir)
    assert read_selection(workdir)["test_labels"] == {}
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "--mode=evaluate" in line]
    arguments = shlex.split(line.partition("vae_jax.main ")[2])
    parsed = command_line.parse_command(["main", *arguments]).config.scoring
    assert (parsed.names, parsed.aggregate, parsed.decision) == (("mse", "ssim"), "max", "ssim")


@pytest.mark.parametrize(
    ("names", "size", "message"),
    [
        (("mse", "ssim"), 8, "data.image_size is 8; .* at least 24 pixels"),
        (("mse", "ssim_max", "knn"), SIZE, "no two of these have the same"),
        (("mse", "padim_mean", "patchcore_mean"), SIZE, "no two of these have the same"),
    ],
)
def test_scores_and_images_that_cannot_be_compared_are_refused(names, size, message):
    config = default()
    config.data.image_size = size
    config.scoring.names = names
    with pytest.raises(UserError, match=message):
        select_scores.select_candidate_names(config)


def test_baselines_are_no_candidates():
    config = default()
    config.data.image_size = SIZE
    config.scoring.names = ("mse", "ssim", "padim_mean")
    assert select_scores.select_candidate_names(config) == ["mse", "ssim"]


def test_a_workdir_without_a_run_is_refused_in_one_line(tmp_path, capsys):
    assert main(["main", "--mode=select", f"--workdir={tmp_path}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path} holds no run")


def test_a_run_without_a_checkpoint_is_refused(make_run, dataset, tmp_path):
    config, _ = make_run("pixels")
    with pytest.raises(UserError, match="checkpoint"):
        select_scores.run(config, tmp_path / "other")
