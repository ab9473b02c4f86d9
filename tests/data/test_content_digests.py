import hashlib
import json
import os
import pathlib
import socket
import time

import pytest

from vae_jax.data import content_digests
from vae_jax.data.content_digests import hash_files, join_digests, list_changes


@pytest.fixture
def index_file(tmp_path):
    return tmp_path / "prepared" / "index.json"


@pytest.fixture
def files(tmp_path):
    """Two files of equal size; name -> file."""
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"content of {name}")
    return {name: tmp_path / name for name in ("a", "b")}


@pytest.fixture
def read_files(monkeypatch):
    """The names of the files that have been read, in alphabetical order."""
    names = []
    hash_file = content_digests._hash_file

    def record(path):
        names.append(pathlib.Path(path).name)
        return hash_file(path)

    monkeypatch.setattr(content_digests, "_hash_file", record)
    return names


@pytest.fixture
def without_settling(monkeypatch):
    """Files count as settled at once, so that a test need not wait."""
    monkeypatch.setattr(content_digests, "_SETTLING_NS", -(10**18))
    monkeypatch.setattr(content_digests, "_COARSE_STEP_NS", 10**30)


def write_again(path, text):
    """Changes the content; size and modification time stay, as with `cp --preserve` or `touch -r`."""
    status = path.stat()
    time.sleep(0.02)  # time stamps count in steps of up to 10 ms
    path.write_text(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size


def test_the_digest_of_a_file_is_the_sha256_of_its_content(files, index_file):
    expected = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert hash_files(files, index_file) == expected


@pytest.mark.usefixtures("without_settling")
def test_an_unchanged_file_is_read_only_once(files, index_file, read_files):
    first = hash_files(files, index_file)
    assert read_files == ["a", "b"]
    assert hash_files(files, index_file) == first
    assert read_files == ["a", "b"]


@pytest.mark.usefixtures("without_settling")
def test_a_file_is_read_again_if_only_its_content_and_its_change_time_differ(
    files, index_file, read_files
):
    first = hash_files(files, index_file)
    write_again(files["b"], "CONTENT OF b")
    second = hash_files(files, index_file)
    assert read_files == ["a", "b", "b"]
    assert list_changes(first, second) == ["b"]


@pytest.mark.usefixtures("without_settling")
def test_two_files_that_swap_their_names_swap_their_digests(files, index_file):
    first = hash_files(files, index_file)
    a, b, aside = files["a"], files["b"], files["a"].with_name("aside")
    a.rename(aside)
    b.rename(a)
    aside.rename(b)
    assert hash_files(files, index_file) == {"a": first["b"], "b": first["a"]}


@pytest.mark.usefixtures("without_settling")
def test_a_link_that_leads_to_another_file_gets_the_digest_of_that_file(files, index_file):
    link = files["a"].with_name("link")
    link.symlink_to(files["a"])
    digests = hash_files(files | {"link": link}, index_file)
    assert digests["link"] == digests["a"]
    link.unlink()
    link.symlink_to(files["b"])
    assert hash_files(files | {"link": link}, index_file)["link"] == digests["b"]


def test_a_file_that_was_just_written_is_not_remembered(files, index_file, read_files):
    hash_files(files, index_file)
    hash_files(files, index_file)
    assert read_files == ["a", "b", "a", "b"]


@pytest.mark.parametrize(("change_time_ns", "times_read"), [(123_456_789, 1), (120_000_000, 2)])
def test_a_file_whose_change_time_may_be_a_copy_of_its_modification_time_is_not_remembered(
    files, index_file, read_files, monkeypatch, change_time_ns, times_read
):
    def state(status):
        return status.st_ino, status.st_size, status.st_mtime_ns, change_time_ns

    class Status:
        def __init__(self, status):
            self.st_ino, self.st_size = status.st_ino, status.st_size
            self.st_mtime_ns, self.st_ctime_ns = status.st_mtime_ns, change_time_ns
            self.st_mode = status.st_mode

    fstat = os.fstat
    monkeypatch.setattr(content_digests.os, "fstat", lambda number: Status(fstat(number)))
    monkeypatch.setattr(content_digests, "_state", state)
    for _ in range(2):
        hash_files({"a": files["a"]}, index_file)
    assert read_files == ["a"] * times_read


@pytest.mark.usefixtures("without_settling")
@pytest.mark.parametrize("damage", ["shortened", "one digest changed", "binary", "folder", "list"])
def test_a_damaged_index_is_made_again(files, index_file, read_files, damage, caplog):
    first = hash_files(files, index_file)
    text = index_file.read_text()
    if damage == "shortened":
        index_file.write_text(text[:-9])
    elif damage == "one digest changed":
        index_file.write_text(text.replace(first["a"], first["b"]))
    elif damage == "binary":
        index_file.write_bytes(bytes(range(256)))
    elif damage == "folder":
        index_file.unlink()
        index_file.mkdir()
    else:
        index_file.write_text(f"{hashlib.sha256(json.dumps([1]).encode()).hexdigest()}\n[1]")
    assert hash_files(files, index_file) == first
    assert read_files == ["a", "b", "a", "b"]
    assert "index.json is damaged" in caplog.text


@pytest.mark.usefixtures("without_settling")
def test_an_index_that_cannot_be_written_costs_time_but_changes_nothing(files, tmp_path, caplog):
    (tmp_path / "file").touch()
    index_file = tmp_path / "file" / "index.json"
    assert hash_files(files, index_file) == hash_files(files, tmp_path / "index.json")
    assert "so the next start reads all files again" in caplog.text


@pytest.mark.usefixtures("without_settling")
def test_the_index_forgets_files_that_no_longer_exist(files, index_file):
    hash_files(files, index_file)
    del files["a"]
    hash_files(files, index_file)
    _, text = index_file.read_text().split("\n")
    assert [pathlib.Path(path).name for path in json.loads(text)] == ["b"]
    assert sorted(os.listdir(index_file.parent)) == ["VAE_JAX_OUTPUT.txt", "index.json"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_read_permission_gets_the_reason(files, index_file):
    files["a"].chmod(0)
    assert hash_files(files, index_file)["a"] == "unreadable: Permission denied"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("pipe", "a pipe, not a file"),
        ("socket", "a socket, not a file"),
        ("folder", "a folder, not a file"),
        ("device", "a device, not a file"),
        ("huge", "3.0 GiB; the limit is 1 GiB"),
        ("dangling", "No such file or directory"),
        ("loop", "Too many levels of symbolic links"),
    ],
)
def test_what_is_not_an_ordinary_file_gets_the_reason_and_is_not_read(
    files, index_file, tmp_path, kind, reason, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    path = tmp_path / "special.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(3 * 2**30)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("special.png")
    else:
        path.symlink_to({"device": "/dev/zero", "dangling": "nothing", "loop": path.name}[kind])
    digests = hash_files(files | {"special.png": path}, index_file)
    assert digests.pop("special.png") == f"unreadable: {reason}"
    assert digests == hash_files(files, index_file)


def test_the_joined_digest_depends_on_every_name_and_every_content():
    digests = {"a": "1", "b": "2"}
    others = [{"a": "2", "b": "1"}, {"a": "1"}, {"a": "1", "c": "2"}, {}]
    assert len({join_digests(each) for each in (digests, *others)}) == 5
    assert join_digests({"b": "2", "a": "1"}) == join_digests(digests)


def test_changes_are_names_that_appear_or_vanish_or_have_another_digest():
    before = {"same": "1", "changed": "1", "vanished": "1"}
    after = {"same": "1", "changed": "2", "new": "1"}
    assert list_changes(before, after) == ["changed", "new", "vanished"]
