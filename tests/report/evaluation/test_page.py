import json
import re

import pytest

from vae_jax.errors import UserError
from vae_jax.report.evaluation import page

SECTIONS = ("results", "images", "scores", "training", "samples")


def test_page_loads_nothing_from_anywhere(workdir, gallery):
    html = page.write(workdir, gallery).read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert sources
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert not re.search(r"<script|<link|@import|url\(|https?://", html)
    assert "default-src 'none'" in html


def test_every_figure_is_also_a_file(workdir, gallery):
    page.write(workdir, gallery)
    curves = ["loss", "reconstruction", "kl", "beta", "learning_rate", "mse", "psnr", "ssim"]
    expected = {f"curve_{name}" for name in curves}
    expected |= {"histogram_mse", "histogram_kl", "roc", "precision_recall"}
    expected |= {"normals", "anomalies", "best", "worst", "samples"}
    assert {file.stem for file in (workdir / "figures").glob("*.png")} == expected


def test_every_image_has_words_for_who_cannot_see_it(workdir, gallery):
    html = page.write(workdir, gallery).read_text(encoding="utf-8")
    assert all(re.search(r'alt="[^"]+"', image) for image in re.findall(r"<img[^>]*>", html))


def test_names_from_outside_cannot_become_markup(workdir, results, make_gallery):
    evil = '<script>alert("1")</script> & $\\frac{1}$ \u4e2d.png'
    scores = workdir / "scores.csv"
    scores.write_text(scores.read_text().replace(",1,0,", ",<b>1</b>,0,"))
    for entry in results["detection"].values():
        entry["per_class"]["<b>1</b>"] = 0.5
    (workdir / "results.json").write_text(json.dumps(results))
    html = page.write(workdir, make_gallery(caption=evil), [evil]).read_text(encoding="utf-8")
    assert "<script" not in html
    assert "<b>1</b>" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;1&lt;/b&gt;" in html


def test_a_test_set_without_anomalies_still_gets_a_page(
    workdir, results, make_gallery, write_scores
):
    results["dataset"]["counts"]["test_anomaly"] = 0
    for entry in (*results["detection"].values(), *results["baselines"].values()):
        for key in ("auroc", "auprc", "fpr95", "recall", "precision", "f1", "oracle"):
            entry.pop(key, None)
    del results["reconstruction"]["anomaly"]
    (workdir / "results.json").write_text(json.dumps(results))
    write_scores(workdir / "scores.csv", num_anomalies=0)
    html = page.write(workdir, make_gallery(num_anomalies=0)).read_text(encoding="utf-8")
    assert "Anomalous images" not in html
    assert not (workdir / "figures" / "roc.png").exists()


def test_sections_without_data_are_left_out(workdir, results, gallery, make_gallery):
    full = page.write(workdir, gallery).read_text(encoding="utf-8")
    (workdir / "results.json").write_text(json.dumps({"dataset": results["dataset"]}))
    (workdir / "metrics.jsonl").unlink()
    (workdir / "scores.csv").unlink()
    nothing = make_gallery(num_anomalies=0).anomalies
    bare_gallery = type(gallery)(
        nothing, nothing, nothing, nothing, gallery.samples[:0], gallery.error_limit
    )
    bare = page.write(workdir, bare_gallery).read_text(encoding="utf-8")
    for section in SECTIONS:
        for mark in (f'id="{section}"', f'href="#{section}"'):
            assert mark in full
            assert mark not in bare
    assert "None" not in bare


def test_same_run_gives_the_same_bytes(workdir, gallery):
    first = page.write(workdir, gallery).read_bytes()
    assert page.write(workdir, gallery).read_bytes() == first


def test_warnings_stand_before_the_results(workdir, gallery):
    html = page.write(workdir, gallery, ["12 images were skipped"]).read_text(encoding="utf-8")
    assert html.index("12 images were skipped") < html.index('id="results"')


def test_what_was_picked_on_test_data_says_so(workdir, gallery):
    html = page.write(workdir, gallery).read_text(encoding="utf-8")
    for picked in ("0.01200", "0.881", "0.873"):
        assert (
            re.findall(r'<td class="([^"]*)">[^<]*' + re.escape(picked), html) == ["n oracle"] * 2
        )
    assert "picked on test data" in html


def test_two_sided_threshold_shows_both_limits(workdir, results, gallery):
    results["detection"]["kl"] |= {"threshold_low": 7.5, "threshold": 16.25}
    (workdir / "results.json").write_text(json.dumps(results))
    html = page.write(workdir, gallery).read_text(encoding="utf-8")
    assert "&lt; 7.500 or &gt; 16.25" in html


def test_later_measures_of_the_contract_are_shown(workdir, results, gallery):
    results["localisation"] = {"error": {"pixel_auroc": 0.8125}}
    results["latent"] = {"active_units": 11, "kl_per_dimension": [0.1, 0.2]}
    (workdir / "results.json").write_text(json.dumps(results))
    html = page.write(workdir, gallery).read_text(encoding="utf-8")
    assert "localisation.error.pixel_auroc" in html
    assert "0.8125" in html
    assert "latent.active_units" in html


def test_strips_are_compared_with_each_kind_of_tile(workdir, results, gallery, strip_results):
    results["strips"] = strip_results
    results["localisation"] = {"mse": strip_results["maps"]["mse"]["pixel"]}
    (workdir / "results.json").write_text(json.dumps(results))
    html = page.write(workdir, gallery).read_text(encoding="utf-8")
    row = re.search(r'<th scope="row">mse map</th>.*', html)[0]
    assert re.findall(r'<td class="n">([^<]*)', row) == [
        "0.580 (0.540 to 0.620)", "0.710 (0.670 to 0.750)", "0.620 (0.580 to 0.660)",
        "0.843 (0.811 to 0.872)", "0.519",
    ]  # fmt: skip
    assert "8 normal and 48 anomalous strips" in html
    assert "other conditions" in html
    assert "0.8430 (0.811 to 0.872)" in html
    assert "localisation.mse.intervals" not in html


def test_missing_results_are_the_users_to_mend(workdir, gallery):
    (workdir / "results.json").unlink()
    with pytest.raises(UserError, match="--mode=evaluate"):
        page.write(workdir, gallery)
    assert not (workdir / "report.html").exists()
