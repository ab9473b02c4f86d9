"""The live page in a browser: what it computes, how it is walked through, and what it must not do."""

import csv
import dataclasses
import json
import pathlib
import shutil
from collections.abc import Iterator

import numpy as np
import pytest

from tests.report import conftest as made
from vae_jax.report.evaluation.cases import Thumbnails
from vae_jax.report.evaluation.page import write_page

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs the browser chromium"),
]
HOSTILE = (
    "<img src=x onerror=window.hacked=1>\"'`${window.hacked=1}$&</script><script>window.hacked=1//"
)


@dataclasses.dataclass(frozen=True)
class Live:
    """A page in the browser, the rows of its `scores.csv`, and what went wrong or was requested."""

    page: "playwright.Page"
    address: str
    rows: list[dict[str, str]]
    troubles: list[str]

    def open(self, fragment: str = "") -> None:
        self.page.goto("about:blank")
        self.page.goto(self.address + fragment)

    def read(self, name: str) -> str:
        return self.page.locator(f"#{name}").inner_text()

    def count(self, score: str, threshold: float) -> dict[str, int]:
        values = np.array([float(row[score]) for row in self.rows])
        labels = np.array([int(row["label"]) for row in self.rows])
        flagged = values > threshold
        return {
            "found": int((flagged & (labels == 1)).sum()),
            "missed": int((~flagged & (labels == 1)).sum()),
            "false_alarms": int((flagged & (labels == 0)).sum()),
            "passed": int((~flagged & (labels == 0)).sum()),
        }

    def read_counts(self) -> dict[str, int]:
        names = ("found", "missed", "false_alarms", "passed")
        return {name: int(self.read(f"count-{name}").replace(",", "")) for name in names}

    def list_cells(self) -> list[int]:
        """Returns the rows of the images that the gallery shows, in its order."""
        # The gallery follows the threshold one frame later.
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
        )
        return self.page.eval_on_selector_all(
            "#gallery-grid .cell", "cells => cells.map((cell) => Number(cell.dataset.row))"
        )


def write_report(folder: pathlib.Path) -> list[dict[str, str]]:
    """Writes a report with hostile names of classes and files; returns the rows of `scores.csv`."""
    made._write_workdir(folder, made._make_results())
    with (folder / "scores.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for number, row in enumerate(rows):
        row["file"] = f"{number:03d} {HOSTILE}.png"
        row["class"] = HOSTILE if row["class"] == "0" else row["class"]
    with (folder / "scores.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    pixels = np.random.default_rng(0).integers(0, 256, (len(rows), 8, 8, 3)).astype(np.uint8)
    files = [row["file"] for row in rows]
    thumbnails = Thumbnails(np.arange(len(rows)), files, pixels, True)
    images = made._make_report_images(caption=HOSTILE)
    anomalies = dataclasses.replace(images.anomalies, rows=np.array([130, 140, 150]))
    normal = np.array([float(row["mse"]) for row in rows if row["label"] == "0"])
    images = dataclasses.replace(
        images, anomalies=anomalies, thumbnails=thumbnails, calibration={"mse": normal}
    )
    write_page(folder, images, [f"a note about {HOSTILE}"])
    return rows


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    rows = write_report(folder)
    troubles: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: troubles.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))

        def note_request(request: "playwright.Request") -> None:
            if request.url.split("#")[0] != address and not request.url.startswith("data:"):
                troubles.append(f"request: {request.url}")

        address = (folder / "report.html").as_uri()
        page.on("request", note_request)
        yield Live(page, address, rows, troubles)
        browser.close()


@pytest.fixture
def live(opened: Live) -> Iterator[Live]:
    """The page, opened anew; every test also checks that nothing failed or was requested."""
    opened.open()
    yield opened
    assert opened.page.evaluate("window.hacked") is None
    assert opened.troubles == []


def test_the_calibrated_threshold_is_shown_first(live: Live):
    assert live.read_counts() == live.count("mse", 0.0134)
    assert "Calibrated threshold" in live.read("live-state")


@pytest.mark.parametrize("place", ["250", "600", "900"])
def test_the_slider_moves_the_confusion_matrix(live: Live, place: str):
    live.page.locator("#live-slider").fill(place)
    threshold = float(live.page.locator("#live-threshold").input_value())
    counts = live.count("mse", threshold)
    assert threshold != 0.0134
    assert live.read_counts() == counts
    recall = counts["found"] / (counts["found"] + counts["missed"])
    assert float(live.read("live-recall")) == pytest.approx(recall, abs=6e-4)
    assert "Chosen on test data" in live.read("live-state")
    live.page.locator("#live-reset").click()
    assert live.read_counts() == live.count("mse", 0.0134)


def test_another_score_is_counted_by_its_own_values(live: Live):
    live.page.locator("#live-score").select_option("kl")
    live.page.locator("#live-threshold").fill("12.5")
    assert live.read_counts() == live.count("kl", 12.5)


def test_the_promised_rate_is_kept_on_calibration_images(live: Live):
    live.page.locator("#live-rate").fill("80")  # 20 %
    threshold = float(live.page.locator("#live-threshold").input_value())
    normal = np.array([float(row["mse"]) for row in live.rows if row["label"] == "0"])
    assert (1 + (normal > threshold).sum()) / (1 + len(normal)) == pytest.approx(0.2, abs=0.01)
    assert (1 + (normal > threshold).sum()) / (1 + len(normal)) <= 0.2


def test_the_gallery_is_sorted_by_a_score(live: Live):
    live.page.locator("#gallery-sort").select_option("kl")
    values = np.array([float(row["kl"]) for row in live.rows])
    assert live.list_cells() == np.argsort(-values).tolist()
    live.page.locator("#gallery-order").select_option("up")
    assert live.list_cells() == np.argsort(values).tolist()


def test_the_gallery_shows_only_what_is_asked_for(live: Live):
    live.page.locator("#gallery-kind").select_option("missed")
    missed = [
        number
        for number, row in enumerate(live.rows)
        if row["label"] == "1" and float(row["mse"]) <= 0.0134
    ]
    assert sorted(live.list_cells()) == missed
    live.page.locator("#gallery-class").select_option("1")
    assert live.list_cells() == []
    live.page.locator("#gallery-class").select_option(HOSTILE)
    assert sorted(live.list_cells()) == missed
    live.page.locator("#live-threshold").fill("1000")
    assert len(live.list_cells()) == live.count("mse", 1000)["missed"] == 80


def test_a_table_is_sorted_by_a_click_on_its_heading(live: Live):
    table = live.page.locator("section:has(#results) table").first
    heading = table.locator("th", has_text="AUROC").first
    column = "rows => rows.map((row) => row.cells[1].textContent.trim()).filter((text) => text)"
    for order, reverse in (("descending", True), ("ascending", False)):
        heading.locator("button.sort").click()
        assert heading.get_attribute("aria-sort") == order
        values = [float(text) for text in table.locator("tbody tr").evaluate_all(column)]
        assert len(values) > 2
        assert values == sorted(values, reverse=reverse)


def test_the_keyboard_walks_through_the_gallery_and_its_images(live: Live):
    cells = live.list_cells()
    live.page.locator("#gallery-grid .cell").first.focus()
    live.page.keyboard.press("ArrowRight")
    live.page.keyboard.press("Enter")
    assert live.read("viewer-title") == live.rows[cells[1]]["file"]
    live.page.keyboard.press("ArrowRight")
    assert live.read("viewer-title") == live.rows[cells[2]]["file"]
    assert f"image={cells[2]}" in live.page.url
    live.page.keyboard.press("Escape")
    assert not live.page.locator("#viewer").is_visible()
    assert "image=" not in live.page.url


def test_the_address_brings_back_a_view(live: Live):
    live.open("#score=kl&threshold=11.5&show=false_alarms&order=up&image=140")
    assert live.read_counts() == live.count("kl", 11.5)
    assert live.read("viewer-title") == live.rows[140]["file"]
    live.page.keyboard.press("Escape")
    cells = live.list_cells()
    assert len(cells) == live.count("kl", 11.5)["false_alarms"]
    values = [float(live.rows[number]["kl"]) for number in cells]
    assert values == sorted(values)


@pytest.mark.parametrize(
    "fragment", ["#results", "#score=none&threshold=x&image=-4&show=%3Cb%3E", "#image=1e9&a=b=c"]
)
def test_an_address_that_describes_no_view_opens_the_first_one(live: Live, fragment: str):
    live.open(fragment)
    assert live.read_counts() == live.count("mse", 0.0134)
    assert not live.page.locator("#viewer").is_visible()


def test_hostile_names_are_text(live: Live):
    live.page.locator("#anomalies .enlarge, .case[data-row='130'] .enlarge").first.click()
    assert live.read("viewer-title") == live.rows[130]["file"]
    assert HOSTILE in live.read("viewer-verdict")
    assert live.page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_can_be_used_by_everybody(live: Live, scheme: str):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-core")
    live.page.emulate_media(color_scheme=scheme)
    # The address opens the dialog, which hides the rest; both are looked at.
    for fragment in ("", "#image=130"):
        live.open(fragment)
        violations = axe.Axe().run(live.page).response["violations"]
        grave = [rule for rule in violations if rule["impact"] in ("serious", "critical")]
        texts = [(rule["id"], node["html"][:150]) for rule in grave for node in rule["nodes"][:3]]
        assert not texts, json.dumps(texts, indent=1)
