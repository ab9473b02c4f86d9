"""Encoded pictures that are sound, damaged or a burden; the names of formats are those of Pillow."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

# Format of Pillow -> suffix, and what is given to Pillow when it saves.
FORMATS = {
    "PNG": (".png", {}),
    "JPEG": (".jpg", {}),
    "BMP": (".bmp", {}),
    "GIF": (".gif", {}),
    "TIFF": (".tif", {}),
    "TIFF lzw": (".tif", {"compression": "tiff_lzw"}),
    "TIFF deflate": (".tiff", {"compression": "tiff_adobe_deflate"}),
    "TIFF jpeg": (".tif", {"compression": "jpeg"}),
    "WEBP": (".webp", {}),
    "WEBP lossless": (".webp", {"lossless": True}),
    "PPM": (".ppm", {}),
    "TGA": (".tga", {"compression": "tga_rle"}),
    "JPEG2000": (".jp2", {}),
    "AVIF": (".avif", {"speed": 10}),
    "ICO": (".ico", {}),
    "ICNS": (".icns", {}),
    "PCX": (".pcx", {}),
    "SGI": (".sgi", {}),
    "DDS": (".dds", {}),
    "QOI": (".qoi", {}),
    "IM": (".im", {}),
    "MPO": (".mpo", {}),
}
PNG_START = b"\x89PNG\r\n\x1a\n"


def make_picture(
    rng: np.random.Generator, mode: str = "RGB", side: int | None = None
) -> Image.Image:
    """Returns a picture with coarse and fine structure, 20 to 120 pixels on a side unless it is given."""
    width, height = (side, side) if side else map(int, rng.integers(20, 121, 2))
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8)).resize((width, height))
    pixels = np.asarray(coarse).astype(float) + rng.normal(0, 12, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode)


def encode(picture: Image.Image, name: str = "PNG", **options) -> bytes:
    """Returns the file of a picture in one of FORMATS."""
    stream = io.BytesIO()
    picture.save(stream, name.split()[0], **FORMATS[name][1] | options)
    return stream.getvalue()


def draw_file(rng: np.random.Generator, name: str) -> bytes:
    """Returns a sound picture in one of FORMATS."""
    mode = "RGB" if rng.random() < 0.7 or name in ("AVIF", "QOI", "ICNS", "MPO", "DDS") else "L"
    return encode(make_picture(rng, mode, 32 if name == "ICNS" else None), name)


def flip_bits(rng: np.random.Generator, content: bytes) -> bytes:
    """Flips 1 to 64 bits, in half of the files only near the beginning."""
    data = bytearray(content)
    end = len(data) if rng.random() < 0.5 else min(len(data), 256)
    for place in rng.integers(0, end, int(2 ** rng.uniform(0, 6))):
        data[place] ^= 1 << int(rng.integers(8))
    return bytes(data)


def truncate(rng: np.random.Generator, content: bytes) -> bytes:
    """Cuts the end off."""
    return content[: int(rng.integers(1, len(content)))]


def replace_header(rng: np.random.Generator, content: bytes) -> bytes:
    """Overwrites the beginning with random bytes or with the beginning of another format."""
    size = int(rng.integers(2, 40))
    other = list(FORMATS)[int(rng.integers(len(FORMATS)))]
    header = rng.bytes(size) if rng.random() < 0.4 else draw_file(rng, other)[:size]
    return header + content[size:]


def splice(rng: np.random.Generator, content: bytes) -> bytes:
    """Removes, repeats or moves a part, or puts zeros there, as a broken copy does."""
    start, end = sorted(int(i) for i in rng.integers(0, len(content), 2))
    before, part, after = content[:start], content[start:end], content[end:]
    return [
        before + after, before + 2 * part + after, before + after + part,
        before + bytes(len(part)) + after,
    ][int(rng.integers(4))]  # fmt: skip


ACTIONS = {"flip": flip_bits, "cut": truncate, "header": replace_header, "splice": splice}


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def make_png(width: int, height: int, extra: bytes = b"", pixels: bytes | None = None) -> bytes:
    """Returns a grey PNG that declares a size; unless pixels are given, all of them are black."""
    header = _png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    if pixels is None:
        packer = zlib.compressobj(9)
        row = bytes(width + 1)
        pixels = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    return PNG_START + header + extra + _png_chunk(b"IDAT", pixels) + _png_chunk(b"IEND", b"")


def declare_size(name: str) -> Callable[[np.random.Generator], bytes]:
    """Returns a function that makes a small file whose header declares a huge picture."""

    def make(rng: np.random.Generator) -> bytes:
        data = bytearray(encode(make_picture(rng, side=32), name))
        size = int(rng.integers(40_000, 65_000))
        if name == "GIF":
            data[6:10] = struct.pack("<HH", size, size)
        elif name == "BMP":
            data[18:26] = struct.pack("<ii", size, size)
        elif name == "JPEG":
            start = data.index(b"\xff\xc0") + 5
            data[start : start + 4] = struct.pack(">HH", size, size)
        elif name == "PPM":
            return b"P6 %d %d 255\n" % (size, size) + bytes(data[-64:])
        elif name == "TIFF":
            for tag in (256, 257):
                start = data.index(struct.pack("<HHI", tag, 4, 1))
                data[start + 8 : start + 12] = struct.pack("<I", size)
        return bytes(data)

    return make


def make_text_bomb(rng: np.random.Generator) -> bytes:
    """Returns a small PNG whose text and colour profile unpack to 64 MiB each."""
    del rng
    packed = zlib.compress(bytes(2**26), 9)
    chunk = _png_chunk(b"zTXt", b"Comment\0\0" + packed) + _png_chunk(b"iCCP", b"icc\0\0" + packed)
    return make_png(16, 16, chunk)


def make_frames(rng: np.random.Generator, name: str, count: int) -> bytes:
    """Returns a file with several frames or pages."""
    frames = [make_picture(rng, side=24) for _ in range(count)]
    return encode(frames[0], name, save_all=True, append_images=frames[1:])


def make_deep(rng: np.random.Generator, name: str, dtype: type) -> bytes:
    """Returns a grey picture of numbers with more than 8 bits."""
    values = np.asarray(make_picture(rng, "L")).astype(np.float64)
    scale = {np.uint16: 257, np.int32: 2**22, np.float32: 1 / 255}[dtype]
    return encode(Image.fromarray((values * scale).astype(dtype)), name)


def turn(rng: np.random.Generator, name: str) -> bytes:
    """Returns a picture with a tag of orientation, which may not be valid."""
    exif = Image.Exif()
    exif[0x0112] = int(rng.integers(1, 12))  # 9 to 11 are not valid
    return encode(make_picture(rng), name, exif=exif)
