"""A small run that compiles fast, and a reader of TensorBoard files."""

import io
import pathlib
import struct

import numpy as np
import pytest
from PIL import Image
from tensorboardX.proto.event_pb2 import Event, SessionLog

from vae_jax.config import default


@pytest.fixture(scope="module")
def small_config():
    """A narrow digits model with random augmentation and a rising beta."""
    config = default()
    config.model.widths = (8,)
    config.model.latent_dim = 4
    config.train.batch_size = 16
    config.augment.horizontal_flip = 0.5
    config.augment.rotation = 10.0
    config.augment.brightness = 0.1
    config.objective.beta_schedule = "linear"
    config.objective.beta_warmup = 1.0
    return config


@pytest.fixture(scope="module")
def images():
    """70 images of 8x8 pixels: four batches of 16 and one of six."""
    return np.random.default_rng(0).integers(0, 256, (70, 8, 8, 1), np.uint8)


@pytest.fixture(scope="session")
def read_events():
    """(folder) -> (scalars, images, session starts) of the TensorBoard files in it.

    Scalars and images are dicts with keys (tag, step); an image is an array [H, W, 3] of uint8. A session
    start is the step from which on TensorBoard hides the events of earlier files.
    """

    def read_events(folder: pathlib.Path):
        scalars, images, starts = {}, {}, []
        for path in sorted(folder.iterdir()):
            content, offset = path.read_bytes(), 0
            while offset < len(content):
                # A record: its length, the checksum of the length, the event, the checksum of the event.
                (length,) = struct.unpack_from("<Q", content, offset)
                event = Event.FromString(content[offset + 12 : offset + 12 + length])
                offset += length + 16
                if event.session_log.status == SessionLog.START:
                    starts.append(event.step)
                for value in event.summary.value:
                    if value.HasField("image"):
                        image = Image.open(io.BytesIO(value.image.encoded_image_string))
                        images[value.tag, event.step] = np.asarray(image)
                    else:
                        scalars[value.tag, event.step] = value.simple_value
        return scalars, images, starts

    return read_events
