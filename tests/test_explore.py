import csv
import dataclasses
import json
import re
from typing import Any

import ml_collections
import numpy as np
import pytest
from PIL import Image

from vae_jax import explore as explore_lib
from vae_jax import workdir as workdir_lib
from vae_jax.config import default
from vae_jax.data import pipeline
from vae_jax.errors import UserError
from vae_jax.exploration.trained_run import load_trained_run
from vae_jax.model.vae import build_model
from vae_jax.report.numerals import format_quantity
from vae_jax.training.checkpoint import Checkpoints
from vae_jax.training.recipe import make_recipe
from vae_jax.training.state import create_state
from vae_jax.workdir_claim import claim_workdir

pytestmark = pytest.mark.slow

# A name of a class that would break the script of the page if it were not escaped.
UPPER = "</script><b>upper"
FIGURES = {
    "explore_samples.png", "explore_beside_real.png", "explore_classes.png",
    "explore_neighbours.png", "explore_distances.png", "explore_reconstructions.png",
    "explore_map.png", "explore_traversals.png", "explore_interpolations.png",
    "explore_interpolations.gif",
}  # fmt: skip
EARLIER_RESULTS = {
    "dataset": {"name": "discs"},
    "latent": {"active_units": 2, "classifier": {"earlier": 1}},
    "generation": {"earlier": 1},
}


@dataclasses.dataclass(frozen=True)
class Run:
    """A run with an untrained model, which is to be explored."""

    config: ml_collections.ConfigDict
    workdir: Any
    dataset: Any

    def explore(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pipeline, "load_dataset", lambda data, seed: self.dataset)
            explore_lib.run(self.config, self.workdir)

    def read_results(self):
        return json.loads((self.workdir / "results.json").read_text())

    def read_page(self):
        return (self.workdir / "explore.html").read_text()

    def list_figures(self):
        return {path.name for path in (self.workdir / "figures").glob("explore_*")}


@pytest.fixture(scope="module")
def halves(in_halves):
    """The discs in two classes: in the upper or in the lower half of the image."""
    return in_halves(1, UPPER, "lower")


@pytest.fixture(scope="module")
def make_run(make_config, tmp_path_factory):
    """(dataset, fields of the model group) -> a run with a checkpoint and earlier results."""

    def make_run(dataset, **fields):
        config = make_config()
        config.model.update(fields)
        config.explore.update(
            {"samples": 9, "mixture_components": 2, "steps": 3, "map_images": 20, "generated": 20,
             "classifier_epochs": 1}
        )  # fmt: skip
        workdir = tmp_path_factory.mktemp("run")
        claim_workdir(workdir, config)
        state = create_state(make_recipe(config, build_model(config), 1), seed=0)
        position = {"dataset": dataset.name, "fingerprint": dataset.fingerprint, "epoch": 1}
        with Checkpoints(workdir / "checkpoints") as checkpoints:
            checkpoints.save(state, position, config.to_dict(), 1.0)
        workdir_lib.write_text(workdir / "results.json", json.dumps(EARLIER_RESULTS))
        return Run(config, workdir, dataset)

    return make_run


@pytest.fixture(scope="module")
def explored(make_run, halves):
    """An explored run with scores; tests only read its files."""
    run = make_run(halves)
    write_scores(run.workdir, halves.test.files)
    run.explore()
    return run


def write_scores(workdir, files):
    rows = [
        {"file": file, "class": "x", "label": 0, "mse": i / 7, "fusion": float(-i), "pca": 1.0,
         "p_value": 1 / (i + 1), "anomalous": int(i > 20)}
        for i, file in enumerate(files)
    ]  # fmt: skip
    with open(workdir / "scores.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_new_results_replace_those_of_an_earlier_exploration_and_no_others(explored):
    results = explored.read_results()
    generation, classifier = results.pop("generation"), results["latent"].pop("classifier")
    assert results == {"dataset": {"name": "discs"}, "latent": {"active_units": 2}}
    assert "earlier" not in generation
    assert "earlier" not in classifier


def test_results_contain_the_quality_of_generated_images(explored):
    generation = explored.read_results()["generation"]
    assert generation["features"].startswith("classifier of discs, 2 classes")
    assert generation["generated"] == "samples, prior"
    assert generation["images"] == 20
    assert {"frechet_distance", "kernel_distance", "inception_score"} <= generation.keys()
    # Twenty images make only one split of the Inception Score.
    assert "inception_score_deviation" not in generation
    assert set(generation["others"]) == {
        "samples, mixture of 2 over training codes", "decoded held-out images", "held-out images",
    }  # fmt: skip
    assert set(generation["nearest_training_image"]["median_distance"]) == {
        "samples", "test", "decoded_test",
    }  # fmt: skip


def test_results_contain_the_separability_of_the_classes(explored):
    classifier = explored.read_results()["latent"]["classifier"]
    assert classifier["classes"] == [UPPER, "lower"]
    assert {"real", "codes", "decoded"} <= set(classifier["held_out"])


def test_every_figure_is_written_and_not_blank(explored):
    assert explored.list_figures() == FIGURES
    figures = explored.workdir / "figures"
    with Image.open(figures / "explore_interpolations.gif") as animation:
        assert animation.n_frames == 4  # three steps forwards, one backwards
    for path in figures.glob("explore_*.png"):
        with Image.open(path) as image:
            assert np.ptp(np.asarray(image.convert("L"))) > 100, path.name


def test_the_page_loads_no_other_file_and_escapes_class_names(explored):
    page = explored.read_page()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "://" not in page  # base64 contains no colon
    assert page.count("</script>") == 1
    assert "<b>upper" not in page


def test_the_map_shows_the_score_of_each_image(explored):
    data = re.search(r"const data = (\{.*\});", explored.read_page())
    points = json.loads(data[1])["text"]
    assert len(points) == 20
    for _, file, score, decision in points:
        row = explored.dataset.test.files.index(file)
        assert score == f"fusion {format_quantity(float(-row))}"
        assert decision == f"p-value {1 / (row + 1):.3f}, " + (
            "flagged" if row > 20 else "not flagged"
        )


@pytest.mark.slow
def test_a_repeated_exploration_with_images_on_disk_writes_the_same_bytes(
    explored, make_run, on_disk
):
    repeated = make_run(on_disk(explored.dataset))
    write_scores(repeated.workdir, repeated.dataset.test.files)
    repeated.explore()
    for name in ("results.json", "explore.html"):
        assert (repeated.workdir / name).read_bytes() == (explored.workdir / name).read_bytes()
    for name in FIGURES:
        figures = (run.workdir / "figures" / name for run in (repeated, explored))
        assert len({figure.read_bytes() for figure in figures}) == 1, name


@pytest.mark.slow
def test_parts_that_need_two_classes_are_left_out_with_a_reason(make_run, dataset, capsys):
    run = make_run(dataset)
    run.explore()
    generation = run.read_results()["generation"]
    assert set(generation) == {"nearest_training_image"}
    assert "classifier" not in run.read_results()["latent"]
    output, page = capsys.readouterr().out, run.read_page()
    for reason in (
        "no classifier can be trained",
        "two classes of normal images with 5 groups",
    ):
        assert reason in output
        assert reason in page
    assert "explore_map.png" in run.list_figures()


def test_a_missing_inception_file_is_reported_before_anything_is_written(make_run, halves):
    run = make_run(halves)
    run.config.explore.inception = "gone.npz"
    message = r"explore\.inception: the file gone\.npz does not exist"
    with pytest.raises(UserError, match=message):
        run.explore()
    assert not (run.workdir / "explore.html").exists()
    assert run.read_results() == EARLIER_RESULTS


@pytest.mark.slow
def test_every_part_supports_a_conditional_autoencoder_and_explains_its_classes(
    make_run, halves, capsys
):
    run = make_run(halves, num_classes=2, kind="ae")
    run.explore()
    assert "left out" not in capsys.readouterr().out
    assert run.list_figures() == FIGURES
    generation = run.read_results()["generation"]
    assert generation["generated"] == "samples, mixture of 2 over training codes"
    assert 0 <= generation["label_agreement"] <= 1
    page = run.read_page()
    for sentence in (
        "The decoder is given the class of the row.",
        "The decoder is given the class &lt;/script&gt;&lt;b&gt;upper for every image.",
        "The decoder is given the class of the nearer test image",
        "the decoder is given the inferred class",
    ):
        assert sentence in page


def test_score_lines_follow_the_deciding_score(explored):
    lines = explore_lib.read_score_lines(explored.workdir / "scores.csv", "mse")
    assert lines[explored.dataset.test.files[7]] == ["mse 1.000", "p-value 0.125, not flagged"]


@pytest.mark.parametrize("decision", ["pca", "mse_max", "hedge"])
def test_score_lines_name_a_score_of_any_kind(tmp_path, decision):
    path = tmp_path / "scores.csv"
    path.write_text(f"file,label,mse,{decision},p_value,anomalous\na,1,0.25,0.5,1,0\n")
    lines = explore_lib.read_score_lines(path, decision)
    assert lines["a"][0] == f"{decision} {format_quantity(0.5)}"


def test_a_run_without_scores_has_no_score_lines(tmp_path):
    assert explore_lib.read_score_lines(tmp_path / "scores.csv", "mse") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows"),
        ("file,mse\n", "has no rows"),
        ("file,mse\na,1\n", "lacks these columns: anomalous, p_value;"),
        ("file,p_value,anomalous\na,1,0\n", "lacks these columns: a score;"),
    ],
)
def test_incomplete_scores_are_rejected_with_one_line(tmp_path, content, message):
    (tmp_path / "scores.csv").write_text(content)
    with pytest.raises(UserError, match=f"{message}.*evaluate again") as error:
        explore_lib.read_score_lines(tmp_path / "scores.csv", "")
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_part_that_fails_does_not_stop_the_others(make_run, halves):
    one_image = dataclasses.replace(halves, test=halves.test.take(np.array([0])))
    run = make_run(one_image)
    trained = load_trained_run(run.config, run.workdir, one_image)
    exploration = explore_lib.explore(trained, {})
    assert "interpolation needs at least two test images; found 1" in exploration.omissions
    titles = [section.title for section in exploration.sections]
    assert "Samples" in titles
    assert "Interpolations" not in titles


def test_a_model_that_decodes_no_images_is_refused(tmp_path):
    config = default()
    config.model.observations = ("features", "bands")
    with pytest.raises(UserError, match=r"model\.observations is features, bands"):
        explore_lib.run(config, tmp_path)
