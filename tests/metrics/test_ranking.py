import numpy as np

from vae_jax.metrics import detection, ranking


def test_a_ranking_holds_three_measures_whose_intervals_groups_widen():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], [80, 120])
    scores = np.repeat(rng.normal(size=50), 4) + labels
    measures = ranking.measure_ranking(scores, labels)
    assert measures["auroc"]["value"] == detection.auroc(scores, labels)
    assert measures["auprc"]["value"] == detection.auprc(scores, labels)
    assert measures["fpr95"]["value"] == detection.fpr_at_tpr(scores, labels)
    grouped = ranking.measure_ranking(scores, labels, np.arange(200) // 4)
    for name, interval in measures.items():
        wide = grouped[name]
        assert wide["value"] == interval["value"]
        assert wide["low"] <= interval["low"]
        assert wide["high"] >= interval["high"]
        assert wide["high"] - wide["low"] > interval["high"] - interval["low"]
