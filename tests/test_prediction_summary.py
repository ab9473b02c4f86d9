import pathlib

from vae_jax.prediction_summary import Tally, print_summary

_DECISION = {
    "score": "mse",
    "rule": "each image by its threshold, quantile",
    "threshold": 0.5,
    "threshold_low": None,
    "promised_rate": 0.05,
}
_SUMMARY = {
    "images": 4,
    "rows": 3,
    "anomalous": 2,
    "unreadable": 1,
    "other_depth": 0,
    "in_mask_folders": 0,
    "passed_over": {},
    "images_per_second": 12.3,
    "drift": {"warning": ""},
}


def _print(capsys, **changes):
    print_summary(_SUMMARY | {"decision": _DECISION} | changes, pathlib.Path("predictions.csv"))
    return capsys.readouterr().out


def test_the_printed_rule_is_the_one_that_decided(capsys):
    out = _print(capsys)
    assert "2 of 3 anomalous by mse > 0.5, 0.05 of normal images promised; 1 unreadable" in out
    out = _print(capsys, decision=_DECISION | {"threshold_low": 0.1, "promised_rate": None})
    assert "anomalous by mse > 0.5 or < 0.1; 1 unreadable" in out
    together = {"rule": "all images together, by Benjamini-Hochberg", "promised_rate": None}
    out = _print(capsys, decision=_DECISION | together)
    assert "anomalous by mse, all images together, by Benjamini-Hochberg; 1 unreadable" in out


def test_tiles_are_called_tiles(capsys):
    assert "2 of 30 tiles anomalous" in _print(capsys, rows=30)


def test_masks_among_the_images_are_counted_and_named(capsys):
    tally = Tally(20)
    names = ["good/0.png", "ground_truth/bad/0_mask.png", "bad/0.png"]
    row = {"status": "ok", "anomalous": 0, "p_value": 0.5}
    tally.add([[row | {"file": name}] for name in names])
    assert (tally.images, tally.in_mask_folders) == (3, 1)
    out = _print(capsys, in_mask_folders=1)
    assert "caveat: 1 images are in folders named like those for masks" in out
    assert "caveat" not in _print(capsys)
