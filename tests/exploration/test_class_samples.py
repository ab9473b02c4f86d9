import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration.class_samples import sample_by_label, sample_from_codes
from vae_jax.exploration.training_set import encode_training_set
from vae_jax.scoring.inference import draw_prior


def test_every_class_has_a_row_and_classes_of_test_images_alone_are_marked(make_trained):
    trained = make_trained()
    training_set = encode_training_set(trained)
    samples = sample_from_codes(trained, training_set, 3)
    assert samples.classes == ["left", "right", "ring"]
    assert samples.from_test == [False, False, True]
    assert samples.labels == ["left", "right", "ring (test)"]
    assert samples.images.shape == (3, 3, 8, 8, 1)
    repeated = sample_from_codes(trained, training_set, 3)
    np.testing.assert_array_equal(samples.images, repeated.images)


def test_all_images_of_a_column_have_the_same_code_under_different_labels(make_trained):
    trained = make_trained(num_classes=2)
    z = draw_prior(trained.model, 4, trained.config.seed)
    samples = sample_by_label(trained, z)
    assert samples.classes == ["left", "right"]
    for index in (0, 1):
        expected = trained.decode(z, np.full(4, index, np.int32))
        np.testing.assert_allclose(samples.images[index], expected, atol=1e-6)


def test_a_model_that_is_not_conditional_takes_no_label(make_trained):
    with pytest.raises(UserError, match="not conditional, so its decoder takes no label"):
        sample_by_label(make_trained(), np.zeros((2, 2), np.float32))
