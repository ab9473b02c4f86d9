import jax
import numpy as np
import pytest

from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.errors import UserError
from vae_jax.training import placement
from vae_jax.training.placement import place_images
from vae_jax.training.plans import make_plans


def draw_plans(images, steps_per_call=2):
    return list(make_plans(0, 0, np.zeros(len(images), np.int32), 16, steps_per_call))


@pytest.mark.parametrize("cache", ["device", "host", "none"])
def test_a_call_receives_the_images_that_its_plan_names(images, cache):
    stored = ImagesOnDisk.from_parts([images]) if cache == "none" else images
    placed = place_images(stored, cache)
    plans = draw_plans(images)
    assert placed.cache == cache
    calls = list(placed.feed(plans))
    assert len(calls) == len(plans)
    for (call_images, plan, num_steps), (original, expected_steps) in zip(
        calls, plans, strict=True
    ):
        assert isinstance(call_images, jax.Array)
        assert num_steps == expected_steps
        np.testing.assert_array_equal(np.asarray(call_images)[plan.rows], images[original.rows])
        for name in ("index", "mask", "class_index"):
            np.testing.assert_array_equal(getattr(plan, name), getattr(original, name))


def test_images_off_the_device_reach_it_only_with_the_call_that_needs_them(images):
    """A call of two steps of 16 images receives 32 images, and not all 70."""
    call_images, _, _ = next(iter(place_images(images, "host").feed(draw_plans(images))))
    assert call_images.shape == (32, 8, 8, 1)


@pytest.mark.parametrize(("memory", "expected"), [(4 * 4480, "device"), (4 * 4480 - 1, "host")])
def test_auto_uses_the_device_if_the_images_fit_a_quarter_of_its_memory(
    images, monkeypatch, memory, expected
):
    assert images.nbytes == 4480
    monkeypatch.setattr(placement, "_device_memory_bytes", lambda: memory)
    assert place_images(images, "auto").cache == expected


def test_images_on_disk_stay_there(images):
    assert place_images(ImagesOnDisk.from_parts([images]), "device").cache == "none"


def test_images_that_do_not_fit_on_the_device_are_refused_there(images, monkeypatch):
    monkeypatch.setattr(placement, "_device_memory_bytes", lambda: images.nbytes - 1)
    with pytest.raises(UserError, match=r"all training images needs .*; set data\.cache=host"):
        place_images(images, "device")
    assert place_images(images, "host").cache == "host"
