"""A short version of `benchmarks/damaged_files.py`: one file of each of 62 kinds, in one folder."""

import re

import damaged_files
import damaged_trials
import mutations
import pictures
import pytest

from vae_jax import config
from vae_jax.data import pipeline
from vae_jax.errors import UserError

# Two formats stand for all others here, and pictures that take a second or more are left out.
KINDS = [
    kind
    for kind in mutations.KINDS
    if kind not in mutations.SLOW
    and (kind.split()[0] not in pictures.ACTIONS or kind.endswith((" PNG", " TIFF")))
]


@pytest.fixture
def data_config(tmp_path):
    """Returns the `data` group for a folder with one file of each kind."""
    damaged_trials.write_folder(tmp_path / "images")
    for index, kind in enumerate(KINDS):
        mutations.KINDS[kind](
            damaged_trials.make_rng(0, index), tmp_path / "images/bad", f"file{index:05}"
        )
    data = config.default().data
    data.update(damaged_trials.FIELDS)
    data.manual_dir, data.dir = str(tmp_path / "images"), str(tmp_path / "prepared")
    return data


def test_each_file_of_a_folder_is_read_or_skipped_by_its_name(data_config, caplog):
    caplog.set_level("INFO", logger="vae_jax")
    data_config.skip_corrupt = True
    read = " ".join(pipeline.load_dataset(data_config, 0).test.files)
    assert read.isprintable()
    (skipped,) = (text for text in caplog.messages if "unreadable images" in text)
    for index, kind in enumerate(KINDS):
        file = f"file{index:05}"
        assert (file in read) != (file in skipped), kind
        assert not (kind in mutations.MUST_BE_REFUSED and file in read), kind
        assert not (kind in mutations.MUST_BE_READ and file in skipped), kind


def test_a_folder_with_files_that_cannot_be_read_is_refused_in_one_line(data_config):
    with pytest.raises(UserError) as refusal:
        pipeline.load_dataset(data_config, 0)
    message = str(refusal.value)
    assert message.isprintable()
    num_unreadable = int(re.match(r"(\d+) unreadable images: ", message)[1])
    assert num_unreadable >= len(mutations.MUST_BE_REFUSED & set(KINDS))
    assert f"and {num_unreadable - 5} more; replace them, or skip" in message


def test_what_the_benchmark_calls_a_fault():
    sound = {"index": 7, "kind": "flip PNG", "skip": True, "mib": 9, "seconds": 1.0}
    sound |= {"outcome": "skipped", "message": "", "log": "folder: skipped bad/file00007.png"}
    assert damaged_files.find_faults([sound], max_mib=10) == []
    for change, fault in (
        ({"log": "folder: skipped something"}, "neither read nor named"),
        ({"log": "folder: file00007\x1b"}, "the log is not printable"),
        ({"log": "x.py:1: UserWarning: file00007"}, "on stderr"),
        ({"mib": 11}, "memory: 11 MiB"),
        ({"outcome": "crashed", "message": "a\nKeyError: 1"}, "crashed: KeyError: 1"),
        ({"outcome": "refused", "message": "something"}, "refused without its name"),
        ({"outcome": "read", "kind": "empty"}, "read, but must be refused"),
        ({"kind": "palette"}, "not read, but must be read"),
    ):
        (entry,) = damaged_files.find_faults([sound | change], max_mib=10)
        assert entry["fault"].startswith(fault)
