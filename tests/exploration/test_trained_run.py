import pytest

from vae_jax.errors import UserError
from vae_jax.exploration.trained_run import load_trained_run
from vae_jax.workdir_claim import claim_workdir


def test_only_a_conditional_model_has_class_indices(make_trained):
    trained = make_trained()
    assert trained.index_classes(trained.dataset.train) is None


def test_class_indices_follow_the_sorted_classes_of_the_training_images(make_trained):
    trained = make_trained(num_classes=2)
    test = trained.dataset.test
    expected = [{"left": 0, "right": 1, "ring": -1}[name] for name in test.classes]
    assert trained.index_classes(test).tolist() == expected


def test_a_run_without_a_checkpoint_is_rejected(tmp_path, config, dataset):
    claim_workdir(tmp_path, config)
    with pytest.raises(UserError, match="holds no checkpoint"):
        load_trained_run(config, tmp_path, dataset)
