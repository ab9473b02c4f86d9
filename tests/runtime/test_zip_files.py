import io
import struct
import zipfile

import numpy as np
import pytest

from vae_jax.runtime import zip_files


def _pack(files, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _make_npy(shape, content=b""):
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + content


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_numpy_reads_them(save):
    stream = io.BytesIO()
    arrays = {"a/b": np.arange(6.0).reshape(2, 3), "c": np.array(True), "d": np.empty((0, 4))}
    save(stream, **arrays)
    read = zip_files.read_arrays(stream.getvalue())
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array, strict=True)


@pytest.mark.parametrize(
    "shape",
    [(10**15,), (2**40, 2**40), (-1,), (2**63, 2)],
    ids=["huge", "overflow", "below", "int64"],
)
def test_an_array_that_declares_an_impossible_shape_is_refused(shape):
    content = _pack({"a.npy": _make_npy(shape, bytes(8))})
    with pytest.raises(ValueError, match=r"\w"):
        zip_files.read_arrays(content)


def test_compressed_arrays_have_a_limit_and_others_that_of_the_file(monkeypatch):
    monkeypatch.setattr(zip_files, "MAX_ARRAY_BYTES", 1_000)
    array = _make_npy((1_000,), bytes(4_000))
    assert zip_files.read_arrays(_pack({"a.npy": array}))["a"].size == 1_000
    with pytest.raises(ValueError, match="bytes when unpacked, more than the limit of 1000"):
        zip_files.read_arrays(_pack({"a.npy": array}, zipfile.ZIP_DEFLATED))


def test_too_many_members_are_refused(monkeypatch):
    monkeypatch.setattr(zip_files, "MAX_MEMBERS", 2)
    with pytest.raises(ValueError, match="3 files in it, more than the limit of 2"):
        zip_files.read_arrays(_pack(dict.fromkeys("abc", b"")))


def test_objects_encrypted_and_damaged_files_are_refused():
    stream = io.BytesIO()
    np.savez(stream, a=np.array([{}], dtype=object))
    sound = _pack({"a.npy": _make_npy((2,), bytes(8))})
    encrypted, unknown = bytearray(sound), bytearray(sound)
    for signature, flag, method in ((b"PK\x03\x04", 6, 8), (b"PK\x01\x02", 8, 10)):
        start = sound.index(signature)
        encrypted[start + flag] |= 1
        struct.pack_into("<H", unknown, start + method, 99)
    for content in (stream.getvalue(), encrypted, unknown, sound[:50], b"", b"no zip"):
        with pytest.raises(ValueError, match=r"\w"):
            zip_files.read_arrays(bytes(content))
