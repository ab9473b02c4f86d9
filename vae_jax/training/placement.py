"""Where the training images wait between steps: on the device, or on the host."""

import dataclasses
import os

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8

from vae_jax.training import processes
from vae_jax.training.parallel import Plan

# Of a device's memory: what images may take so that model and activations keep the rest.
_DEVICE_SHARE = 0.25


@dataclasses.dataclass(frozen=True)
class Placement:
    """The training images, and where they wait.

    Attributes:
        cache: "device" or "host".
        images: on the device [N, H, W, C], or all of them on the host.
    """

    cache: str
    images: UInt8[Array, "N H W C"] | UInt8[np.ndarray, "N H W C"]

    def feed(self, plan: Plan) -> tuple[UInt8[Array, "M H W C"], Plan]:
        """Returns the images that a call is given, and its plan with rows that point into them.

        Of several processes each takes from the host only what its own devices will see.
        """
        if self.cache == "device":
            return self.images, plan
        own = processes.columns(plan.rows.shape[1])
        asked = plan.rows[:, own]
        rows = np.zeros_like(plan.rows)
        rows[:, own] = np.arange(asked.size).reshape(asked.shape)
        return jnp.asarray(self.images[asked.reshape(-1)]), plan.replace(rows=rows)


def place(images: UInt8[np.ndarray, "N H W C"], cache: str) -> Placement:
    """Puts the images where `data.cache` says; "auto" takes the device where they fit.

    The result of training does not depend on it.
    """
    if cache == "auto":
        fits = images.nbytes <= _DEVICE_SHARE * _device_memory_bytes()
        # Several processes read a share each, not all of them everything.
        cache = "device" if fits and not processes.several() else "host"
    return Placement(cache, jnp.asarray(images) if cache == "device" else images)


def _device_memory_bytes() -> int:
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    # The CPU backend has no limit of its own: its device memory is the machine's.
    return limit or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
