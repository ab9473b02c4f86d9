import pathlib

import numpy as np
import tensorflow_datasets as tfds

from vae_jax.data.builders import png, record_files
from vae_jax.data.builders.base import ImageDatasetBuilder, SourceConfig
from vae_jax.data.builders.reading import SourceImage


class Small(ImageDatasetBuilder, skip_registration=True):
    """Seven grey images in two splits."""

    name = "small"
    CLASSES = ("a", "b")
    OFFICIAL = None

    @classmethod
    def locate_files(cls, folder):
        return {}

    def list_images(self, files):
        encoded = png.encode_images(np.arange(7 * 64, dtype=np.uint8).reshape(7, 8, 8))
        images = [
            SourceImage(image, "ab"[i % 2], f"{i}.png", f"group {i // 2}", size=(8, 8))
            for i, image in enumerate(encoded)
        ]
        return {"train": images[:5], "test": images[5:]}


def prepare(folder):
    builder = Small(config=SourceConfig(name="memory"), data_dir=folder)
    assert not builder.is_prepared()
    builder.download_and_prepare(file_format="array_record")
    return builder


def test_records_contain_every_field_of_their_images(tmp_path):
    builder = prepare(tmp_path)
    source = {image.file: image for images in builder.list_images({}).values() for image in images}
    decoders = {name: tfds.decode.SkipDecoding() for name in ("image", "mask")}
    records = [
        record
        for split in ("train", "test")
        for record in builder.as_data_source(split, decoders=decoders)
    ]
    assert sorted(record["file"].decode() for record in records) == sorted(source)
    for record in records:
        image = source[record["file"].decode()]
        assert (record["image"], record["mask"]) == (image.image, b"")
        assert record["class"].decode() == image.class_name
        assert record["group"].decode() == image.group
        assert (record["width"], record["height"], record["bytes"]) == (8, 8, len(image.image))
        assert not record["has_mask"]


def test_the_fingerprint_does_not_depend_on_the_size_of_a_shard(tmp_path, monkeypatch):
    first = prepare(tmp_path / "first")
    monkeypatch.setattr(record_files, "_SHARD_BYTES", 100)  # less than two images
    second = prepare(tmp_path / "second")
    assert len(first.info.splits["train"].filenames) == 1
    assert len(second.info.splits["train"].filenames) == 5
    assert second.preparation == first.preparation
    assert second.is_prepared()


def test_downloads_are_the_located_files_unless_a_builder_unpacks_them():
    downloads = {"a.gz": pathlib.Path("downloaded")}
    assert Small.locate_downloads(downloads) == downloads
