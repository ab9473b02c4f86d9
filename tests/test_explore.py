import csv
import dataclasses
import json
import re

import numpy as np
import pytest
from PIL import Image

from vae_jax import explore as explore_lib
from vae_jax import workdir as workdir_lib
from vae_jax.data import pipeline
from vae_jax.errors import UserError
from vae_jax.exploration import trained_run as trained_lib
from vae_jax.exploration.features import Features
from vae_jax.model.vae import build_model
from vae_jax.report.exploration import parts
from vae_jax.scoring.inference import draw_prior
from vae_jax.training.checkpoint import Checkpoints
from vae_jax.training.recipe import make_recipe
from vae_jax.training.state import create_state

FIGURES = {
    "explore_samples.png", "explore_beside_real.png", "explore_classes.png",
    "explore_neighbours.png", "explore_distances.png", "explore_reconstructions.png",
    "explore_map.png", "explore_traversals.png", "explore_interpolations.png",
    "explore_interpolations.gif",
}  # fmt: skip


@pytest.fixture
def halves(in_halves):
    """The same discs, those in the upper half and those in the lower one as two classes."""
    return in_halves(1, "</script><b>upper", "lower")


@pytest.fixture
def make_run(tmp_path, config, monkeypatch):
    """Dataset -> workdir of a run that has a checkpoint; `pipeline.load_dataset` gives the same dataset."""

    def make_run(dataset, **model):
        config.model.update(model)
        config.explore.update(
            {"samples": 9, "mixture_components": 2, "steps": 3, "map_images": 20, "generated": 20,
             "classifier_epochs": 1}
        )  # fmt: skip
        workdir_lib.claim_workdir(tmp_path, config)
        state = create_state(make_recipe(config, build_model(config), 1), seed=0)
        position = {"dataset": dataset.name, "fingerprint": dataset.fingerprint, "epoch": 1}
        with Checkpoints(tmp_path / "checkpoints") as checkpoints:
            checkpoints.save(state, position, config.to_dict(), 1.0)
        monkeypatch.setattr(pipeline, "load_dataset", lambda data, seed: dataset)
        return tmp_path

    return make_run


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


def results_of(workdir):
    return json.loads((workdir / "results.json").read_text())


def test_page_figures_and_numbers_are_written_and_what_stood_there_stays(make_run, config, halves):
    workdir = make_run(halves)
    before = {"dataset": {"name": "discs"}, "latent": {"active_units": 2}}
    (workdir / "results.json").write_text(json.dumps(before))
    explore_lib.run(config, workdir)
    after = results_of(workdir)
    generation, classifier = after.pop("generation"), after["latent"].pop("classifier")
    assert after == before
    assert generation["features"].startswith("classifier of discs, 2 classes")
    assert generation["generated"] == "samples, prior"
    assert generation["images"] == 20
    assert "inception_score_deviation" not in generation  # twenty images make one part
    assert set(generation["others"]) == {
        "samples, mixture of 2 over training codes", "decoded held-out images", "held-out images",
    }  # fmt: skip
    assert classifier["classes"] == ["</script><b>upper", "lower"]
    assert {"real", "codes", "decoded"} <= set(classifier["held_out"])
    drawn = {path.name for path in (workdir / "figures").glob("explore_*")}
    assert drawn == FIGURES
    with Image.open(workdir / "figures" / "explore_interpolations.gif") as film:
        assert film.n_frames == 4  # three steps there, one back
    for path in (workdir / "figures").glob("explore_*.png"):
        with Image.open(path) as image:
            assert np.ptp(np.asarray(image.convert("L"))) > 100, path.name


def test_the_page_needs_nothing_but_itself_and_runs_no_name_of_a_class(make_run, config, halves):
    workdir = make_run(halves)
    explore_lib.run(config, workdir)
    page = (workdir / "explore.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "http" not in re.sub(r'content="default-src[^"]*"|http-equiv', "", page)
    assert page.count("</script>") == 1
    assert "<b>upper" not in page


def test_exploring_twice_gives_the_same(make_run, config, halves):
    workdir = make_run(halves)
    once, again = (
        (explore_lib.run(config, workdir), results_of(workdir),
         (workdir / "explore.html").read_bytes())[1:]
        for _ in range(2)
    )  # fmt: skip
    assert once == again


def test_images_on_disk_are_explored_as_those_in_memory_are(make_run, config, halves, on_disk):
    workdir = make_run(halves)
    trained = trained_lib.load(config, workdir, halves)
    stored = dataclasses.replace(trained, dataset=on_disk(halves))
    here, there = (explore_lib.explore(one, {}) for one in (trained, stored))
    assert here.results == there.results
    assert here.omissions == there.omissions == []


def test_the_map_says_what_scores_csv_says_of_each_image(make_run, config, halves):
    workdir = make_run(halves)
    write_scores(workdir, halves.test.files)
    by_mse = explore_lib.read_scores(workdir / "scores.csv", "mse")
    assert by_mse[halves.test.files[7]] == ["mse 1.000", "p-value 0.125, passed"]
    assert explore_lib.read_scores(workdir / "gone.csv", "mse") == {}
    explore_lib.run(config, workdir)
    shown = re.search(r"const data = (\{.*\});", (workdir / "explore.html").read_text())
    points = json.loads(shown[1])["text"]
    assert len(points) == 20
    for _, file, score, decided in points:
        row = halves.test.files.index(file)
        assert score == f"fusion {explore_lib.format_quantity(float(-row))}"
        assert decided.endswith("flagged" if row > 20 else "passed")


def test_one_class_is_explored_as_far_as_it_goes_and_the_rest_is_said(
    make_run, config, dataset, capsys
):
    workdir = make_run(dataset)
    explore_lib.run(config, workdir)
    assert "frechet_distance" not in results_of(workdir)["generation"]
    assert "classifier" not in results_of(workdir).get("latent", {})
    out = capsys.readouterr().out
    for message in ("no classifier can be trained", "telling classes apart takes two"):
        assert f"{message}" in out
        assert message in (workdir / "explore.html").read_text()
    assert (workdir / "figures" / "explore_map.png").exists()


def test_figures_of_an_earlier_exploration_do_not_stay(make_run, config, halves, monkeypatch):
    workdir = make_run(halves)
    explore_lib.run(config, workdir)
    one_class = dataclasses.replace(
        halves, train=dataclasses.replace(halves.train, classes=["lower"] * 40)
    )
    monkeypatch.setattr(pipeline, "load_dataset", lambda data, seed: one_class)
    explore_lib.run(config, workdir)
    assert "frechet_distance" not in results_of(workdir)["generation"]


def test_a_missing_inception_file_is_refused_before_anything_is_written(make_run, config, halves):
    workdir = make_run(halves)
    config.explore.inception = "gone.npz"
    with pytest.raises(UserError, match=r"explore\.inception: there is no file gone\.npz"):
        explore_lib.run(config, workdir)
    assert not (workdir / "explore.html").exists()


def test_an_autoencoder_draws_from_the_mixture_alone(make_run, config, halves):
    workdir = make_run(halves, kind="ae")
    explore_lib.run(config, workdir)
    generation = results_of(workdir)["generation"]
    assert generation["generated"] == "samples, mixture of 2 over training codes"


def test_figures_are_those_of_the_features(make_run, config, halves, monkeypatch):
    def look(images):
        values = np.random.default_rng(0).normal(size=(len(images), 4)).astype(np.float32)
        shift = np.float32(3) if images.dtype == np.float32 else np.float32(0)  # what is decoded
        return values + shift * np.eye(4, dtype=np.float32)[0], _one_hot(np.arange(len(images)) % 2)

    monkeypatch.setattr(parts, "train_features", lambda *_: Features("known", look))
    workdir = make_run(halves)
    explore_lib.run(config, workdir)
    found = results_of(workdir)["generation"]
    assert found["features"] == "known"
    assert found["frechet_distance"] == pytest.approx(9, rel=1e-3)  # same covariance, means 3 apart
    assert found["inception_score"] == pytest.approx(2)  # sure of each, both classes alike
    assert found["others"]["held-out images"]["frechet_distance"] == pytest.approx(0, abs=1e-6)


def test_figures_rest_on_no_image_that_was_learnt_from(make_run, config, halves, monkeypatch):
    looked_at = set()

    def look(images):
        looked_at.update(image.tobytes() for image in images)
        return np.ones((len(images), 2), np.float32), _one_hot(np.arange(len(images)) % 2)

    monkeypatch.setattr(parts, "train_features", lambda *_: Features("known", look))
    explore_lib.run(config, make_run(halves))
    assert any(image.tobytes() in looked_at for image in halves.calibration.images)
    assert not any(image.tobytes() in looked_at for image in halves.train.images)


@pytest.mark.parametrize(("told", "agreement"), [([0, 1], 1), ([1, 0], 0)])
def test_a_label_agrees_where_the_classifier_finds_the_class_that_was_asked_for(
    make_run, config, halves, monkeypatch, told, agreement
):
    """The classifier knows what the decoder makes of each code and class; one is told them swapped."""
    workdir = make_run(halves, num_classes=2)
    trained = trained_lib.load(config, workdir, halves)
    z = draw_prior(trained.model, 20, config.seed)
    made = np.stack([trained.decode(z, np.full(20, label, np.int32)) for label in (0, 1)])
    assert np.abs(made[0] - made[1]).max(axis=(1, 2, 3)).min() > 1e-3

    def look(images):
        distance = np.abs(made - images).sum(axis=(2, 3, 4))
        return images.reshape(20, -1)[:, :5].astype(np.float32), _one_hot(
            np.array(told)[distance.argmin(axis=0)]
        )

    monkeypatch.setattr(parts, "train_features", lambda *_: Features("known", look))
    explore_lib.run(config, workdir)
    assert results_of(workdir)["generation"]["label_agreement"] == agreement


def _one_hot(labels):
    return np.eye(2, dtype=np.float32)[labels]


@pytest.mark.parametrize("kind", ["vae", "ae"])
def test_a_conditional_model_is_shown_whole_and_its_labels_are_said(
    make_run, config, halves, kind, capsys
):
    workdir = make_run(halves, num_classes=2, kind=kind)
    explore_lib.run(config, workdir)
    assert "left out" not in capsys.readouterr().out
    assert {path.name for path in (workdir / "figures").glob("explore_*")} == FIGURES
    page = (workdir / "explore.html").read_text()
    for said in (
        "The class is given to the decoder",
        "The decoder is given the class &lt;/script&gt;&lt;b&gt;upper throughout",
        "The decoder is given the class of the nearer end",
        "decoded images carry the inferred label",
    ):
        assert said in page


def test_fewer_codes_than_components_are_a_smaller_mixture(make_run, config, halves, capsys):
    workdir = make_run(halves, kind="ae")
    config.explore.mixture_components = 100
    explore_lib.run(config, workdir)
    assert "left out" not in capsys.readouterr().out
    found = results_of(workdir)["generation"]
    assert found["generated"] == "samples, mixture of 40 over training codes"


def test_tiles_are_told_apart_by_where_they_start(make_run, config, halves, capsys):
    def tiled(examples):
        rows = np.arange(len(examples.images))
        return dataclasses.replace(
            examples,
            files=[f"strip{row // 2}.png" for row in rows],
            groups=[f"{examples.files[row // 2 * 2]}" for row in rows],
            offsets=(8 * (rows % 2)).astype(np.int32),
        )

    roles = {role: tiled(getattr(halves, role)) for role in ("train", "val", "calibration", "test")}
    tiles = dataclasses.replace(halves, **roles)
    workdir = make_run(tiles)
    write_scores(workdir, tiles.test.names)
    explore_lib.run(config, workdir)
    assert "left out" not in capsys.readouterr().out
    shown = re.search(r"const data = (\{.*\});", (workdir / "explore.html").read_text())
    names = {name: score for _, name, score, _ in json.loads(shown[1])["text"]}
    assert len(names) == 20  # every tile has a name of its own
    for name, score in names.items():
        assert (
            score == f"fusion {explore_lib.format_quantity(float(-tiles.test.names.index(name)))}"
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no row"),
        ("file,mse\n", "holds no row"),
        ("file,mse\na,1\n", "has not the columns"),
    ],
)
def test_scores_that_say_nothing_are_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "scores.csv").write_text(content)
    with pytest.raises(UserError, match=f"{message}.*evaluate again") as refused:
        explore_lib.read_scores(tmp_path / "scores.csv", "")
    assert "\n" not in str(refused.value)


def test_samples_stand_beside_images_of_each_class_in_turn(make_run, config, halves, monkeypatch):
    shown = {}
    original = parts.sample_sections.samples

    def samples(drawn, decoded, real, by_class):
        shown.update(real=real, decoded=decoded)
        return original(drawn, decoded, real, by_class)

    monkeypatch.setattr(parts.sample_sections, "samples", samples)
    monkeypatch.setattr(parts, "_BESIDE", 4)
    workdir = make_run(halves)
    trained = trained_lib.load(config, workdir, halves)
    parts.samples(trained, parts.know(trained))
    name = {
        image.tobytes(): name
        for image, name in zip(halves.test.images, halves.test.classes, strict=True)
    }
    names = [name[image.tobytes()] for image in shown["real"]]
    assert names == ["</script><b>upper", "lower"] * 2
    np.testing.assert_allclose(
        shown["decoded"], trained.reconstruct(shown["real"]).x_hat, atol=1e-6
    )
