"""Films of training: the latent codes and the reconstructions of the same images, epoch after epoch.

There are two films. One shows the posterior means of many images on a map, the other shows a few images
with their reconstructions. Both are written again after each new frame, so that a run that was stopped has
films of its training until then. A run that is resumed adds frames to them.

F frames, n images on the map, m images with reconstructions, H W image, C channels, Z latent.
"""

import logging
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont

from vae_jax.data.examples import Examples
from vae_jax.data.image_store import Images
from vae_jax.data.row_draw import draw_rows
from vae_jax.model.branched import BranchedVAE, Model
from vae_jax.report.images import make_mosaic, to_rgb
from vae_jax.scoring.inference import TrainedModel

_log = logging.getLogger(__name__)

_MAX_MAP_IMAGES = 1000
_MAX_RECONSTRUCTIONS = 16  # images that are shown with their reconstructions
_IMAGES_PER_ROW = 8
_MAP_SIDE = 480  # pixels
_LEGEND_WIDTH, _HEADER_HEIGHT = 130, 26  # pixels beside and above the map
_LEGEND_STEP = 20  # pixels from one line of the legend to the next
_MIN_SIDE = 72  # pixels; images with shorter sides are enlarged
_GAP = 4  # pixels between images
_FRAME_MS, _LAST_FRAME_MS = 220, 1800  # how long a frame is shown, milliseconds
_INK, _PAPER = (36, 41, 47), "white"
# Stem of a film's file -> its caption in the report.
FILM_CAPTIONS = {
    "film_latent_map": (
        "Posterior means of validation images in the latent space during training, coloured by class."
    ),
    "film_reconstructions": "Validation images (upper rows) and their reconstructions (lower rows).",
}


class TrainingFilm:
    """The films of one run: its frames in `film/` of the workdir, and the GIFs in `figures/`."""

    def __init__(
        self,
        workdir: pathlib.Path,
        images: UInt8[Images, "N H W C"],
        classes: Sequence[str],
        seed: int,
    ):
        """Chooses which of the N images are filmed.

        Args:
            workdir: folder of the run.
            images: images to choose from.
            classes: class name of each image.
            seed: seed of the random choice; the same seed must be given when a run is resumed.
        """
        self._frames_folder, self._figures_folder = workdir / "film", workdir / "figures"
        rows = draw_rows(len(images), _MAX_MAP_IMAGES, seed, in_order=False)
        self._images, self._classes = images[rows], [classes[i] for i in rows]

    def add_frame(self, epoch: int, model: TrainedModel) -> None:
        """Writes the frame of an epoch, and the films with all frames so far.

        Args:
            epoch: number of epochs that were trained.
            model: the model after this epoch.
        """
        reconstructions = model.reconstruct(self._images)
        self._frames_folder.mkdir(exist_ok=True)
        path = self._frames_folder / f"{epoch:06d}.npz"
        draft = path.with_suffix(".part")
        with draft.open("wb") as file:
            np.savez_compressed(
                file,
                mu=reconstructions.posterior.mu,
                x_hat=to_rgb(reconstructions.x_hat[:_MAX_RECONSTRUCTIONS]),
            )
        draft.replace(path)
        self._write_films()

    def _write_films(self) -> None:
        self._figures_folder.mkdir(exist_ok=True)
        paths = sorted(self._frames_folder.glob("*.npz"))
        epochs = [int(path.stem) for path in paths]
        frames = [dict(np.load(path)) for path in paths]
        codes = np.stack([frame["mu"] for frame in frames])
        positions, axes = project_codes(codes)
        maps = [
            _draw_map(frame, self._classes, f"epoch {epoch}: {axes}")
            for frame, epoch in zip(positions, epochs, strict=True)
        ]
        _write_gif(self._figures_folder / "film_latent_map.gif", maps)
        images = to_rgb(self._images[:_MAX_RECONSTRUCTIONS] / 255)
        reconstructions = [
            _draw_reconstructions(images, frame["x_hat"], epoch)
            for frame, epoch in zip(frames, epochs, strict=True)
        ]
        _write_gif(self._figures_folder / "film_reconstructions.gif", reconstructions)


def open_film(
    workdir: pathlib.Path, examples: Examples, model: Model, seed: int
) -> TrainingFilm | None:
    """Returns the film of a run; None, with a line in the log, if the model decodes no images.

    Args:
        workdir: folder of the run.
        examples: images to choose from.
        model: the model that will be trained.
        seed: seed of the random choice.
    """
    if isinstance(model, BranchedVAE):
        _log.info(
            "no films of training: they show reconstructed images, and this model explains %s",
            ", ".join(model.branches),
        )
        return None
    return TrainingFilm(workdir, examples.images, examples.classes, seed)


def project_codes(codes: Float[np.ndarray, "F n Z"]) -> tuple[Float[np.ndarray, "F n 2"], str]:
    """Projects the codes of all frames onto one plane.

    A latent space of two dimensions is shown without projection. One of more dimensions is projected onto
    the first two principal components of the last frame's codes, the same for all frames. The square from
    0 to 1 contains the central 99 % of the last frame's codes along each axis; codes outside the square are
    moved to its edge.

    Args:
        codes: posterior means of the same images in each frame.

    Returns:
        The position of each code, in [0, 1], and what the axes are, as text for a heading.
    """
    if codes.shape[2] == 1:
        codes = np.concatenate([codes, np.zeros_like(codes)], axis=2)
    if codes.shape[2] > 2:
        last = codes[-1] - codes[-1].mean(axis=0)
        # Full matrices hold two directions even if there is only one image.
        directions = np.linalg.svd(last, full_matrices=True)[2][:2]
        codes = (codes - codes[-1].mean(axis=0)) @ directions.T
        axes = "two principal components of the last codes"
    else:
        axes = "the latent space"
    low, high = np.quantile(codes[-1], [0.005, 0.995], axis=0)
    middle, reach = (low + high) / 2, max(float((high - low).max()), 1e-6) * 0.55
    return np.clip((codes - middle) / (2 * reach) + 0.5, 0, 1), axes


def _draw_map(
    positions: Float[np.ndarray, "n 2"], classes: Sequence[str], heading: str
) -> Image.Image:
    names = sorted(set(classes))
    palette = colormaps["tab10" if len(names) <= 10 else "turbo"]
    steps = np.arange(len(names)) if len(names) <= 10 else np.linspace(0, 1, len(names))
    colours = {
        name: tuple(int(255 * part) for part in palette(step)[:3])
        for name, step in zip(names, steps, strict=True)
    }
    page = Image.new("RGB", (_MAP_SIDE + _LEGEND_WIDTH, _MAP_SIDE + _HEADER_HEIGHT), _PAPER)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    pen.text((8, _HEADER_HEIGHT / 2), heading, fill=_INK, font=font, anchor="lm")
    margin = 8
    for (x, y), name in zip(positions, classes, strict=True):
        left = margin + x * (_MAP_SIDE - 2 * margin)
        top = _HEADER_HEIGHT + margin + (1 - y) * (_MAP_SIDE - 2 * margin)
        pen.ellipse((left - 2.5, top - 2.5, left + 2.5, top + 2.5), fill=colours[name])
    for i, name in enumerate(names[: _MAP_SIDE // _LEGEND_STEP]):
        top = _HEADER_HEIGHT + 12 + _LEGEND_STEP * i
        pen.ellipse((_MAP_SIDE + 6, top - 4, _MAP_SIDE + 14, top + 4), fill=colours[name])
        pen.text((_MAP_SIDE + 20, top), name[:14], fill=_INK, font=font, anchor="lm")
    return page.quantize(64)


def _draw_reconstructions(
    images: UInt8[np.ndarray, "m H W 3"],
    reconstructions: UInt8[np.ndarray, "m H W 3"],
    epoch: int,
) -> Image.Image:
    """Draws rows of images, and below each row the reconstructions of its images."""
    scale = max(1, -(-_MIN_SIDE // images.shape[1]))
    rows = [
        part[start : start + _IMAGES_PER_ROW]
        for start in range(0, len(images), _IMAGES_PER_ROW)
        for part in (images, reconstructions)
    ]
    strips = [
        make_mosaic(row.repeat(scale, 1).repeat(scale, 2), _IMAGES_PER_ROW, _GAP) for row in rows
    ]
    height = sum(len(strip) + _GAP for strip in strips)
    page = Image.new("RGB", (strips[0].shape[1], height + _HEADER_HEIGHT), _PAPER)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    pen.text((4, _HEADER_HEIGHT / 2), f"epoch {epoch}", fill=_INK, font=font, anchor="lm")
    top = _HEADER_HEIGHT
    for strip in strips:
        page.paste(Image.fromarray(strip), (0, top))
        top += len(strip) + _GAP
    return page.quantize(128)


def _write_gif(path: pathlib.Path, frames: Sequence[Image.Image]) -> None:
    durations = [_FRAME_MS] * (len(frames) - 1) + [_LAST_FRAME_MS]
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
