"""Preparing a folder of JPEGs on all cores against a bare Pillow loop on the same cores, in turns.

    python benchmarks/preparation.py --folder=DIR --images=8000 --side=576

DIR holds a folder of JPEGs for each class, as Kvasir does; they are repeated under new names until there
are enough. Images of Kvasir v2 are 720x576 pixels and more: with --side, images are resized to so many
pixels on the shorter side, and encoded anew. Preparing reads, decodes, checks, hashes and writes each
image; the loop reads and decodes it, in as many processes as there are cores, and keeps nothing. Quoted
is the median over the pairs of turns of preparing's images a second over the loop's: at least 0.9 is the
aim. The last line is one JSON object.
"""

import io
import itertools
import json
import multiprocessing
import os
import pathlib
import tempfile

import turns

_QUALITY = 90  # of JPEGs that are encoded anew


def originals(source: pathlib.Path) -> list[pathlib.Path]:
    """Returns the JPEGs of the folders of a folder."""
    found = [
        path
        for folder in sorted(source.iterdir())
        if folder.is_dir() and not folder.name.endswith("masks")
        for path in sorted(folder.glob("*.jpg"))
    ]
    if not found:
        raise SystemExit(f"{source} holds no folder of .jpg files; name another with --folder")
    return found


def resized(paths: list[pathlib.Path], target: pathlib.Path, side: int) -> list[pathlib.Path]:
    """Encodes images anew, with `side` pixels on the shorter side; returns where they are."""
    from PIL import Image

    found = []
    for path in paths:
        copy = target / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            scale = side / min(image.size)
            size = tuple(round(scale * pixels) for pixels in image.size)
            image.resize(size, Image.Resampling.BICUBIC).save(copy, quality=_QUALITY)
        found.append(copy)
    return found


def repeat(paths: list[pathlib.Path], target: pathlib.Path, count: int) -> list[pathlib.Path]:
    """Links images into a folder, class by class, until there are `count`."""
    links = []
    for number, path in enumerate(itertools.islice(itertools.cycle(paths), count)):
        link = target / path.parent.name / f"{number:06d}.jpg"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
        links.append(link)
    return links


def decode(path: pathlib.Path) -> int:
    """Reads and decodes one image; returns its width."""
    from PIL import Image

    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.load()
        return image.width


def make_preparation(folder: pathlib.Path, links: list[pathlib.Path]):
    """Returns the work of preparing the folder from nothing."""
    from vae_jax.data.prepare import prepare_dataset

    del links

    def step():
        with tempfile.TemporaryDirectory() as data_dir:
            prepare_dataset("kvasir", str(folder), data_dir)

    return turns.Work(step, "cpu")


def make_loop(folder: pathlib.Path, links: list[pathlib.Path]):
    """Returns the same for the bare loop; its processes are started once, and not timed."""
    del folder
    pool = multiprocessing.Pool(os.cpu_count())
    return turns.Work(lambda: sum(pool.imap_unordered(decode, links, chunksize=16)), "cpu")


def main() -> None:
    """Measures one folder and prints it."""
    parser = turns.flags(__doc__, turns=7)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=int, default=8_000)
    parser.add_argument("--side", type=int, default=0, help="pixels; 0 takes images as they are")
    options = parser.parse_args()
    turns.warn(options.turns)
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder, "kvasir")
        paths = originals(options.folder)
        if options.side:
            paths = resized(paths, pathlib.Path(folder, "resized"), options.side)
        setting = (target, repeat(paths, target, options.images))
        ours, loop = turns.measure(
            [(make_preparation, setting), (make_loop, setting)], options.turns, warm_up=1
        )
    turns.show({"preparing": ours, "Pillow": loop}, options.images)
    print(
        json.dumps(
            {
                "images": options.images,
                "side": options.side,
                "cores": os.cpu_count(),
                "preparing_images_per_second": round(options.images / ours.median, 1),
                "pillow_images_per_second": round(options.images / loop.median, 1),
                "ratio": round(turns.ratio(loop, ours), 3),
            }
        )
    )


if __name__ == "__main__":
    main()
