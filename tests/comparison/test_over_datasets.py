import dataclasses

import numpy as np
import pytest

from tests.stored_runs import write_run
from vae_jax.comparison.over_datasets import rank_methods, rank_scores
from vae_jax.comparison.settings import group_runs
from vae_jax.comparison.stored_run import read_run

SIZES = (2, 4, 8, 16)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Four methods on three datasets: the more dimensions, the higher the scores of anomalies."""
    folder = tmp_path_factory.mktemp("datasets")
    return [
        read_run(
            write_run(
                folder / f"{size}_{data}",
                shift=0.3 * size**0.5 + 0.02 * data,
                fingerprint=f"images{data}",
                model__latent_dim=size,
                data__anomaly_classes=(str(data),),
            )
        )
        for data in range(3)
        for size in SIZES
    ]


def test_methods_are_ranked_by_their_deciding_scores(many):
    ranking = rank_methods(group_runs(many))
    assert ranking.competitors == tuple(f"digits (model.latent_dim={size})" for size in SIZES)
    assert len(ranking.datasets) == 3
    expected = np.array([run.auroc["value"] for run in many]).reshape(3, 4)
    assert np.array_equal(ranking.aurocs, expected)
    assert ranking.ranks.average.tolist() == [4, 3, 2, 1]
    assert "Demšar advises more than 10" in ranking.problem


def test_a_method_that_a_dataset_lacks_is_left_out(many):
    ranking = rank_methods(group_runs(many[:-1]))
    assert len(ranking.competitors) == 3
    assert ranking.left_out == ("digits (model.latent_dim=16)",)


def test_runs_of_one_method_on_one_dataset_count_as_their_mean(many, tmp_path):
    again = read_run(
        write_run(
            tmp_path / "a", seed=1, shift=3.0, fingerprint="images0", model__latent_dim=2,
            data__anomaly_classes=("0",),
        )
    )  # fmt: skip
    ranking = rank_methods(group_runs([*many, again]))
    mean = np.mean([many[0].auroc["value"], again.auroc["value"]])
    assert ranking.aurocs[0, 0] == pytest.approx(mean)


@pytest.mark.parametrize("num_datasets", [1, 2])
def test_too_few_datasets_have_no_ranks_but_a_reason(many, num_datasets):
    ranking = rank_methods(group_runs(many[: 4 * num_datasets]))
    assert ranking.ranks is None
    assert "mean nothing" in ranking.problem
    assert ranking.aurocs.shape == (num_datasets, 4)


def test_one_method_or_none_is_not_ranked(many):
    assert "Only one method was run on every" in rank_methods(group_runs(many[::4])).problem
    assert "No method was run on every dataset" in rank_methods(group_runs(many[::5])).problem


def test_only_scores_that_every_run_has_and_that_vary_are_ranked(many):
    results = dict(many[0].results)
    results["detection"] = results["detection"] | {"elbo": results["detection"]["mse"]}
    flat = {"auroc": {"value": 0.5, "low": 0.5, "high": 0.5}}
    changed = [dataclasses.replace(many[0], results=results), *many[1:]]
    changed = [
        dataclasses.replace(
            run, results=run.results | {"baselines": run.results["baselines"] | {"std": flat}}
        )
        for run in changed
    ]
    ranking = rank_scores(group_runs(changed))
    assert ranking.competitors == ("mse", "kl", "pca", "stored_width")
    assert set(ranking.left_out) == {"elbo", "std"}
    means = [np.mean([run.auroc["value"] for run in many[4 * d : 4 * d + 4]]) for d in range(3)]
    assert ranking.aurocs[:, 0] == pytest.approx(means)
