"""The page of a comparison, written from runs with hostile names, and opened in a browser."""

import re
import shutil

import pytest

from tests.stored_runs import write_run
from vae_jax.comparison.comparison import compare_runs
from vae_jax.comparison.stored_run import read_run
from vae_jax.report.comparison.page import write_page

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
HOSTILE = "<img src=x onerror=window.hacked=1>\"'`$&"
SIZES = (2, 4, 8)


def write(folder, workdirs):
    folder.mkdir(exist_ok=True)
    return write_page(folder, compare_runs([read_run(w) for w in workdirs]), workdirs)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Path of a page about three methods, two seeds and three datasets."""
    folder = tmp_path_factory.mktemp("page")
    workdirs = [
        write_run(
            folder / f"run {size} #{data} {seed}",
            seed=seed,
            shift=0.5 * size,
            fingerprint=f"images{data}",
            name=HOSTILE,
            model__latent_dim=size,
        )
        for data in range(3)
        for size in SIZES
        for seed in range(2 if data == 0 else 1)
    ]
    (workdirs[0] / "report.html").unlink()
    return write(folder / "comparison", workdirs)


def test_the_page_loads_nothing_and_links_to_the_reports(page):
    html = page.read_text(encoding="utf-8")
    links = [a for a in re.findall(r'(?:src|href)="([^"]*)"', html) if not a.startswith("#")]
    assert len(links) == 11  # of 12 runs, one has no report
    assert links[0] == "../run%202%20%230%201/report.html"
    assert not re.search(r"<img|<link|@import|url\(|https?://", html.replace(r"<img\ ", ""))
    assert "None" not in html
    assert html.count('class="ranks"') == 2


def test_the_page_shows_what_the_files_hold(page):
    html = page.read_text(encoding="utf-8")
    run = read_run(page.parents[1] / "run 2 #0 0")
    assert f"<b>{run.auroc['value']:.3f}</b>" in html
    assert "There are 3 datasets, and Demšar advises more than 10 datasets" in html
    assert "Mean difference over seeds" in html


def test_equal_runs_give_equal_bytes(page, tmp_path):
    workdirs = sorted(page.parents[1].glob("run * 0"))[:3]
    first = write(tmp_path, workdirs).read_bytes()
    assert write(tmp_path, workdirs).read_bytes() == first


def test_runs_on_two_datasets_have_a_reason_in_place_of_a_diagram(page, tmp_path):
    workdirs = [page.parents[1] / f"run {size} #{data} 0" for size in SIZES for data in (1, 2)]
    html = write(tmp_path, workdirs).read_text(encoding="utf-8")
    assert html.count("No ranks.") == 2
    assert "There are 2 datasets" in html
    assert 'class="ranks"' not in html


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs the browser chromium")
def test_tables_sort_nothing_fails_and_the_page_is_accessible(page):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    troubles, requests = [], []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        # On a telephone the tables are wider than the screen, and their cards scroll.
        tab = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
        tab.on("console", lambda message: troubles.append(message.text))
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(page.as_uri())
        runs = tab.locator("section", has=tab.locator("#runs"))
        runs.get_by_role("button", name="AUROC", exact=True).click()
        cells = runs.locator("tbody tr td:nth-child(2)").all_inner_texts()
        assert [float(cell) for cell in cells] == sorted(map(float, cells), reverse=True)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        assert tab.evaluate("window.hacked") is None
        violations = axe.Axe().run(tab).response["violations"]
        assert [v["id"] for v in violations if v["impact"] in ("serious", "critical")] == []
        browser.close()
    assert troubles == []
    assert requests == [page.as_uri()]
