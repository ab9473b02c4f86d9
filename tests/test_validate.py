import pytest

from vae_jax.validate import parse_names


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (3, ("3",)),
        ("3", ("3",)),
        ("a,b", ("a", "b")),
        (" a , b ", ("a", "b")),
        (("a", 3), ("a", "3")),
        ([1, 1, 2], ("1", "2")),
        (("a,b",), ("a", "b")),
        ("('a', 'b')", ("a", "b")),
        (("(a, b)",), ("a", "b")),
        ("[a, b]", ("a", "b")),
        ("good (1),b", ("good (1)", "b")),
        (("(old)", "(1) a, b (2)"), ("(old)", "(1) a", "b (2)")),
        (('a "b"', '2"'), ('a "b"', '2"')),
        ((), ()),
        ("", ()),
        (None, ()),
    ],
)
def test_a_list_of_names_is_what_a_shell_gives(value, names):
    assert parse_names(value) == names
