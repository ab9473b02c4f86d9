import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration import class_samples, latent_draws
from vae_jax.exploration.class_samples import EncodedTrainingSet
from vae_jax.scoring.inference import draw_prior


def test_a_row_for_each_class_and_those_of_test_images_are_marked(make_trained):
    trained = make_trained()
    posterior = trained.encode(trained.dataset.train.images)
    mixture = latent_draws.fit_mixture(posterior.mu, 2, 0)
    known = EncodedTrainingSet(trained.dataset.train, posterior, mixture)
    found = class_samples.from_codes(trained, known, 3)
    assert found.classes == ["left", "right", "ring"]
    assert found.tested == [False, False, True]
    assert found.images.shape == (3, 3, 8, 8, 1)
    again = class_samples.from_codes(trained, known, 3)
    np.testing.assert_array_equal(found.images, again.images)


def test_by_label_each_column_is_one_code(make_trained):
    trained = make_trained(num_classes=2)
    z = draw_prior(trained.model, 4, trained.config.seed)
    found = class_samples.by_label(trained, z)
    assert found.classes == ["left", "right"]
    given = np.ones(4, np.int32)
    np.testing.assert_allclose(found.images[1], trained.decode(z, given), atol=1e-6)


def test_an_unconditional_model_takes_no_label(make_trained):
    with pytest.raises(UserError, match="takes no label"):
        class_samples.by_label(make_trained(), np.zeros((2, 2), np.float32))
