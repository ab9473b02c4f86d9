import pytest

from vae_jax.errors import UserError
from vae_jax.field_syntax import check_mask_rule, parse_names, split_intensity


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
def test_a_list_of_names_may_be_spelled_as_a_shell_or_a_config_spells_it(value, names):
    assert parse_names(value) == names


@pytest.mark.parametrize("rule", ["half", "above", "above:", "above:-1", "over:3", "", "below:1.5"])
def test_a_rule_that_does_not_exist_is_refused(rule):
    with pytest.raises(UserError, match=r"data\.mask_values is .*; valid: auto, above:N and below"):
        check_mask_rule(rule)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "valid: full, window:LOW,HIGH"),
        ("full:0,1", "valid: full"),
        ("window", "valid: full"),
        ("window:0", "valid: full"),
        ("window:0,1,2", "valid: full"),
        ("window:a,b", "valid: full"),
        ("window:0,nan", "valid: full"),
        ("window:0,inf", "valid: full"),
        ("window:5,5", "must be below"),
        ("percentile:99,1", "must be below"),
        ("percentile:-1,99", "between 0 and 100"),
        ("percentile:1,101", "between 0 and 100"),
    ],
)
def test_an_intensity_with_another_spelling_is_refused(text, message):
    with pytest.raises(UserError, match=f"data.intensity is '{text}'.*{message}"):
        split_intensity(text)
