import json
import re

import pytest

from vae_jax.errors import UserError
from vae_jax.report.evaluation import page

SECTIONS = ("results", "images", "scores", "training", "samples")


def test_page_loads_nothing_from_elsewhere(workdir, report_images):
    html = page.write_page(workdir, report_images).read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert sources
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert not re.search(r"<script|<link|@import|url\(|https?://", html)
    assert "default-src 'none'" in html


def test_every_figure_is_also_a_file(workdir, report_images):
    page.write_page(workdir, report_images)
    curves = ["loss", "reconstruction", "kl", "beta", "learning_rate", "mse", "psnr", "ssim"]
    expected = {f"curve_{name}" for name in curves}
    expected |= {"histogram_mse", "histogram_kl", "roc", "precision_recall"}
    expected |= {"normals", "anomalies", "best", "worst", "samples"}
    assert {file.stem for file in (workdir / "figures").glob("*.png")} == expected


def test_every_image_has_an_alternative_text(workdir, report_images):
    html = page.write_page(workdir, report_images).read_text(encoding="utf-8")
    assert all(re.search(r'alt="[^"]+"', image) for image in re.findall(r"<img[^>]*>", html))


def test_names_from_outside_are_never_markup(workdir, results, make_report_images):
    evil = '<script>alert("1")</script> & $\\frac{1}$ \u4e2d.png'
    scores = workdir / "scores.csv"
    scores.write_text(scores.read_text().replace(",1,0,", ",<b>1</b>,0,"))
    for entry in results["detection"].values():
        entry["per_class"]["<b>1</b>"] = 0.5
    (workdir / "results.json").write_text(json.dumps(results))
    html = page.write_page(workdir, make_report_images(caption=evil), [evil]).read_text(
        encoding="utf-8"
    )
    assert "<script" not in html
    assert "<b>1</b>" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;1&lt;/b&gt;" in html


def test_a_test_set_without_anomalies_still_gets_a_page(
    workdir, results, make_report_images, write_scores
):
    results["dataset"]["counts"]["test_anomaly"] = 0
    for entry in (*results["detection"].values(), *results["baselines"].values()):
        for key in ("auroc", "auprc", "fpr95", "recall", "precision", "f1", "oracle"):
            entry.pop(key, None)
    del results["reconstruction"]["anomaly"]
    (workdir / "results.json").write_text(json.dumps(results))
    write_scores(workdir / "scores.csv", num_anomalies=0)
    html = page.write_page(workdir, make_report_images(num_anomalies=0)).read_text(encoding="utf-8")
    assert "Anomalous images" not in html
    assert not (workdir / "figures" / "roc.png").exists()


def test_sections_without_data_are_left_out(workdir, results, report_images, make_report_images):
    full = page.write_page(workdir, report_images).read_text(encoding="utf-8")
    (workdir / "results.json").write_text(json.dumps({"dataset": results["dataset"]}))
    (workdir / "metrics.jsonl").unlink()
    (workdir / "scores.csv").unlink()
    no_cases = make_report_images(num_anomalies=0).anomalies
    no_images = type(report_images)(
        no_cases, no_cases, no_cases, no_cases, report_images.samples[:0], report_images.error_limit
    )
    bare = page.write_page(workdir, no_images).read_text(encoding="utf-8")
    for section in SECTIONS:
        for attribute in (f'id="{section}"', f'href="#{section}"'):
            assert attribute in full
            assert attribute not in bare
    assert "None" not in bare


def test_same_run_gives_the_same_bytes(workdir, report_images):
    first = page.write_page(workdir, report_images).read_bytes()
    assert page.write_page(workdir, report_images).read_bytes() == first


def test_warnings_come_before_the_results(workdir, report_images):
    html = page.write_page(workdir, report_images, ["12 images were skipped"]).read_text(
        encoding="utf-8"
    )
    assert html.index("12 images were skipped") < html.index('id="results"')


def test_numbers_of_the_oracle_are_marked_as_chosen_on_test_data(workdir, report_images):
    html = page.write_page(workdir, report_images).read_text(encoding="utf-8")
    for number in ("0.01200", "0.881", "0.873"):
        assert (
            re.findall(r'<td class="([^"]*)">[^<]*' + re.escape(number), html) == ["n oracle"] * 2
        )
    assert "chosen on test data" in html


def test_two_sided_threshold_shows_both_limits(workdir, results, report_images):
    results["detection"]["kl"] |= {"threshold_low": 7.5, "threshold": 16.25}
    (workdir / "results.json").write_text(json.dumps(results))
    html = page.write_page(workdir, report_images).read_text(encoding="utf-8")
    assert "&lt; 7.500 or &gt; 16.25" in html


def test_numbers_of_optional_groups_are_shown(workdir, results, report_images):
    results["localisation"] = {"error": {"pixel_auroc": 0.8125}}
    results["latent"] = {"active_units": 11, "kl_per_dimension": [0.1, 0.2]}
    (workdir / "results.json").write_text(json.dumps(results))
    html = page.write_page(workdir, report_images).read_text(encoding="utf-8")
    assert "localisation.error.pixel_auroc" in html
    assert "0.8125" in html
    assert "latent.active_units" in html


def test_strips_are_compared_with_both_kinds_of_normal_tiles(
    workdir, results, report_images, strip_results
):
    results["strips"] = strip_results
    results["localisation"] = {"mse": strip_results["maps"]["mse"]["pixel"]}
    (workdir / "results.json").write_text(json.dumps(results))
    html = page.write_page(workdir, report_images).read_text(encoding="utf-8")
    row = re.search(r'<th scope="row">mse map</th>.*', html)[0]
    assert re.findall(r'<td class="n">([^<]*)', row) == [
        "0.580 (0.540 to 0.620)", "0.710 (0.670 to 0.750)", "0.620 (0.580 to 0.660)",
        "0.843 (0.811 to 0.872)", "0.519",
    ]  # fmt: skip
    assert "8 normal and 48 anomalous strips" in html
    assert "different conditions" in html
    assert "0.8430 (0.811 to 0.872)" in html
    assert "localisation.mse.intervals" not in html


def test_missing_results_are_an_error_that_says_what_to_run(workdir, report_images):
    (workdir / "results.json").unlink()
    with pytest.raises(UserError, match="--mode=evaluate"):
        page.write_page(workdir, report_images)
    assert not (workdir / "report.html").exists()
