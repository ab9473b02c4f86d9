"""Films of training: where fixed images lie in the latent space, and how fixed images come back.

A frame is written as training goes, and the films are made anew with each, so a run that is stopped has
its films up to there, and one that goes on adds to them.

F frames, n images on the map, m images shown, Z latent.
"""

import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont

from vae_jax.data.image_store import Images
from vae_jax.data.row_draw import draw_rows
from vae_jax.report.images import make_mosaic, to_rgb
from vae_jax.scoring.inference import TrainedModel

_ON_MAP, _SHOWN = 1000, 16  # images
_SIDE = 480  # of the map, pixels
_LEGEND, _HEADER = 130, 26  # pixels beside and above it
_TILE = 72  # least side of an image, pixels
_FRAME, _LAST = 220, 1800  # milliseconds that a frame stands
_INK, _PAPER = (36, 41, 47), "white"
FILM_CAPTIONS = {
    "film_latent_map": "Where validation images lie in the latent space during training, by class.",
    "film_reconstructions": "Validation images (upper rows) and their reconstructions (lower rows).",
}


class TrainingFilm:
    """The frames of one run, under `film/` of its workdir, and the GIFs in `figures/` made of them."""

    def __init__(
        self,
        workdir: pathlib.Path,
        images: UInt8[Images, "N H W C"],
        classes: Sequence[str],
        seed: int,
    ):
        """Draws by the seed which of N images are followed."""
        self._frames, self._figures = workdir / "film", workdir / "figures"
        rows = draw_rows(len(images), _ON_MAP, seed, in_order=False)
        self._images, self._classes = images[rows], [classes[i] for i in rows]

    def add_frame(self, epoch: int, model: TrainedModel) -> None:
        """Writes the frame of an epoch, and the films up to it."""
        reconstructions = model.reconstruct(self._images)
        self._frames.mkdir(exist_ok=True)
        path = self._frames / f"{epoch:06d}.npz"
        draft = path.with_suffix(".part")
        with draft.open("wb") as file:
            np.savez_compressed(
                file, mu=reconstructions.posterior.mu, x_hat=to_rgb(reconstructions.x_hat[:_SHOWN])
            )
        draft.replace(path)
        self._make()

    def _make(self) -> None:
        self._figures.mkdir(exist_ok=True)
        paths = sorted(self._frames.glob("*.npz"))
        epochs = [int(path.stem) for path in paths]
        frames = [dict(np.load(path)) for path in paths]
        codes = np.stack([frame["mu"] for frame in frames])
        places, axes = project_codes(codes)
        maps = [
            _draw_map(frame, self._classes, f"epoch {epoch}: {axes}")
            for frame, epoch in zip(places, epochs, strict=True)
        ]
        _save(self._figures / "film_latent_map.gif", maps)
        stills = [
            _draw_reconstructions(to_rgb(self._images[:_SHOWN] / 255), frame["x_hat"], epoch)
            for frame, epoch in zip(frames, epochs, strict=True)
        ]
        _save(self._figures / "film_reconstructions.gif", stills)


def project_codes(codes: Float[np.ndarray, "F n Z"]) -> tuple[Float[np.ndarray, "F n 2"], str]:
    """Returns where codes lie in the square from 0 to 1, the same square for all frames, and its axes.

    A latent space of two dimensions is shown as it is; of more, on the two principal components of the
    last frame's codes, so that frames line up. The square holds all but the outermost codes of the
    last frame; what lies outside is moved to its edge.
    """
    if codes.shape[2] == 1:
        codes = np.concatenate([codes, np.zeros_like(codes)], axis=2)
    if codes.shape[2] > 2:
        last = codes[-1] - codes[-1].mean(axis=0)
        directions = np.linalg.svd(last, full_matrices=True)[2][:2]  # two, of however few images
        codes = (codes - codes[-1].mean(axis=0)) @ directions.T
        axes = "two principal components of the last codes"
    else:
        axes = "the latent space"
    low, high = np.quantile(codes[-1], [0.005, 0.995], axis=0)
    middle, reach = (low + high) / 2, max(float((high - low).max()), 1e-6) * 0.55
    return np.clip((codes - middle) / (2 * reach) + 0.5, 0, 1), axes


def _draw_map(
    places: Float[np.ndarray, "n 2"], classes: Sequence[str], heading: str
) -> Image.Image:
    names = sorted(set(classes))
    palette = colormaps["tab10" if len(names) <= 10 else "turbo"]
    steps = np.arange(len(names)) if len(names) <= 10 else np.linspace(0, 1, len(names))
    colours = {
        name: tuple(int(255 * part) for part in palette(step)[:3])
        for name, step in zip(names, steps, strict=True)
    }
    page = Image.new("RGB", (_SIDE + _LEGEND, _SIDE + _HEADER), _PAPER)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    pen.text((8, _HEADER / 2), heading, fill=_INK, font=font, anchor="lm")
    margin = 8
    for (x, y), name in zip(places, classes, strict=True):
        left = margin + x * (_SIDE - 2 * margin)
        top = _HEADER + margin + (1 - y) * (_SIDE - 2 * margin)
        pen.ellipse((left - 2.5, top - 2.5, left + 2.5, top + 2.5), fill=colours[name])
    for i, name in enumerate(names[: _SIDE // 20]):
        top = _HEADER + 12 + 20 * i
        pen.ellipse((_SIDE + 6, top - 4, _SIDE + 14, top + 4), fill=colours[name])
        pen.text((_SIDE + 20, top), name[:14], fill=_INK, font=font, anchor="lm")
    return page.quantize(64)


def _draw_reconstructions(
    images: UInt8[np.ndarray, "m H W 3"], copies: UInt8[np.ndarray, "m H W 3"], epoch: int
) -> Image.Image:
    """Draws pairs of rows: eight images, and below each its copy."""
    enlarge = max(1, -(-_TILE // images.shape[1]))
    row = 8
    rows = [
        part
        for start in range(0, len(images), row)
        for part in (images[start : start + row], copies[start : start + row])
    ]
    sheets = [make_mosaic(part.repeat(enlarge, 1).repeat(enlarge, 2), row, 4) for part in rows]
    height = sum(len(sheet) + 4 for sheet in sheets)
    page = Image.new("RGB", (sheets[0].shape[1], height + _HEADER), _PAPER)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    pen.text((4, _HEADER / 2), f"epoch {epoch}", fill=_INK, font=font, anchor="lm")
    top = _HEADER
    for sheet in sheets:
        page.paste(Image.fromarray(sheet), (0, top))
        top += len(sheet) + 4
    return page.quantize(128)


def _save(path: pathlib.Path, frames: Sequence[Image.Image]) -> None:
    durations = [_FRAME] * (len(frames) - 1) + [_LAST]
    draft = path.with_suffix(".part")
    frames[0].save(
        draft,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        loop=0,
        duration=durations,
        disposal=1,
    )
    draft.replace(path)
