"""The options of the compiler, XLA, which must be set before JAX starts."""

import dataclasses
import importlib.metadata
import os
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of XLA on the CPU.

    Attributes:
        name: name of the option in XLA_FLAGS.
        value: the fast value.
        jaxlibs: versions of jaxlib that know the option and were measured to be faster with it. XLA ends
            the process if it does not know an option.
        precisions: values of `train.precision` for which the option makes a run faster.
    """

    name: str
    value: str
    jaxlibs: Sequence[str]
    precisions: Sequence[str]


OPTIONS = (
    # With this value XLA hands only matrix products to the library YNNPACK, which can use the bfloat16
    # units of the processor. For other operations XLA itself is faster. In the strided layers of the Kvasir
    # model its float32 convolutions take 0.6 to 0.95 of the time of the library. The library also computes
    # sums together with the operations before them. When 512x512 images are scored, XLA's own sigmoid and
    # squared error take a twentieth of the time of the library.
    Option(
        "xla_cpu_experimental_ynn_fusion_type",
        "individual_dot",
        ("0.10.2", "0.12.0.1"),
        ("float32", "bfloat16"),
    ),
    # Element-wise loops are compiled by the older of two emitters. With it a float32 training step of the
    # Kvasir model takes 0.9 of the time; a bfloat16 step would take 1.1 of the time.
    Option("xla_cpu_use_fusion_emitters", "false", ("0.10.2",), ("float32",)),
)


def choose_xla_options(precision: str) -> None:
    """Adds the options that make XLA fast on the CPU to the environment variable XLA_FLAGS.

    This has no effect after JAX has started. Options that are already in XLA_FLAGS stay as they are. The
    cells of an ablation share one process, so they share the options of its base config.

    Args:
        precision: `train.precision` of the run.
    """
    jaxlib = importlib.metadata.version("jaxlib")
    flags = os.environ.get("XLA_FLAGS", "").strip()
    if flags and not flags.startswith("-"):  # the name of a file that contains options
        return
    new_flags = [
        f"--{option.name}={option.value}"
        for option in OPTIONS
        if jaxlib in option.jaxlibs and precision in option.precisions and option.name not in flags
    ]
    os.environ["XLA_FLAGS"] = " ".join(filter(None, [flags, *new_flags]))
