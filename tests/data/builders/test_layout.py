import pytest

from vae_jax.data.builders import layout
from vae_jax.data.builders.layout import ImageLocation
from vae_jax.errors import UserError


@pytest.fixture
def touch(tmp_path):
    """Returns a function: names -> a folder with empty files of these names."""

    def touch(*names):
        for name in names:
            path = tmp_path / "own" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "own"

    return touch


def test_images_are_listed_in_alphabetical_order_and_other_files_are_ignored(touch):
    folder = touch(
        "b/1.PNG", "a/2.jpeg", "a/1.tif", "a/notes.txt", "roi.png", ".c/1.png", "a/.1.png"
    )
    assert list(layout.list_files_below(folder).images) == ["a/1.tif", "a/2.jpeg", "b/1.PNG"]


def test_a_linked_folder_is_listed(touch, tmp_path):
    folder = touch("good/0.png")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/1.png").touch()
    (folder / "bad").symlink_to(tmp_path / "elsewhere")
    assert list(layout.list_files_below(folder).images) == ["bad/1.png", "good/0.png"]


def test_names_are_printable_whatever_their_bytes_are(touch):
    folder = touch("good/0.png")
    (folder / "good/\udcff\n\x1b.png").touch()
    images = layout.list_files_below(folder).images
    assert list(images) == ["good/0.png", "good/\\xff\\n\\x1b.png"]
    assert all(path.exists() for path in images.values())


def test_two_files_whose_names_are_shown_alike_are_refused(touch):
    folder = touch("good/0.png")
    (folder / "good/\n.png").touch()
    (folder / "good/\\n.png").touch()
    with pytest.raises(UserError, match=r"two files whose names are shown as good/\\n\.png"):
        layout.list_files_below(folder)


def test_without_a_training_folder_every_image_is_a_training_image():
    names = ["good/deep/0.png", "1.png", "groups.csv"]
    locations = layout.locate_images(names)
    assert locations == {
        "good/deep/0.png": ImageLocation("train", "good/deep/0.png"),
        "1.png": ImageLocation("train", "1.png"),
    }
    assert [location.class_name for location in locations.values()] == ["good", "normal"]


def test_with_a_training_folder_images_outside_the_splits_are_left_out():
    names = ["Train/good/0.png", "validation/good/1.png", "test/bad/2.png", "notes/3.png", "4.png"]
    assert layout.locate_images(names) == {
        "Train/good/0.png": ImageLocation("train", "good/0.png"),
        "validation/good/1.png": ImageLocation("train", "good/1.png"),
        "test/bad/2.png": ImageLocation("test", "bad/2.png"),
    }


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (["Train/good/0.png", "Test/bad/0.png", "test_public/bad/0.png"], ["Test", "test_public"]),
        (["good/0.png", "test/0.png"], []),  # without a split train, test is a class
    ],
)
def test_the_folders_of_the_test_split_are_named_as_they_are_spelled(names, folders):
    assert layout.list_test_folders(names) == folders


def test_files_that_are_not_images_and_empty_folders_are_listed(touch):
    folder = touch("good/0.png", "good/0.raw", "notes.txt", "groups.csv", "roi.png", ".cache/1.txt")
    (folder / "bad/deep").mkdir(parents=True)
    files = layout.list_files_below(folder)
    assert list(files.images) == ["good/0.png"]
    assert sorted(files.others) == ["good/0.raw", "notes.txt"]
    assert files.empty_folders == ["bad/deep"]


@pytest.mark.parametrize(
    ("names", "left_out"),
    [
        (["good/0.png", "bad/0.raw", "bad/deep/1.raw"], "own/bad .*, only 2 .raw; convert"),
        (["train/good/0.png", "test/bad/0.raw", "test/good/0.png"], "own/test/bad .*only 1 .raw"),
        (["good/0.png", "bad/0", "bad/notes.txt"], "only 1 .txt, 1 without a suffix"),
    ],
)
def test_a_class_without_an_image_that_can_be_read_is_refused(touch, names, left_out):
    folder = touch(*names)
    with pytest.raises(UserError, match=left_out):
        layout.check_left_out(folder, layout.list_files_below(folder))


@pytest.mark.parametrize("train", [[], ["train/good/0.png"]])
def test_an_empty_folder_of_a_class_is_refused(touch, train):
    folder = touch(*train, "test/good/0.png")
    (folder / "test/bad" if train else folder / "bad").mkdir()
    with pytest.raises(UserError, match=r"bad is empty; put its images there, or remove"):
        layout.check_left_out(folder, layout.list_files_below(folder))


def test_files_that_are_no_class_do_not_matter(touch):
    folder = touch(
        "good/0.png", "good/0.raw", "Annotations/0.xml", "Annotations/1.xml", "a.raw", "readme.txt"
    )
    for name in ("good/empty", "ground_truth"):
        (folder / name).mkdir()
    layout.check_left_out(folder, layout.list_files_below(folder))


def test_folders_beside_images_that_are_in_no_folder_are_not_classes(touch):
    folder = touch("0.png", "raw/0.raw")
    (folder / "empty").mkdir()
    layout.check_left_out(folder, layout.list_files_below(folder))
