from vae_jax.report.evaluation.ranking import rank_results


def test_scores_and_baselines_are_sorted_together_by_auroc(results):
    results["baselines"]["width"] = {"auroc": {"value": 0.99, "low": 0.98, "high": 1.0}}
    rows = rank_results(results)
    values = [row.auroc["value"] for row in rows]
    assert values == sorted(values, reverse=True)
    assert [row.name for row in rows if row.is_baseline] == ["width", "pca", "mean"]
    assert {row.name for row in rows if not row.is_baseline} == {"mse", "kl"}


def test_rows_without_an_auroc_come_last_in_their_order():
    results = {
        "detection": {"a": {}, "b": {"auroc": {"value": 0.0, "low": 0.0, "high": 0.1}}, "c": {}}
    }
    assert [row.name for row in rank_results(results)] == ["b", "a", "c"]


def test_a_value_is_returned_with_or_without_an_interval_in_the_results(results):
    row = rank_results(results)[0]
    assert row.get_value("auroc") == 0.91
    assert row.get_value("recall") == 0.76
    assert row.get_value("unknown") is None


def test_a_baseline_that_decides_has_one_row_and_stays_a_baseline(results):
    results["detection"]["pca"] = results["detection"]["mse"]
    rows = [row for row in rank_results(results) if row.name == "pca"]
    assert [(row.is_baseline, row.get_value("recall")) for row in rows] == [(True, 0.76)]
