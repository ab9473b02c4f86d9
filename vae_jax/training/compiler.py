"""The options of XLA, the compiler, told before JAX starts."""

import importlib.metadata
import os

_OPTION = "xla_cpu_experimental_ynn_fusion_type"
# Where the option is known and was measured to help; one that XLA does not know ends the process.
_VERSIONS = ("0.10.2",)


def keep_convolutions() -> None:
    """Tells XLA to run float32 convolutions on the CPU itself, not to hand them to the library YNNPACK.

    Its own take 0.6 to 0.95 of the library's time in the strided layers of the Kvasir model. Matrix
    products stay with the library, which is the one to use the processor's bfloat16 units. Does nothing
    once JAX has started, with another jaxlib, or where XLA_FLAGS names the option already.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if importlib.metadata.version("jaxlib") in _VERSIONS and _OPTION not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{_OPTION}=-individual_convolution".strip()
