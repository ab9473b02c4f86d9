"""Tests of how images are decoded and scored in steps. test_predict.py tests whole predictions."""

import threading

import numpy as np

from vae_jax.data.crops import Crops
from vae_jax.data.framing import Framing
from vae_jax.data.preprocessing import Preprocessing
from vae_jax.detector import stream
from vae_jax.detector.image_scorer import ImageScorer
from vae_jax.detector.sources import Source

_PREPROCESSING = Preprocessing("folder", Framing(image_size=2, channels=1))
_WAIT = 3  # seconds, after which a thread that never comes fails the test


class _Scorer(ImageScorer):
    """Scores without a model, and remembers how many crops it got at once."""

    def __init__(self, step, before_score=lambda: None):
        self.step = step
        self.counts = []
        self._before_score = before_score

    def score(self, images, *, with_maps=False):
        self._before_score()
        self.counts.append(len(images))
        return {"mse": np.arange(len(images), dtype=float)}, None

    def combine(self, columns):
        return columns


def _decode_as(monkeypatch, num_crops, on_decoded=lambda: None):
    """Makes every source an image of `num_crops` crops."""

    def decode(source, preprocessing):
        on_decoded()
        crops = Crops(
            images=np.zeros((num_crops, 2, 2, 1), np.uint8),
            masks=None,
            has_defect=np.zeros(num_crops, bool),
            is_out_of_view=False,
            mask_regions=np.zeros((num_crops, 2), np.int32),
            boxes=np.zeros((num_crops, 3), np.int32),
            stored_levels=np.zeros(6),
        )
        return stream.ScoredImage(source, preprocessing.framing, crops=crops)

    monkeypatch.setattr(stream, "_decode_source", decode)


def _score(count, scorer):
    sources = (Source(f"{i}.png", lambda: b"") for i in range(count))
    return list(stream.score_sources(sources, _PREPROCESSING, scorer))


def test_a_whole_step_is_decoded_while_another_one_is_scored(monkeypatch):
    """Otherwise decoding would wait for scoring, and scoring for decoding."""
    monkeypatch.setattr(stream.os, "cpu_count", lambda: 2)
    is_decoded = threading.Semaphore(0)
    step, num_steps = 40, 5

    def wait_for_next_step():
        # Before the first score, its own images have been decoded as well.
        steps = [2, *[1] * (num_steps - 2), 0][len(scorer.counts)]
        assert all(is_decoded.acquire(timeout=_WAIT) for _ in range(steps * step))

    scorer = _Scorer(step, wait_for_next_step)
    _decode_as(monkeypatch, 1, is_decoded.release)
    images = _score(step * num_steps, scorer)
    assert len(images) == step * num_steps
    assert scorer.counts == [step] * num_steps


def test_little_of_what_is_scored_is_padding_if_images_have_several_crops(monkeypatch):
    scorer = _Scorer(36)
    _decode_as(monkeypatch, 15)
    images = _score(48, scorer)
    assert [image.source.name for image in images] == [f"{i}.png" for i in range(48)]
    assert all(len(image.columns["mse"]) == 15 for image in images)
    padding = sum(-count % 36 for count in scorer.counts)
    assert padding <= sum(scorer.counts) / 8
