import pytest

from tests.stored_runs import write_run
from vae_jax.comparison.settings import group_runs
from vae_jax.comparison.stored_run import read_run
from vae_jax.errors import UserError


def group(folder, *runs):
    return group_runs(
        [read_run(write_run(folder / str(i), **fields)) for i, fields in enumerate(runs)]
    )


def test_runs_that_differ_only_in_their_seed_are_one_setting(settings):
    assert [setting.label for setting in settings] == [
        "digits (model.latent_dim=4)", "digits (model.latent_dim=8)",
    ]  # fmt: skip
    assert [[run.seed for run in setting.runs] for setting in settings] == [[0, 1, 2]] * 2
    assert len({setting.dataset for setting in settings}) == 1


def test_cells_of_an_ablation_are_named_without_their_seed(tmp_path):
    cells = [{"seed": seed, "name": f"digits base,seed={seed}"} for seed in (0, 1)]
    (setting,) = group(tmp_path, *cells)
    assert setting.label == "digits base"


def test_fields_that_change_no_score_do_not_separate_runs(tmp_path):
    (setting,) = group(
        tmp_path,
        {"seed": 3},
        {"seed": 1, "report__cases": 3, "scoring__names": ("mse",), "data__dir": "elsewhere"},
    )
    assert [run.seed for run in setting.runs] == [1, 3]
    assert setting.label == "digits"


def test_runs_that_decide_by_other_scores_are_different_settings(tmp_path):
    first, second = group(tmp_path, {}, {"seed": 1, "deciding": "kl"})
    assert (first.label, second.label) == ("digits (score=mse)", "digits (score=kl)")


def test_one_config_on_other_images_is_one_method_on_two_datasets(tmp_path):
    first, second = group(tmp_path, {}, {"fingerprint": "def", "data__anomaly_classes": ("1",)})
    assert first.method == second.method
    assert first.dataset != second.dataset
    assert first.label != second.label


def test_another_crop_is_another_method_on_the_same_dataset(tmp_path):
    first, second = group(tmp_path, {}, {"data__crop": 0.7})
    assert first.method != second.method
    assert first.dataset == second.dataset


def test_the_same_run_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"have the same config and the seed 0, .* count twice"):
        group(tmp_path, {}, {})


def test_long_differences_and_characters_that_cannot_be_shown_are_shortened(tmp_path):
    classes = tuple("abcdefghijklmnopqrstuvwxyz")
    other = {"data__crop": 0.5, "data__roi": "ellipse", "model__sigma": 3.0}
    _, last = group(
        tmp_path, {"name": "a\nb"}, {"name": "a\nb", "data__normal_classes": classes, **other}
    )
    assert "\n" not in last.label
    assert len(last.label) < 150
    assert "1 more" in last.label
