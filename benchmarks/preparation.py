"""Preparing a folder of JPEGs on all cores compared with a Pillow loop on the same cores, in turns.

    python benchmarks/preparation.py --folder=DIR --images=8000 --side=576

DIR holds one folder of JPEGs per class, like Kvasir. The images are repeated under new names until there
are enough of them. Images of Kvasir v2 have 720x576 pixels or more: with --side, images are resized to that
number of pixels on the shorter side and encoded again. Preparing reads, decodes, checks, hashes and writes
each image. The loop only reads and decodes it, in one process per core. The ratio is the median over pairs
of turns of the speed of preparing over that of the loop; the aim is at least 0.9. The last line is one JSON
object.
"""

import io
import itertools
import json
import multiprocessing
import os
import pathlib
import tempfile

import turns

_QUALITY = 90  # JPEG quality of resized images


def list_originals(source: pathlib.Path) -> list[pathlib.Path]:
    """Returns the JPEGs in the class folders of a folder."""
    paths = [
        path
        for folder in sorted(source.iterdir())
        if folder.is_dir() and not folder.name.endswith("masks")
        for path in sorted(folder.glob("*.jpg"))
    ]
    if not paths:
        raise SystemExit(f"{source} holds no folder of .jpg files; give another one with --folder")
    return paths


def resize_images(paths: list[pathlib.Path], target: pathlib.Path, side: int) -> list[pathlib.Path]:
    """Writes images with `side` pixels on the shorter side; returns their paths."""
    from PIL import Image

    copies = []
    for path in paths:
        copy = target / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path, formats=("JPEG",)) as image:
            scale = side / min(image.size)
            size = tuple(round(scale * pixels) for pixels in image.size)
            image.resize(size, Image.Resampling.BICUBIC).save(copy, quality=_QUALITY)
        copies.append(copy)
    return copies


def repeat_images(
    paths: list[pathlib.Path], target: pathlib.Path, count: int
) -> list[pathlib.Path]:
    """Links images into the class folders of a folder, again and again, until there are `count` links."""
    links = []
    for number, path in enumerate(itertools.islice(itertools.cycle(paths), count)):
        link = target / path.parent.name / f"{number:06d}.jpg"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
        links.append(link)
    return links


def decode_image(path: pathlib.Path) -> int:
    """Reads and decodes one image; returns its width in pixels."""
    from PIL import Image

    with Image.open(io.BytesIO(path.read_bytes()), formats=("JPEG",)) as image:
        image.load()
        return image.width


def make_preparation(folder: pathlib.Path, links: list[pathlib.Path]):
    """Returns the work of preparing the whole folder."""
    from vae_jax.data.prepare import prepare_dataset

    del links

    def step():
        with tempfile.TemporaryDirectory() as data_dir:
            prepare_dataset("kvasir", str(folder), data_dir)

    return turns.Work(step, "cpu")


def make_loop(folder: pathlib.Path, links: list[pathlib.Path]):
    """Returns the work of the Pillow loop; its processes are started once, which is not timed."""
    del folder
    pool = multiprocessing.Pool(os.cpu_count())
    return turns.Work(lambda: sum(pool.imap_unordered(decode_image, links, chunksize=16)), "cpu")


def main() -> None:
    """Measures and prints one folder."""
    parser = turns.make_parser(__doc__, turns=7)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=int, default=8_000)
    parser.add_argument(
        "--side", type=int, default=0, help="pixels of the shorter side; 0 keeps the size"
    )
    options = parser.parse_args()
    turns.warn_if_unreliable(options.turns)
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder, "kvasir")
        paths = list_originals(options.folder)
        if options.side:
            paths = resize_images(paths, pathlib.Path(folder, "resized"), options.side)
        setting = (target, repeat_images(paths, target, options.images))
        ours, loop = turns.measure_sides(
            [(make_preparation, setting), (make_loop, setting)], options.turns, warm_up=1
        )
    turns.print_sides({"preparing": ours, "Pillow": loop}, options.images)
    print(
        json.dumps(
            {
                "images": options.images,
                "side": options.side,
                "cores": os.cpu_count(),
                "preparing_images_per_second": round(options.images / ours.median, 1),
                "pillow_images_per_second": round(options.images / loop.median, 1),
                "ratio": round(turns.median_ratio(loop, ours), 3),
            }
        )
    )


if __name__ == "__main__":
    main()
