import logging
import os
import stat

import pytest

from vae_jax.data.builders import folder_walk
from vae_jax.data.builders.folder_walk import walk_folder
from vae_jax.errors import UserError
from vae_jax.workdir import MARKER_FILE, mark_output


@pytest.fixture
def touch(tmp_path):
    """Returns a function: names -> a folder with empty files of these names."""

    def touch(*names, root="own"):
        for name in names:
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / root

    return touch


def list_files(folder, max_depth=None):
    return [
        (directory / name).relative_to(folder).as_posix()
        for directory, files, _ in walk_folder(folder, max_depth)
        for name in files
    ]


def test_files_come_before_folders_and_both_in_alphabetical_order(touch):
    folder = touch("b/2", "b/1", "b/a/3", "a/x", "z", "c")
    assert list_files(folder) == ["c", "z", "a/x", "b/1", "b/2", "b/a/3"]


def test_a_folder_is_empty_if_it_holds_nothing_but_leftovers(touch):
    folder = touch("a/1", "b/Thumbs.db", "d/.gitkeep", "e/f/2", "g/run/roc.png")
    (folder / "c").mkdir()
    mark_output(folder / "g/run")
    assert [visited.path.name for visited in walk_folder(folder) if visited.is_empty] == ["b", "c"]


@pytest.mark.parametrize(("max_depth", "files"), [(0, ["1"]), (1, ["1", "a/2"])])
def test_deeper_folders_than_the_limit_are_not_visited(touch, max_depth, files):
    assert list_files(touch("1", "a/2", "a/b/3"), max_depth) == files


@pytest.mark.parametrize(
    "leftover",
    [
        "@eaDir/0.png", "good/@eaDir/0.png@SynoEAStream", "$RECYCLE.BIN/0.png", "$Recycle.Bin/0.png",
        "System Volume Information/0.png", ".thumbnails/0.png", "lost+found/0.png", "good/._0.png",
        "good/Thumbs.db", "THUMBS.DB", "__MACOSX/good/._0.png", ".DS_Store", ".git/0.png",
        ".Trash-1000/files/0.png", "__pycache__/0.png", "#recycle/0.png",
    ],
)  # fmt: skip
def test_leftovers_are_passed_over_and_counted(touch, leftover, caplog):
    folder = touch("good/0.png", "good/__1.png", leftover)
    with caplog.at_level(logging.INFO, "vae_jax"):
        assert list_files(folder) == ["good/0.png", "good/__1.png"]
    assert "own: passed over 1 entries (" in caplog.text
    assert len(caplog.records) == 1


def test_one_line_counts_all_leftovers_by_kind(touch, caplog):
    folder = touch("a/._1", "a/._2", "a/Thumbs.db", "b/Thumbs.db", "b/.hidden", "b/1")
    mark_output(folder / "runs/digits")
    with caplog.at_level(logging.INFO, "vae_jax"):
        list_files(folder)
    assert [record.message.partition("own: ")[2] for record in caplog.records] == [
        "passed over 6 entries (._*: 2, Thumbs.db: 2, hidden: 1, output of this program: 1)"
    ]


def test_a_folder_without_leftovers_logs_nothing(touch, caplog):
    with caplog.at_level(logging.INFO, "vae_jax"):
        list_files(touch("a/1"))
    assert caplog.text == ""


def test_a_folder_with_the_marker_of_this_program_is_not_entered(touch):
    folder = touch("good/0.png", "good/run/figures/roc.png", "sweep/cells/a/figures/1.png")
    mark_output(folder / "good/run")
    mark_output(folder / "sweep")
    assert list_files(folder) == ["good/0.png"]


def test_a_walk_that_starts_in_output_of_this_program_is_refused(touch):
    folder = touch("figures/roc.png")
    mark_output(folder)
    with pytest.raises(UserError, match=rf"own was written by this program .*{MARKER_FILE}"):
        list_files(folder)


@pytest.mark.parametrize("name", ["", "bad", "good/deep"])
def test_a_folder_that_cannot_be_read_is_named_and_refused(touch, name, monkeypatch):
    folder = touch("good/deep/0.png", "bad/0.png")
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path) == os.fspath(folder / name):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(folder_walk.os, "scandir", refuse)
    with pytest.raises(UserError, match=rf"{folder / name} cannot be read \(Permission denied\)"):
        list_files(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_without_read_permission_is_named_and_refused(touch):
    folder = touch("good/0.png", "bad/0.png")
    (folder / "bad").chmod(stat.S_IXUSR)
    with pytest.raises(UserError, match=r"own/bad cannot be read \(Permission denied\)"):
        list_files(folder)
    (folder / "bad").chmod(0o700)


@pytest.mark.parametrize("target", [".", "..", "../..", "good", "good/deep"])
@pytest.mark.parametrize("link", ["a_link", "good/a_link", "z_link"])
def test_a_link_to_a_folder_that_is_visited_anyway_is_not_followed(touch, target, link, caplog):
    folder = touch("good/0", "good/deep/1")
    (folder / link).symlink_to((folder / target).resolve())
    with caplog.at_level(logging.INFO, "vae_jax"):
        assert list_files(folder) == ["good/0", "good/deep/1"]
    assert "links to folders that are visited anyway: 1" in caplog.text


def test_links_that_lead_to_one_folder_outside_are_followed_once(touch):
    folder = touch("good/0")
    outside = touch("1", "deep/2", root="outside")
    (folder / "bad").symlink_to(outside)
    (folder / "worse").symlink_to(outside)
    (folder / "worst").symlink_to(outside / "deep")
    (outside / "back").symlink_to(folder)
    (outside / "again").symlink_to(outside)
    assert list_files(folder) == ["bad/1", "bad/deep/2", "good/0"]


def test_a_folder_that_an_earlier_link_has_led_to_is_not_visited_again(touch):
    folder = touch("good/0")
    outside = touch("1", "deep/2", root="outside")
    (folder / "a").symlink_to(outside / "deep")
    (folder / "b").symlink_to(outside)
    assert list_files(folder) == ["a/2", "b/1", "good/0"]


def test_a_link_to_a_hidden_folder_is_followed_as_in_content_stores(touch):
    folder = touch(".store/good/0", "bad/1")
    (folder / "good").symlink_to(folder / ".store/good")
    assert list_files(folder) == ["bad/1", "good/0"]


def test_the_start_may_be_a_link(touch, tmp_path):
    folder = touch("good/0")
    (tmp_path / "link").symlink_to(folder)
    assert list_files(tmp_path / "link") == ["good/0"]


def test_broken_links_count_as_files(touch):
    folder = touch("good/0")
    (folder / "good/1").symlink_to(folder / "nowhere")
    (folder / "good/2").symlink_to(folder / "good/2")
    assert list_files(folder) == ["good/0", "good/1", "good/2"]
