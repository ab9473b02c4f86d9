import logging
import os
import pathlib
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from vae_jax import main as main_module
from vae_jax import workdir as workdir_lib
from vae_jax.config import default
from vae_jax.data import decode, pipeline
from vae_jax.data.builders import layout
from vae_jax.data.prepare import list_folders_once, list_manual_files, prepare_dataset
from vae_jax.errors import UserError
from vae_jax.runtime import lock as lock_lib
from vae_jax.workdir_claim import claim_workdir


@pytest.fixture
def data_dir(tmp_path):
    return str(tmp_path / "prepared")


def num_images(builder):
    return builder.info.splits["train"].num_examples


def test_stored_bytes_are_not_encoded_again(make_kvasir, data_dir):
    root = make_kvasir({"polyps": 3}, masks=3)
    builder = prepare_dataset("kvasir", str(root), data_dir)
    import tensorflow_datasets as tfds

    skip = {name: tfds.decode.SkipDecoding() for name in ("image", "mask")}
    for record in builder.as_data_source("train", decoders=skip):
        path = root / record["file"].decode()
        assert record["image"] == path.read_bytes()
        assert record["bytes"] == path.stat().st_size
        assert record["mask"] == (root / "polyps-masks" / f"{path.stem}.png").read_bytes()
        assert (record["width"], record["height"]) == (24, 20)


def test_another_folder_and_a_changed_folder_are_prepared_again(make_kvasir, data_dir):
    a = make_kvasir({"polyps": 3}, "a")
    b = make_kvasir({"polyps": 2}, "b")
    first = prepare_dataset("kvasir", str(a), data_dir)
    assert (num_images(first), num_images(prepare_dataset("kvasir", str(b), data_dir))) == (3, 2)
    (a / "polyps" / "002.jpg").unlink()
    assert num_images(prepare_dataset("kvasir", str(a), data_dir)) == 2
    (a / "polyps" / "001.jpg").write_bytes((b / "polyps" / "000.jpg").read_bytes())
    changed = prepare_dataset("kvasir", str(a), data_dir)
    assert len({first.data_dir, changed.data_dir}) == 2


def test_a_file_with_the_same_name_size_and_times_but_other_content_is_prepared_again(
    make_kvasir, data_dir
):
    root = make_kvasir({"polyps": 3})
    first = prepare_dataset("kvasir", str(root), data_dir)
    path = root / "polyps" / "001.jpg"
    status, content = path.stat(), bytearray(path.read_bytes())
    content[-8] ^= 1  # one pixel block changes, nothing else
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = prepare_dataset("kvasir", str(root), data_dir)
    assert second.preparation["fingerprint"] != first.preparation["fingerprint"]


def test_a_copied_or_touched_folder_is_not_prepared_again(make_kvasir, data_dir, tmp_path):
    root = make_kvasir({"polyps": 3})
    first = prepare_dataset("kvasir", str(root), data_dir)
    shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)
    os.utime(root / "polyps" / "001.jpg", ns=(0, 0))
    for folder in (root, tmp_path / "copy"):
        assert prepare_dataset("kvasir", str(folder), data_dir).data_dir == first.data_dir


def test_the_fingerprint_depends_only_on_the_content(make_kvasir, data_dir):
    a = make_kvasir({"polyps": 3}, "a")
    first = prepare_dataset("kvasir", str(a), data_dir).preparation["fingerprint"]
    os.utime(a / "polyps" / "001.jpg", ns=(0, 0))
    assert prepare_dataset("kvasir", str(a), data_dir).preparation["fingerprint"] == first
    (a / "polyps" / "001.jpg").write_bytes((a / "polyps" / "002.jpg").read_bytes())
    assert prepare_dataset("kvasir", str(a), data_dir).preparation["fingerprint"] != first


@pytest.mark.parametrize("change", ["add", "remove", "replace"])
@pytest.mark.parametrize("skip_corrupt", [False, True])
def test_a_folder_that_changes_while_it_is_prepared_is_refused(
    make_kvasir, data_dir, monkeypatch, change, skip_corrupt
):
    root = make_kvasir({"polyps": 40})
    first, last = root / "polyps/000.jpg", root / "polyps/039.jpg"
    check_image = decode.check_image
    started = threading.Lock()

    def change_then_check(*arguments):
        if started.acquire(blocking=False):  # at the first image only
            if change == "add":
                (root / "polyps/040.jpg").write_bytes(first.read_bytes())
            elif change == "remove":
                last.unlink()
            else:
                status = last.stat()
                last.write_bytes(first.read_bytes()[: status.st_size].ljust(status.st_size, b"0"))
                os.utime(last, ns=(status.st_atime_ns, status.st_mtime_ns))
        return check_image(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(decode, "check_image", change_then_check)
        with pytest.raises(
            UserError, match=r"changed while it was being prepared \(.*0(39|40)\.jpg"
        ):
            prepare_dataset("kvasir", str(root), data_dir, skip_corrupt)
    builder = prepare_dataset("kvasir", str(root), data_dir, skip_corrupt)
    assert num_images(builder) == {"add": 41, "remove": 39, "replace": 40}[change]


def test_a_second_preparation_reads_no_image(make_kvasir, data_dir, monkeypatch):
    root = str(make_kvasir({"polyps": 3}))
    prepare_dataset("kvasir", root, data_dir)
    monkeypatch.setattr(decode, "check_image", None)
    assert num_images(prepare_dataset("kvasir", root, data_dir)) == 3


def test_manual_dir_may_be_the_folder_above(make_kvasir, data_dir):
    root = make_kvasir({"polyps": 3}, "kvasir")
    assert num_images(prepare_dataset("kvasir", str(root.parent), data_dir)) == 3


def test_digits_need_no_files(data_dir):
    builder = prepare_dataset("digits", "/nowhere", data_dir)
    assert num_images(builder) == 1797
    assert builder.preparation["skipped"] == {}


@pytest.fixture
def damaged(make_kvasir):
    root = make_kvasir({"polyps": 9, "normal-cecum": 2}, masks=2)
    jpeg = (root / "polyps" / "003.jpg").read_bytes()
    (root / "polyps" / "003.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (root / "polyps" / "004.jpg").write_text("no image")
    (root / "polyps" / "005.jpg").write_bytes(b"")
    (root / "polyps-masks" / "001.png").write_bytes(b"\x89PNG")
    return root


def test_the_error_for_damaged_images_names_all_of_them(damaged, data_dir):
    with pytest.raises(UserError, match="4 unreadable images") as error:
        prepare_dataset("kvasir", str(damaged), data_dir)
    message = str(error.value)
    for name in (
        "polyps/001.jpg (its mask 001.png",
        "003.jpg",
        "004.jpg (not an image)",
        "005.jpg",
    ):
        assert name in message
    assert "--config.data.skip_corrupt=true" in message
    assert "\n" not in message
    with pytest.raises(UserError, match="4 unreadable images"):
        prepare_dataset("kvasir", str(damaged), data_dir)


def test_the_error_for_many_damaged_images_names_a_few_and_counts_the_others(make_kvasir, data_dir):
    root = make_kvasir({"polyps": 9})
    for path in (root / "polyps").iterdir():
        path.write_text("no image")
    with pytest.raises(UserError, match=r"9 unreadable images: .*and 4 more"):
        prepare_dataset("kvasir", str(root), data_dir)


def test_damaged_images_can_be_skipped_and_are_then_listed(damaged, data_dir, caplog):
    with caplog.at_level(logging.WARNING, "vae_jax"):
        builder = prepare_dataset("kvasir", str(damaged), data_dir, skip_corrupt=True)
    assert num_images(builder) == 7
    assert list(builder.preparation["skipped"]) == [f"polyps/00{i}.jpg" for i in (1, 3, 4, 5)]
    assert "polyps/003.jpg" in caplog.text
    with pytest.raises(UserError, match="unreadable"):  # the option applies to one call only
        prepare_dataset("kvasir", str(damaged), data_dir)


def test_a_dataset_whose_images_are_all_skipped_is_refused(make_kvasir, data_dir):
    root = make_kvasir({"polyps": 1})
    (root / "polyps" / "000.jpg").write_text("no image")
    with pytest.raises(UserError, match="no image could be read"):
        prepare_dataset("kvasir", str(root), data_dir, skip_corrupt=True)


def test_a_stopped_preparation_does_not_count_as_prepared(make_kvasir, data_dir, monkeypatch):
    root = str(make_kvasir({"polyps": 3}))

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(decode, "check_image", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare_dataset("kvasir", root, data_dir)
    assert num_images(prepare_dataset("kvasir", root, data_dir)) == 3


def test_prepared_data_and_runs_inside_the_users_folder_never_become_images(own_folder):
    before = list_manual_files("folder", str(own_folder))
    prepared, run = own_folder / "train", own_folder / "train/good/run"
    builder = prepare_dataset("folder", str(own_folder), str(prepared))
    claim_workdir(run, default())
    for folder in (prepared / builder.name, run):
        assert (folder / workdir_lib.MARKER_FILE).is_file()
        (folder / "figures").mkdir()
        shutil.copy(own_folder / "train/good/0.png", folder / "figures/roc.png")
    assert list_manual_files("folder", str(own_folder)) == before
    again = prepare_dataset("folder", str(own_folder), str(prepared))
    assert again.data_dir == builder.data_dir


def test_mnist_keeps_its_official_splits(make_idx, data_dir):
    folder, _ = make_idx()
    builder = prepare_dataset("mnist", str(folder), data_dir)
    assert {name: s.num_examples for name, s in builder.info.splits.items()} == {
        "train": 60,
        "test": 20,
    }


def test_different_numbers_of_images_and_labels_are_refused(make_idx, data_dir):
    folder, _ = make_idx()
    labels = folder / "train-labels-idx1-ubyte.gz"
    labels.write_bytes((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())
    with pytest.raises(UserError, match=r"holds 60 images but .* 20 labels"):
        prepare_dataset("mnist", str(folder), data_dir)


@pytest.mark.parametrize("dataset", ["mnist", "kvasir"])
def test_a_manual_dir_that_is_missing_or_empty_is_refused(dataset, data_dir, tmp_path):
    with pytest.raises(UserError, match=r"nowhere is not a folder.*://.*manual_dir"):
        prepare_dataset(dataset, str(tmp_path / "nowhere"), data_dir)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty (lacks|has no).*://.*manual_dir"):
        prepare_dataset(dataset, str(tmp_path / "empty"), data_dir)


def test_the_error_names_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"cannot be written to .*file.*--config.data.dir=DIR"):
        prepare_dataset("digits", data_dir=str(tmp_path / "file" / "below"))


def test_a_source_file_that_has_vanished_since_the_listing_is_named(make_kvasir, data_dir):
    root = make_kvasir({"polyps": 2})
    with list_folders_once():
        assert list_manual_files("kvasir", str(root))
        (root / "polyps/001.jpg").unlink()
        with pytest.raises(UserError, match=r"changed while it was being prepared .*001\.jpg"):
            prepare_dataset("kvasir", str(root), data_dir)


def test_the_error_reports_a_full_disk(make_kvasir, data_dir, monkeypatch):
    from vae_jax.data.builders import record_files

    class Full:
        def __init__(self, path, options):
            pass

        def write(self, record):
            pass

        def close(self):
            raise RuntimeError("write() failed: No space left on device")

    monkeypatch.setattr(record_files.array_record_module, "ArrayRecordWriter", Full)
    with pytest.raises(UserError, match=r"No space left on device.*--config.data.dir"):
        prepare_dataset("kvasir", str(make_kvasir({"polyps": 1})), data_dir)


def test_preparing_prints_nothing_on_stdout(make_kvasir, data_dir, capsys):
    prepare_dataset("kvasir", str(make_kvasir({"polyps": 1})), data_dir)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "preparing" in printed.err


@pytest.fixture
def own_folder(tmp_path):
    """Images in the splits train and test, and one image outside of both."""
    rng = np.random.default_rng(0)
    for name in [f"train/good/{i}.png" for i in range(20)] + [
        "test/good/0.png",
        "test/bad/0.png",
        "notes/0.png",
    ]:
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 12), np.uint8)).save(path)
    return tmp_path / "own"


@pytest.fixture
def listed_folders(monkeypatch):
    """The folders that have been listed, one entry per listing."""
    folders = []

    walk_folder = layout.walk_folder

    def walk(folder):
        folders.append(str(folder))
        return walk_folder(folder)

    monkeypatch.setattr(layout, "walk_folder", walk)
    return folders


# ml_collections loads config files with a method that Python 3.12 deprecates.
@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_a_start_lists_the_users_folder_once_if_it_is_prepared_and_always_warns_once(
    own_folder, listed_folders, tmp_path, monkeypatch, caplog
):
    for name in ("keep_memory", "choose_xla_options"):  # they would change the process of the tests
        monkeypatch.setattr(main_module, name, lambda *args: None)
    datasets = []
    monkeypatch.setattr(
        main_module,
        "_run_mode",
        lambda command: datasets.append(pipeline.load_dataset(command.config.data, seed=0)),
    )
    flags = [
        "--config.data.dataset=folder",
        "--config.data.normal_classes=good",
        "--config.data.anomaly_classes=bad",
        f"--config.data.manual_dir={own_folder}",
        f"--config.data.dir={tmp_path / 'prepared'}",
        f"--workdir={tmp_path / 'run'}",
    ]
    for num_starts in (1, 2):
        assert main_module.main(["main", *flags]) == 0
        # The first start prepares the folder, and lists it again to find changes in the meantime.
        assert listed_folders == [str(own_folder)] * (1 + num_starts)
        assert caplog.text.count("ignored what is outside train and test: notes") == num_starts
    assert len(datasets) == 2


def test_outside_of_a_start_every_call_lists_the_folder(own_folder, listed_folders):
    list_manual_files("folder", str(own_folder))
    (own_folder / "train/good/0.png").unlink()
    assert "train/good/0.png" not in list_manual_files("folder", str(own_folder))
    with list_folders_once(), list_folders_once():
        first = list_manual_files("folder", str(own_folder))
        assert list_manual_files("folder", str(own_folder)) is first
    assert len(listed_folders) == 3


def test_of_two_that_prepare_the_same_data_the_second_waits_and_uses_it(
    make_kvasir, data_dir, monkeypatch, caplog
):
    root = str(make_kvasir({"polyps": 3}))
    check_image, is_first = decode.check_image, threading.Lock()
    started, is_waiting = threading.Event(), threading.Event()

    def check_slowly(*arguments):
        started.set()
        assert is_first.acquire(blocking=False) or is_waiting.is_set(), "two prepare at once"
        is_waiting.wait(20)
        return check_image(*arguments)

    def wait_and_tell(*arguments):
        is_waiting.set()
        return pause(*arguments)

    pause = lock_lib.time.sleep
    monkeypatch.setattr(decode, "check_image", check_slowly)
    monkeypatch.setattr(lock_lib.time, "sleep", wait_and_tell)
    builders = []
    thread = threading.Thread(
        target=lambda: builders.append(prepare_dataset("kvasir", root, data_dir))
    )
    thread.start()
    assert started.wait(20)
    builders.append(prepare_dataset("kvasir", root, data_dir))
    thread.join()
    assert [num_images(builder) for builder in builders] == [3, 3]
    assert "prepares the same data in" in caplog.text
    assert not list(pathlib.Path(data_dir).rglob("*.lock"))


def test_what_a_killed_preparation_left_is_removed_by_the_next_one(make_kvasir, data_dir):
    root = make_kvasir({"polyps": 3})
    folder = pathlib.Path(prepare_dataset("kvasir", str(root), data_dir).data_dir)
    draft = folder.with_name("incomplete.ABC123_1.0.0")
    folder.rename(draft)  # as if it had been killed before it renamed the folder
    prepare_dataset("kvasir", str(root), data_dir)
    assert folder.is_dir()
    assert not draft.exists()


@pytest.mark.parametrize("name", ["preparation.json", "dataset_info.json"])
@pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b"[1]", b""])
def test_damaged_prepared_data_is_one_line_that_says_what_to_delete(
    make_kvasir, data_dir, name, content
):
    root = make_kvasir({"polyps": 3})
    builder = prepare_dataset("kvasir", str(root), data_dir)
    path = pathlib.Path(builder.data_dir) / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"the prepared data in .* is damaged") as error:
        prepare_dataset("kvasir", str(root), data_dir)
    assert "\n" not in str(error.value)
    shutil.rmtree(path.parents[1])
    assert num_images(prepare_dataset("kvasir", str(root), data_dir)) == 3
