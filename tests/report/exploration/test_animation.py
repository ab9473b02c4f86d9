import io

import numpy as np
from PIL import Image

from vae_jax.report.exploration.animation import animate_back_and_forth


def read_frames(gif):
    """Returns the mean brightness below the headings and the duration of each frame."""
    with Image.open(io.BytesIO(gif)) as animation:
        frames = []
        for index in range(animation.n_frames):
            animation.seek(index)
            pixels = np.asarray(animation.convert("L"))[22:]
            frames.append((round(pixels.mean()), animation.info["duration"]))
        return frames


def test_frames_are_played_forwards_and_backwards_and_the_ends_last_longer():
    brightness = np.array([0.0, 0.5, 1.0], np.float32)
    frames = np.broadcast_to(brightness[:, None, None, None, None], (3, 1, 8, 8, 1))
    animation = animate_back_and_forth("name", frames, ["image"], "caption", "alt")
    assert read_frames(animation.gif) == [(0, 700), (128, 120), (255, 700), (128, 120)]


def test_small_images_are_enlarged_by_a_whole_factor():
    frames = np.zeros((2, 6, 10, 20, 1), np.float32)
    frames[1] = 1
    animation = animate_back_and_forth("name", frames, ["a", "b", "c"], "caption", "alt")
    with Image.open(io.BytesIO(animation.gif)) as image:
        # Ten times larger, three columns and two rows with gaps of 4 pixels, and 22 pixels for headings.
        assert image.size == (3 * 200 + 2 * 4, 2 * 100 + 4 + 22)
