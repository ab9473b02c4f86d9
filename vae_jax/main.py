"""The entry point: parse, set the process up, run one mode, turn what went wrong into an exit status."""

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Sequence

import absl.logging

from vae_jax import command_line, workdir
from vae_jax.errors import UserError
from vae_jax.runtime.allocator import keep_memory
from vae_jax.runtime.cluster import Cluster
from vae_jax.runtime.compiler import choose_options


def main(argv: Sequence[str]) -> int:
    """Runs one command; returns 0 when done, 2 for what the user can mend, 1 for anything else."""
    try:
        command = command_line.parse(argv)
        if command is None:
            print(command_line.HELP)
            return 0
        _set_up_process(command)
        if command.trains and command.leads:
            workdir.claim_workdir(command.workdir, command.config)
        # TFDS is imported here, and JAX only after it, so that mistakes and missing data are told at once.
        importlib.import_module("vae_jax.data.pipeline").prepare_all(command.config.data)
        with _together(command.cluster):
            importlib.import_module(command.module).run(command.config, command.workdir)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # no permission, no space, no such folder
        where = error.filename or "a file"
        print(f"error: {where}: {error.strerror}; mend it or name another place", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 1
    return 0


def _together(cluster: Cluster | None) -> contextlib.AbstractContextManager[None]:
    if cluster is None:
        return contextlib.nullcontext()
    return importlib.import_module("vae_jax.training.processes").joined(cluster)


def _set_up_process(command: command_line.Command) -> None:
    keep_memory()
    choose_options(command.config.train.precision)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("vae_jax").setLevel(logging.INFO if command.leads else logging.ERROR)
    # Orbax tells every step of a save through absl; only what goes wrong matters here.
    absl.logging.set_verbosity(absl.logging.ERROR)
    if command.jax_cache_dir is not None:
        # Private: compiled programs found there are executed.
        command.jax_cache_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(command.jax_cache_dir)
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"


if __name__ == "__main__":
    sys.exit(main(sys.argv))
