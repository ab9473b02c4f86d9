"""The options of XLA, the compiler, told before JAX starts."""

import dataclasses
import importlib.metadata
import os
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of XLA on the CPU.

    Attributes:
        name: as in XLA_FLAGS.
        value: that is fast.
        jaxlibs: versions that know the option, and where it was measured to help; one that XLA does not
            know ends the process.
        precisions: of runs that it helps.
    """

    name: str
    value: str
    jaxlibs: Sequence[str]
    precisions: Sequence[str]


OPTIONS = (
    # Of what XLA may hand to the library YNNPACK, matrix products alone: the library is the one to use
    # the processor's bfloat16 units. XLA's own float32 convolutions take 0.6 to 0.95 of its time in the
    # strided layers of the Kvasir model. Sums it takes with all that is computed on the way: in scoring
    # 512x512 images XLA's own squashing and squared error take a twentieth of its time.
    Option(
        "xla_cpu_experimental_ynn_fusion_type",
        "individual_dot",
        ("0.10.2", "0.12.0.1"),
        ("float32", "bfloat16"),
    ),
    # Loops over numbers come from the older of two emitters: a float32 training step of the Kvasir model
    # takes 0.9 of the time, one in bfloat16 1.1 of it.
    Option("xla_cpu_use_fusion_emitters", "false", ("0.10.2",), ("float32",)),
)


def choose_xla_options(precision: str) -> None:
    """Tells XLA which of its ways on the CPU are the fast ones.

    Has no effect once JAX has started, and leaves alone what XLA_FLAGS says already. The cells of an
    ablation share a process, and so the options of its base.

    Args:
        precision: `train.precision` of the run.
    """
    jaxlib = importlib.metadata.version("jaxlib")
    flags = os.environ.get("XLA_FLAGS", "").strip()
    if flags and not flags.startswith("-"):  # the name of a file of options
        return
    chosen = [
        f"--{option.name}={option.value}"
        for option in OPTIONS
        if jaxlib in option.jaxlibs and precision in option.precisions and option.name not in flags
    ]
    os.environ["XLA_FLAGS"] = " ".join(filter(None, [flags, *chosen]))
