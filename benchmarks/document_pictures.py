"""The pictures of the documents, made from finished runs: pages seen by a browser, figures and overlays.

    python benchmarks/document_pictures.py --run=RUN --predictions=DIR --digits=RUN [--output=docs/images]

RUN is the workdir of the tutorial, with `audit.html` and `report.html`, DIR its predictions with overlays,
and the last RUN a run of the digits after `--mode=explore`. The script needs chromium. Every picture is
a WebP file of less than 150 kB.
"""

import argparse
import csv
import pathlib
import subprocess
import tempfile

from PIL import Image

WIDTH = 1200  # pixels of a picture, about twice its size on the page
MAX_BYTES = 150_000
_NUM_OVERLAYS = 8


def photograph_page(page: pathlib.Path, height: int) -> Image.Image:
    """Returns the upper part of a page as a browser shows it.

    Args:
        page: the HTML file.
        height: number of pixels from the top.
    """
    with tempfile.TemporaryDirectory() as folder:
        picture = pathlib.Path(folder) / "page.png"
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", f"--screenshot={picture}",
             f"--window-size={WIDTH},{height}", page.resolve().as_uri()],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        return Image.open(picture).convert("RGB")


def read_figure(path: pathlib.Path) -> Image.Image:
    """Returns a figure of a run with the width of a picture."""
    figure = Image.open(path).convert("RGB")
    return figure.resize((WIDTH, round(figure.height * WIDTH / figure.width)))


def join_overlays(predictions: pathlib.Path) -> Image.Image:
    """Returns the overlays of the first images of a prediction, in the order of their p-values."""
    with (predictions / "predictions.csv").open(newline="", encoding="utf-8") as stream:
        rows = sorted(csv.DictReader(stream), key=lambda row: float(row["p_value"] or 2))
    side, columns = WIDTH // 4, 4
    sheet = Image.new("RGB", (WIDTH, -(-_NUM_OVERLAYS // columns) * (side + 20)), "white")
    for place, row in enumerate(rows[:_NUM_OVERLAYS]):
        overlay = Image.open(predictions / "overlays" / f"{row['file']}.png").convert("RGB")
        overlay.thumbnail((side - 8, side + 16))
        sheet.paste(overlay, (place % columns * side, place // columns * (side + 20)))
    return sheet


def write_picture(picture: Image.Image, path: pathlib.Path) -> None:
    """Writes a picture as WebP in the highest quality that is small enough."""
    for quality in range(90, 20, -10):
        picture.save(path, quality=quality, method=6)
        if path.stat().st_size < MAX_BYTES:
            print(f"{path}: {picture.width}x{picture.height}, {path.stat().st_size:,} bytes")
            return


def main() -> None:
    """Writes all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=pathlib.Path, required=True)
    parser.add_argument("--predictions", type=pathlib.Path, required=True)
    parser.add_argument("--digits", type=pathlib.Path, required=True)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("docs/images"))
    options = parser.parse_args()
    for name, picture in (
        ("audit", photograph_page(options.run / "audit.html", 1000)),
        ("report", photograph_page(options.run / "report.html", 800)),
        ("found", read_figure(options.run / "figures/right.png")),
        ("missed", read_figure(options.run / "figures/missed.png")),
        ("overlays", join_overlays(options.predictions)),
        ("latent_map", read_figure(options.digits / "figures/explore_map.png")),
    ):
        write_picture(picture, options.output / f"{name}.webp")


if __name__ == "__main__":
    main()
