import dataclasses

import numpy as np
import pytest

from vae_jax.errors import UserError


def test_classes_are_given_only_if_the_config_says_so(make_setup, config, two_classes):
    config.model.num_classes = 2
    setup = dataclasses.replace(make_setup(), dataset=two_classes)
    assert setup.given_classes(two_classes.train) is None
    config.scoring.condition = "given"
    indices = setup.given_classes(two_classes.train)
    expected = [sorted(set(two_classes.train.classes)).index(c) for c in two_classes.train.classes]
    np.testing.assert_array_equal(indices, expected)
    with pytest.raises(UserError, match="ring"):
        setup.given_classes(two_classes.test)


def test_a_model_without_classes_is_given_none(make_setup, config):
    config.scoring.condition = "given"
    setup = make_setup()
    assert setup.given_classes(setup.dataset.train) is None
