"""The options of XLA, the compiler, told before JAX starts."""

import importlib.metadata
import os

# Where the options are known and were measured to help; one that XLA does not know ends the process.
_VERSIONS = ("0.10.2",)
# Of what XLA may hand to the library YNNPACK, matrix products alone: the library is the one to use the
# processor's bfloat16 units. XLA's own float32 convolutions take 0.6 to 0.95 of its time in the strided
# layers of the Kvasir model, its own sum of what is computed on the way a twentieth.
_LIBRARY = ("xla_cpu_experimental_ynn_fusion_type", "individual_dot")
# Loops over numbers come from the older of two emitters: a float32 training step of the Kvasir model takes
# 0.9 of the time, one in bfloat16 1.1 of it.
_LOOPS = ("xla_cpu_use_fusion_emitters", "false")


def choose_options(precision: str) -> None:
    """Tells XLA which of its ways on the CPU are the fast ones for the products of a run.

    Does nothing once JAX has started, with another jaxlib, or where XLA_FLAGS names an option already.

    Args:
        precision: `train.precision`.
    """
    if importlib.metadata.version("jaxlib") not in _VERSIONS:
        return
    options = [_LIBRARY] + [_LOOPS] * (precision == "float32")
    flags = os.environ.get("XLA_FLAGS", "")
    chosen = [f"--{name}={value}" for name, value in options if name not in flags]
    os.environ["XLA_FLAGS"] = " ".join(filter(None, [flags, *chosen]))
