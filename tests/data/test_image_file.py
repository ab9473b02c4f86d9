"""Only files of the listed formats reach a reader, and only images that are not too large."""

import ast
import contextlib
import io
import pathlib
import struct
import tracemalloc
import zlib

import pytest
from PIL import EpsImagePlugin, Image

from vae_jax.data import decode, image_file
from vae_jax.data.image_file import FORMATS, SUFFIXES, open_image

ROOT = pathlib.Path(__file__).parents[2]


def encode(image_format, size=(8, 6), mode="RGB"):
    file = io.BytesIO()
    Image.new(mode, size).save(file, image_format)
    return file.getvalue()


@pytest.fixture
def eps(monkeypatch):
    """Returns an EPS; its reader must not be reached."""

    def fail(*args, **kwargs):
        raise AssertionError("the reader of EPS was reached")

    encoded = encode("EPS")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", fail)
    monkeypatch.setattr(EpsImagePlugin.EpsImageFile, "_open", fail)
    return encoded


@pytest.mark.parametrize("name", ["0.png", "0.jpg", "0.tif"])
def test_an_eps_with_the_name_of_an_image_reaches_no_reader(eps, tmp_path, name):
    (tmp_path / name).write_bytes(eps)
    with pytest.raises(OSError, match="cannot identify"):
        open_image(tmp_path / name)
    with pytest.raises(OSError, match="cannot identify"):
        decode.check_image(eps)


def test_a_pdf_with_the_name_of_an_image_is_no_image(tmp_path):
    (tmp_path / "0.png").write_bytes(encode("PDF"))
    with pytest.raises(OSError, match="cannot identify"):
        open_image(tmp_path / "0.png")


def test_a_container_whose_content_may_have_any_format_is_no_image(eps):
    def field(number, data):
        return struct.pack(">BBBH", 0x1C, *number, len(data)) + data

    header = [((3, 60), b"\1\1"), ((3, 20), b"\0\10"), ((3, 30), b"\0\6"), ((3, 120), b"\1")]
    header += [((3, 65), b"\1"), ((8, 10), eps[:30_000])]
    wrapped = b"".join(field(number, data) for number, data in header)
    with pytest.raises(OSError, match="cannot identify"):
        open_image(io.BytesIO(wrapped))


def test_the_formats_are_those_of_the_suffixes_that_count_as_images():
    extensions = Image.registered_extensions()
    assert {extensions[suffix] for suffix in SUFFIXES if suffix != ".mpo"} <= {*FORMATS, "MPO"}
    assert not {"EPS", "PDF", "WMF", "IPTC", "MPEG", "HDF5", "GRIB", "BUFR"} & set(FORMATS)
    # Readers that accept any content must come after those that know their own.
    assert FORMATS.index("TGA") > FORMATS.index("PNG")


@pytest.mark.parametrize(
    "image_format", ["PNG", "JPEG", "MPO", "TIFF", "BMP", "GIF", "TGA", "WEBP"]
)
def test_the_usual_formats_are_opened_whatever_their_name(image_format, tmp_path):
    (tmp_path / "0.png").write_bytes(encode(image_format))
    with open_image(tmp_path / "0.png") as image:
        image.load()
        assert image.size == (8, 6)


def test_an_image_with_too_many_pixels_is_refused_with_both_numbers():
    encoded = encode("PNG")
    assert decode.check_image(encoded, max_pixels=48) == (8, 6)
    with pytest.raises(
        ValueError, match=r"^8x6 = 48 pixels, more than the limit of 47; raise data"
    ):
        decode.check_image(encoded, max_pixels=47)


@pytest.mark.parametrize("side", [13_000, 60_000])
def test_a_small_file_that_declares_a_huge_image_is_refused(side):
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunk = (
        struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )
    encoded = b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + bytes(4)
    with pytest.raises(ValueError, match=rf"{side**2} pixels, more than the limit of 100000000;"):
        decode.check_image(encoded, 100_000_000)


def test_no_other_code_of_the_package_opens_images_of_the_user():
    for path in (ROOT / "vae_jax").rglob("*.py"):
        if path == pathlib.Path(image_file.__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open":
                assert any(keyword.arg == "formats" for keyword in node.keywords), path


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt", b"iTXt"])
def test_a_text_or_a_profile_that_unpacks_to_much_takes_no_memory(kind):
    start = {b"iCCP": b"a\0\0", b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0"}[kind]
    bomb = start + zlib.compress(bytes(2**26))
    stream = io.BytesIO()
    Image.new("L", (4, 4)).save(stream, "PNG")
    content = stream.getvalue()
    chunk = struct.pack(">I", len(bomb)) + kind + bomb + struct.pack(">I", zlib.crc32(kind + bomb))
    file = io.BytesIO(content[:33] + chunk + content[33:])  # behind the header
    tracemalloc.start()
    with contextlib.suppress(ValueError), open_image(file) as image:
        image.load()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**23
