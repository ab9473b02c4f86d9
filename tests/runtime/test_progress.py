import logging

import pytest

from vae_jax.runtime.progress import open_progress_bar


@pytest.fixture
def logger():
    logger = logging.getLogger("vae_jax")
    level = logger.level
    yield logger
    logger.setLevel(level)


def test_a_bar_shows_its_description_and_what_was_done_before(capsys):
    with open_progress_bar(10, "decoding", "image", done=4) as bar:
        bar.update(6)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "decoding" in printed.err
    assert "4/10" in printed.err
    assert "10/10" in printed.err


def test_without_a_description_there_is_no_bar(capsys):
    with open_progress_bar(10, None, "image") as bar:
        bar.update(10)
    assert capsys.readouterr().err == ""


def test_a_process_that_logs_no_warnings_shows_no_bar(capsys, logger):
    logger.setLevel(logging.ERROR)
    with open_progress_bar(10, "decoding", "image") as bar:
        bar.update(10)
    assert capsys.readouterr().err == ""
