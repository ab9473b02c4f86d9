"""The data of the scripts: exact numbers, within a budget, and harmless inside of a page."""

import base64
import json

import numpy as np
import pytest

from vae_jax.report.evaluation import live_data
from vae_jax.report.evaluation.run_files import ScoreTable


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(size=40) for name in ("mse", "kl", "fusion", "p_value")}
    return ScoreTable(["a"] * 20 + ["b"] * 20, np.repeat([0, 1], 20), columns)


@pytest.fixture
def results():
    detection = {"mse": {"threshold": 0.5}, "kl": {"threshold": 1.0, "threshold_low": -1.0}}
    detection["fusion"] = {"threshold": 0.25}
    return {
        "detection": detection | {"elbo": {}},
        "decision": {"score": "fusion", "rule": "quantile", "promised": 0.05},
    }


def decode(column):
    return np.frombuffer(base64.b64decode(column["data"]), "<" + column["type"])


def collect(scores, results, report_images):
    return live_data.collect_live_data(scores, results, report_images)


@pytest.mark.parametrize(
    ("values", "kind"), [([0.5, -2.0], "f4"), ([0.1, 1 / 3], "f8"), ([1e300], "f8")]
)
def test_columns_are_exact_in_the_shortest_type(values, kind):
    column = live_data.encode_column(np.array(values))
    assert column["type"] == kind
    np.testing.assert_array_equal(decode(column), values)


def test_the_deciding_score_is_first_and_every_score_has_its_values(scores, results, report_images):
    data = collect(scores, results, report_images)
    assert [score["name"] for score in data["scores"]] == ["fusion", "mse", "kl"]
    for score in data["scores"]:
        np.testing.assert_array_equal(decode(score["values"]), scores.columns[score["name"]])
    assert data["scores"][2]["low"] == -1.0
    assert (data["deciding"], data["wanted"], data["jointly"]) == ("fusion", 0.05, False)
    np.testing.assert_array_equal(decode(data["pValues"]), scores.columns["p_value"])
    assert [data["classes"][number] for number in data["classOf"]] == scores.classes


def test_scores_beyond_the_budget_are_left_out_but_the_deciding_one_stays(
    scores, results, report_images, monkeypatch
):
    monkeypatch.setattr(live_data, "SCORE_BUDGET", 1)
    data = collect(scores, results, report_images)
    assert [score["name"] for score in data["scores"]] == ["fusion"]


def test_without_a_threshold_there_is_nothing_to_move(scores, report_images):
    assert collect(scores, {"detection": {"mse": {}}}, report_images) is None


def test_texts_cannot_end_the_script_that_holds_them():
    hostile = ["</script><img onerror=alert(1)>", "\u2028 & <!--"]
    text = live_data.write_json(hostile)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == hostile


def test_numbers_that_json_lacks_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        live_data.write_json({"threshold": float("nan")})
