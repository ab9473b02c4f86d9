import io

import pytest
from PIL import Image

from vae_jax.data.builders import image_suffixes


@pytest.mark.parametrize(
    "suffix",
    [
        "jpg", "jpeg", "jfif", "jpe", "mpo", "png", "apng", "bmp", "dib", "gif", "tif", "tiff", "pgm",
        "ppm", "pbm", "pnm", "tga", "pcx", "sgi", "qoi", "ico", "dds",
    ],
)  # fmt: skip
def test_the_usual_formats_are_images_and_can_be_decoded(suffix):
    assert image_suffixes.is_image(f"bad/0.{suffix}")
    assert image_suffixes.is_image(f"bad/0.x.{suffix.upper()}")
    file = io.BytesIO()
    mode = "1" if suffix == "pbm" else "RGB"
    Image.new(mode, (32, 32)).save(file, Image.registered_extensions()[f".{suffix}"])
    Image.open(file).load()


@pytest.mark.parametrize("form", ["WEBP", "AVIF", "JPEG2000"])
def test_a_format_with_its_own_codec_is_an_image_if_and_only_if_it_can_be_decoded(form):
    suffix = {"WEBP": ".webp", "AVIF": ".avif", "JPEG2000": ".jp2"}[form]
    file = io.BytesIO()
    try:
        Image.new("RGB", (32, 32)).save(file, form)
        Image.open(file).load()
        is_readable = True
    except Exception:  # the codec is missing
        is_readable = False
    assert image_suffixes.is_image(f"0{suffix}") == is_readable


@pytest.mark.parametrize(
    "suffix", [".dcm", ".nii", ".pdf", ".eps", ".mpg", ".h5", ".txt", ".raw", ""]
)
def test_other_files_are_not_images(suffix):
    assert not image_suffixes.is_image(f"bad/0{suffix}")


def test_files_are_counted_by_suffix_with_the_most_frequent_first():
    names = ["a/0.DCM", "b/1.dcm", "a/README", "notes.txt"]
    assert image_suffixes.count_suffixes(names) == "2 .dcm, 1 .txt, 1 without a suffix"
    assert image_suffixes.count_suffixes([]) == ""
