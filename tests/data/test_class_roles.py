import pytest

from vae_jax.data.class_roles import choose_class_roles
from vae_jax.errors import UserError


@pytest.fixture
def roles(tmp_path, data_config):
    """Returns a function: (dataset, classes of a folder, fields) -> normal and abnormal classes."""

    def roles(dataset, *classes, **fields):
        for name in classes:
            (tmp_path / "own" / name).mkdir(parents=True)
            (tmp_path / "own" / name / "0.png").touch()  # no image is read
        data_config.dataset, data_config.manual_dir = dataset, str(tmp_path / "own")
        data_config.normal_classes, data_config.anomaly_classes = (), ()
        data_config.update(fields)
        return choose_class_roles(data_config)

    return roles


def test_aliases_become_the_names_of_the_dataset_without_any_file(roles):
    normal, anomaly = roles("kvasir", normal_classes=("cecum",), anomaly_classes=("polyps",))
    assert (normal, anomaly) == (("normal-cecum",), ("polyps",))


def test_without_names_all_classes_of_an_official_dataset_are_normal(roles):
    assert roles("digits") == ((), ())


def test_a_class_of_the_users_folder_with_a_usual_name_is_normal(roles):
    assert roles("folder", "Good", "dent") == (("Good",), ())


def test_named_abnormal_classes_are_enough_if_no_class_has_a_usual_name(roles):
    assert roles("folder", "fine", "dent", anomaly_classes=("dent",)) == ((), ("dent",))


def test_the_classes_of_another_dataset_are_checked_against_that_dataset(roles):
    normal, anomaly = roles("digits", anomaly_dataset="mnist", anomaly_classes=("7",))
    assert (normal, anomaly) == ((), ("7",))
    with pytest.raises(UserError, match="mnist has no class 'ten'"):
        roles("digits", anomaly_dataset="mnist", anomaly_classes=("ten",))


@pytest.mark.parametrize("fields", [{}, {"anomaly_dataset": "digits"}])
def test_an_error_lists_the_classes_if_none_has_a_usual_name(roles, fields):
    with pytest.raises(
        UserError, match=r"is called good, normal, ok; .* the classes are dent, fine"
    ):
        roles("folder", "fine", "dent", **fields)
