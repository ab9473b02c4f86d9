import dataclasses
import json
import re

import pytest

from vae_jax.errors import UserError
from vae_jax.report.evaluation import page
from vae_jax.report.evaluation.page_scripts import hash_script

SECTIONS = ("results", "images", "scores", "training", "samples")


def read_page(workdir):
    return (workdir / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def write(workdir, results, make_report_images):
    """A function that writes a page with few figures, from results that the test changed."""
    (workdir / "metrics.jsonl").unlink()
    (workdir / "scores.csv").unlink()
    no_cases = make_report_images(num_anomalies=0).anomalies

    def write():
        (workdir / "results.json").write_text(json.dumps(results))
        images = make_report_images()
        no_images = type(images)(*[no_cases] * 5, images.samples[:0], images.error_limit)
        page.write_page(workdir, no_images)
        return read_page(workdir)

    return write


def test_page_loads_nothing_from_elsewhere(full_report):
    html = read_page(full_report)
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert sources
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert not re.search(r"<script [^>]*src|<link|@import|https?://", html)
    assert "default-src 'none'" in html


def test_page_runs_no_script_but_its_own(full_report):
    html = read_page(full_report)
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert re.findall(r"script-src ([^\"]*)\"", html) == [f"'{hash_script(script)}'"]


def test_every_figure_is_also_a_file(full_report):
    curves = ["loss", "reconstruction", "kl", "beta", "learning_rate", "mse", "psnr", "ssim"]
    expected = {f"curve_{name}" for name in curves}
    expected |= {"histogram_mse", "histogram_kl", "roc", "precision_recall"}
    expected |= {"normals", "anomalies", "right", "missed", "false_alarms", "samples"}
    assert {file.stem for file in (full_report / "figures").glob("*.png")} == expected


def test_every_image_has_an_alternative_text(full_report):
    images = re.findall(r"<img[^>]*>", read_page(full_report))
    assert len(images) > 30
    assert all(re.search(r'alt="[^"]+"', image) for image in images)


def test_the_same_run_gives_the_same_bytes(workdir, report_images, full_report):
    page.write_page(workdir, report_images, ["12 images were skipped"])
    assert read_page(workdir) == read_page(full_report)


def test_warnings_come_before_the_results(full_report):
    html = read_page(full_report)
    assert html.index("12 images were skipped") < html.index('id="results"')


def test_numbers_of_the_oracle_are_marked_as_chosen_on_test_data(full_report):
    html = read_page(full_report)
    for number in ("0.01200", "0.881", "0.873"):
        classes = re.findall(r'<td class="([^"]*)">[^<]*' + re.escape(number), html)
        assert classes == ["n oracle"] * 2
    assert "chosen on test data" in html


def test_sections_without_data_are_left_out(results, full_report, write):
    for name in set(results) - {"dataset"}:
        del results[name]
    full, bare = read_page(full_report), write()
    for section in SECTIONS:
        for attribute in (f'id="{section}"', f'href="#{section}"'):
            assert attribute in full
            assert attribute not in bare
    assert "None" not in bare


def test_names_from_outside_are_never_markup(workdir, results, make_report_images):
    evil = '<script>alert("1")</script> & $\\frac{1}$ \u4e2d.png'
    scores = workdir / "scores.csv"
    scores.write_text(scores.read_text().replace(",1,0,", ",<b>1</b>,0,"))
    for entry in results["detection"].values():
        entry["per_class"]["<b>1</b>"] = 0.5
    (workdir / "results.json").write_text(json.dumps(results))
    page.write_page(workdir, make_report_images(caption=evil), [evil])
    html = read_page(workdir)
    assert '<script>alert("1")' not in html
    assert "<b>1</b>" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;1&lt;/b&gt;" in html


def test_a_test_set_without_anomalies_has_a_page(
    workdir, results, make_report_images, write_scores
):
    results["dataset"]["counts"]["test_anomaly"] = 0
    for entry in (*results["detection"].values(), *results["baselines"].values()):
        for key in ("auroc", "auprc", "fpr95", "recall", "precision", "f1", "oracle"):
            entry.pop(key, None)
    del results["reconstruction"]["anomaly"]
    (workdir / "results.json").write_text(json.dumps(results))
    write_scores(workdir / "scores.csv", num_anomalies=0)
    page.write_page(workdir, make_report_images(num_anomalies=0))
    assert "Anomalous images" not in read_page(workdir)
    assert not (workdir / "figures" / "roc.png").exists()


def test_two_sided_thresholds_show_both_limits(results, write):
    results["detection"]["kl"] |= {"threshold_low": 7.5, "threshold": 16.25}
    assert "&lt; 7.500 or &gt; 16.25" in write()


@pytest.mark.parametrize(("low", "start"), [(0.87, "0.5"), (0.43, "0.4"), (0.169, "0.1")])
def test_the_axis_of_the_bars_begins_below_every_interval(results, write, low, start):
    results["baselines"] = {}
    results["detection"]["kl"]["auroc"] |= {"value": max(low, 0.5), "low": low}
    assert f"<span>{start}</span><span>1.0</span>" in write()


def test_numbers_of_optional_groups_are_shown(results, write):
    results["localisation"] = {"error": {"pixel_auroc": 0.8125}}
    results["latent"] = {"active_units": 2, "informative_units": 1, "kl_per_dimension": [0.1, 0.2]}
    html = write()
    assert '<th scope="row">error</th><td class="n">0.812</td>' in html
    assert '<th scope="row">latent dimensions in use</th><td class="n">1 of 2</td>' in html


def test_strips_are_compared_with_both_kinds_of_normal_tiles(results, strip_results, write):
    results["strips"] = strip_results
    results["localisation"] = {"mse": strip_results["maps"]["mse"]["pixel"]}
    html = write()
    row = re.search(r'<th scope="row">mse map</th>.*', html)[0]
    assert re.findall(r'<td class="n">([^<]*)', row) == [
        "0.580 (0.540 to 0.620)", "0.710 (0.670 to 0.750)", "0.620 (0.580 to 0.660)",
        "0.843 (0.811 to 0.872)", "0.519",
    ]  # fmt: skip
    assert "8 normal and 48 anomalous strips" in html
    assert "different conditions" in html
    assert re.search(r'<th scope="row">mse</th><td class="n">0.843 \(0.811 to 0.872\)</td>', html)


def test_films_are_embedded_with_their_captions(workdir, write):
    (workdir / "figures").mkdir()
    (workdir / "figures" / "film_latent_map.gif").write_bytes(b"GIF89a")
    html = write()
    assert "data:image/gif;base64,R0lGODlh" not in html  # the training section needs a history
    row = '{"step": 1, "epoch": 1, "split": "train", "loss": 1.0}'
    (workdir / "metrics.jsonl").write_text(f"{row}\n")
    assert '<img src="data:image/gif;base64,R0lGODlh" alt="Posterior means' in write()


def test_a_model_of_other_observations_shows_maps_and_no_reconstructions(
    workdir, results, make_report_images
):
    config = json.loads((workdir / "config.json").read_text())
    config["model"] |= {"observations": ["features", "bands"], "kind": "linear"}
    (workdir / "config.json").write_text(json.dumps(config))
    names = ("features_cosine_max", "hedge", "padim_max")
    results["detection"] = dict.fromkeys(names, results["detection"]["mse"])
    results["decision"]["score"] = "hedge"
    (workdir / "results.json").write_text(json.dumps(results))
    images = make_report_images()
    galleries = {
        name: dataclasses.replace(getattr(images, name), reconstructions=None)
        for name in ("normals", "anomalies", "right", "missed", "false_alarms")
    }
    images = dataclasses.replace(
        images, **galleries, samples=images.samples[:0], map_name="features_place_nll"
    )
    page.write_page(workdir, images)
    html = read_page(workdir)
    assert "map: <code>features_place_nll</code>" in html
    assert 'alt="its anomaly map"' in html
    assert 'alt="its reconstruction"' not in html
    assert 'id="samples"' not in html
    for text in ("14 x 14 cells, 256 channels", "fitted in closed form", "larger of fusion_mean"):
        assert text in html


def test_missing_results_are_an_error_that_says_what_to_run(workdir, report_images):
    (workdir / "results.json").unlink()
    with pytest.raises(UserError, match="--mode=evaluate"):
        page.write_page(workdir, report_images)
    assert not (workdir / "report.html").exists()
