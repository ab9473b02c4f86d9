import pytest

from vae_jax.data.builders import groups
from vae_jax.errors import UserError


def write(folder, text, encoding="utf-8"):
    path = folder / groups.FILE_NAME
    path.write_bytes(text.encode(encoding))
    return path


def test_the_columns_together_name_an_image_and_spaces_do_not_count(tmp_path):
    path = write(tmp_path, "group,file,class,note\n 7 ,a.png, polyps,x\n8,a.png,cecum,\n")
    assert groups.read_groups(path, ("class", "file")) == {
        ("polyps", "a.png"): "7",
        ("cecum", "a.png"): "8",
    }


def test_a_row_without_a_group_is_left_out(tmp_path):
    path = write(tmp_path, "file,group\na.png,\nb.png,7\nb.png,7\n")
    assert groups.read_groups(path, ("file",)) == {("b.png",): "7"}


def test_the_byte_order_mark_of_a_spreadsheet_is_ignored(tmp_path):
    path = write(tmp_path, "file,group\nä.png,7\n", "utf-8-sig")
    assert groups.read_groups(path, ("file",)) == {("ä.png",): "7"}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("name,group\na.png,7\n", "utf-8"),
        ("file\na.png\n", "utf-8"),
        ("file,group\na.png\n", "utf-8"),
        ("file,group\nä.png,7\n", "latin-1"),
    ],
)
def test_a_file_that_is_not_such_a_table_is_refused(tmp_path, text, encoding):
    path = write(tmp_path, text, encoding)
    with pytest.raises(
        UserError, match=r"groups.csv is not a table with the columns file and group"
    ):
        groups.read_groups(path, ("file",))


def test_an_image_in_two_groups_is_refused(tmp_path):
    path = write(tmp_path, "class,file,group\npolyps,a.png,7\npolyps,a.png,8\n")
    with pytest.raises(UserError, match=r"puts polyps/a\.png into the groups 7 and 8"):
        groups.read_groups(path, ("class", "file"))
