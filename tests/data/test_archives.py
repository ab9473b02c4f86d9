import gzip
import os
import struct
import zipfile

import pytest

from vae_jax.data import archives
from vae_jax.errors import UserError


def _assert_refused(archive, reason):
    folder = archive.with_suffix("")
    with pytest.raises(UserError, match=reason) as error:
        archives.unpack_zip(archive, folder)
    assert str(archive) in str(error.value)
    assert "\n" not in str(error.value)
    assert os.listdir(archive.parent) == [archive.name]


def test_a_damaged_archive_is_refused(tmp_path):
    archive = tmp_path / "a.zip"
    archive.write_bytes(b"PK\x03\x04 no archive")
    _assert_refused(archive, "a.zip is damaged")


def test_an_archive_that_is_damaged_in_the_middle_leaves_nothing(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("a.txt", "whole")
        zipped.writestr("b.txt", "damaged")
    archive.write_bytes(archive.read_bytes().replace(b"damaged", b"Damaged", 1))
    _assert_refused(archive, "CRC")


def test_an_encrypted_archive_is_refused_in_one_line(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("a.txt", "text")
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1  # the flag of an encrypted member
    archive.write_bytes(content)
    _assert_refused(archive, r"cannot be unpacked \(.*encrypted")


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(archives, "MIN_LIMIT", 10_000)
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for i in range(3):
            zipped.writestr(f"{i}.png", bytes(5_000))
    _assert_refused(archive, "15000 bytes when unpacked, more than the limit of 10000")


def test_members_that_declare_less_than_they_unpack_to_are_cut_and_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MIN_LIMIT", 10_000)
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("a.png", bytes(1_000_000))
    size = struct.pack("<I", 1_000_000)
    archive.write_bytes(archive.read_bytes().replace(size, struct.pack("<I", 5_000)))
    _assert_refused(archive, "CRC")


def test_members_that_share_their_bytes_are_refused(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("a.png", bytes(1_000))
        zipped.filelist *= 50  # fifty entries of the directory lead to one file
    _assert_refused(archive, "overlap")


def test_an_archive_inside_an_archive_stays_packed(tmp_path):
    inner, outer = tmp_path / "inner.zip", tmp_path / "outer.zip"
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("a.png", bytes(1_000_000))
    with zipfile.ZipFile(outer, "w") as zipped:
        zipped.write(inner, "inner.zip")
    folder = archives.unpack_zip(outer, tmp_path / "outer")
    assert [path.name for path in folder.iterdir()] == ["inner.zip"]


def test_no_member_is_written_outside_the_folder(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for name in ("../../above.png", "/root.png", "a/../../b.png"):
            zipped.writestr(name, "text")
    folder = archives.unpack_zip(archive, tmp_path / "a")
    assert {path.name for path in tmp_path.iterdir()} == {"a.zip", "a"}
    assert all(path.resolve().is_relative_to(folder) for path in folder.rglob("*"))


def test_only_the_first_bytes_of_a_compressed_file_are_unpacked(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(bytes(10)) * 3 + b"never read")
    assert archives.read_start(path, 30) == bytes(30)
    with pytest.raises(ValueError, match="gzip"):
        archives.read_start(path, 31)
