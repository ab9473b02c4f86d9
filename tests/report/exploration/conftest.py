"""Replaces drawing by a record of what would be drawn."""

import pytest

from vae_jax.report.drawing import Drawing
from vae_jax.report.exploration.animation import Animation


@pytest.fixture
def record_drawings(monkeypatch):
    """(module, name of a drawing function) -> a list that collects the arguments of its calls."""

    def record_drawings(module, name):
        calls = []

        def draw(*args):
            calls.append(args)
            figure_type = Animation if name.startswith("animate") else Drawing
            return figure_type("name", b"", "caption", "alt")

        monkeypatch.setattr(module, name, draw)
        return calls

    return record_drawings
