"""The entry point: it parses the command line, sets up the process and runs one mode.

Modules that need JAX or TFDS are imported inside the functions that use them. Help and refusals
therefore answer at once.
"""

import contextlib
import dataclasses
import errno
import functools
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import absl.logging

from vae_jax import command_line
from vae_jax import workdir as workdir_lib
from vae_jax.errors import UserError
from vae_jax.help_text import HELP
from vae_jax.memory_check import check_device_memory
from vae_jax.runtime.allocator import keep_memory
from vae_jax.runtime.available_memory import has_accelerator
from vae_jax.runtime.cluster_start import find_cluster, join_cluster, watch_partners
from vae_jax.runtime.compiler import choose_xla_options
from vae_jax.runtime.printable import PrintableFormatter, make_printable
from vae_jax.runtime.signals import StoppedError, handle_signals
from vae_jax.workdir_claim import claim_workdir

if TYPE_CHECKING:
    from vae_jax.comparison_request import ComparisonRequest


def main(argv: Sequence[str]) -> int:
    """Runs one command.

    Args:
        argv: the program name, then the flags.

    Returns:
        The exit status: 0 if the command is done, 2 if the user can correct what stopped it, 143 or 130
        after SIGTERM or SIGINT, 1 otherwise.
    """
    try:
        command = command_line.parse_command(argv)
        if command is None:
            print(HELP)
            return 0
        _set_up_process(command)
        if command.comparison is not None:
            with handle_signals():
                _compare_runs(command.comparison)
            return 0
        command = _find_cluster(command)
        if command.mode in ("predict", "export") or command.evaluation is not None:
            with handle_signals():
                _use_detector(command)
            return 0
        with handle_signals(), _lock_workdir(command):
            _run_with_workdir(command)
    except UserError as error:
        print(f"error: {make_printable(str(error))}", file=sys.stderr)
        return 2
    except OSError as error:  # for example a missing permission, a full disk or a missing folder
        message = f"{error.filename or _describe_unnamed(error)}: {error.strerror or error}"
        print(
            f"error: {make_printable(message)}; correct this or name another path",
            file=sys.stderr,
        )
        return 2
    except RuntimeError as error:
        if "home directory" not in str(error):  # what pathlib says about `~` without a known user
            raise
        print(
            "error: a path begins with ~, but there is no such user, or HOME is not set; write the whole "
            "path",
            file=sys.stderr,
        )
        return 2
    except StoppedError as error:
        print(error.message, file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("stopped; the same command continues from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def _describe_unnamed(error: OSError) -> str:
    """Returns a description of the file that an error does not name."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "a file of the --workdir or the --output"
    return "a file"


def _use_detector(command: command_line.Command) -> None:
    """Runs a mode that needs the detector of a run and no dataset.

    Raises:
        UserError: if JAX has no device of the kind that `JAX_PLATFORMS` names.
    """
    if command.mode == "predict":
        with watch_partners(command.cluster) as partners:
            _check_devices()
            from vae_jax.predict import run

            run(command.prediction, partners)
        return
    _check_devices()
    if command.mode == "evaluate":
        from vae_jax.evaluate_new import run

        run(command.evaluation)
    else:
        from vae_jax.export_detector import run

        run(command.workdir, command.output, command.format_name)


def _compare_runs(request: "ComparisonRequest") -> None:
    """Compares finished runs, which needs neither JAX nor a dataset."""
    from vae_jax.compare_runs import run

    run(request)


def _lock_workdir(command: command_line.Command) -> contextlib.AbstractContextManager[None]:
    """Locks the workdir; of several processes that run one command, only the first one does."""
    if not command.leads:
        return contextlib.nullcontext()
    return workdir_lib.lock_workdir(command.workdir)


def _run_with_workdir(command: command_line.Command) -> None:
    """Claims the workdir if the command trains, prepares the data and runs the mode."""
    if command.leads and command.trains:
        claim_workdir(command.workdir, command.config)
    # This imports TFDS but not JAX: missing data is reported before the slower import.
    from vae_jax.data.pipeline import prepare_datasets
    from vae_jax.data.prepare import list_folders_once

    with list_folders_once():
        if command.mode != "audit":  # it lists what would stop the preparation
            prepare_datasets(command.config.data)
        with join_cluster(command.cluster):
            _run_mode(command)


def _run_mode(command: command_line.Command) -> None:
    """Imports the module of the mode and runs it.

    Raises:
        UserError: if JAX has no device of the kind that `JAX_PLATFORMS` names.
    """
    _check_devices()
    if command.cluster or has_accelerator():  # otherwise it has been checked without JAX
        check_device_memory(command.config, command.mode)
    match command.mode:
        case "audit":
            from vae_jax.audit_data import run
        case "train":
            from vae_jax.train import run
        case "evaluate":
            from vae_jax.evaluate import run
        case "verify":
            from vae_jax import verify

            run = functools.partial(verify.run, artifact=command.artifact)
        case "select":
            from vae_jax.select_scores import run
        case "explore":
            from vae_jax.explore import run
        case "ablate":
            from vae_jax.ablate import run
        case _:
            raise ValueError(f"mode {command.mode} is in help_text.MODES but has no module here")
    run(command.config, command.workdir)


def _check_devices() -> None:
    """Starts JAX, so that a device that it lacks is reported before any work."""
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # AssertionError: no plugin for that kind
        platforms = os.environ.get("JAX_PLATFORMS", "")
        if not platforms:
            raise
        reason = " ".join(str(error).split()).split(". ")[0] or "JAX has no plugin for it"
        raise UserError(
            f"JAX_PLATFORMS is {platforms}, but JAX finds no such device ({reason}); unset JAX_PLATFORMS, "
            "set it to cpu, or install JAX for this device"
        ) from error


def _set_up_process(command: command_line.Command) -> None:
    """Sets memory allocation, compiler options, logging and the cache of compiled programs."""
    keep_memory()
    choose_xla_options(command.config.train.precision)
    set_up_logging(logging.INFO if command.leads else logging.ERROR)
    # Orbax logs every step of a save through absl, and every error with its stack. It raises errors too.
    absl.logging.set_verbosity(absl.logging.FATAL)
    if command.jax_cache_dir is not None:
        # Only the owner may write here, because JAX executes the programs that it reads from this folder.
        command.jax_cache_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(command.jax_cache_dir)
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"


def _find_cluster(command: command_line.Command) -> command_line.Command:
    """Returns the command with the cluster that JAX finds, if the command asks for it.

    This may import JAX, which reads the environment variables that `_set_up_process` sets.
    """
    command = dataclasses.replace(command, cluster=find_cluster(command.cluster))
    if not command.leads:
        logging.getLogger("vae_jax").setLevel(logging.ERROR)
    return command


def set_up_logging(level: int) -> None:
    """Sends log messages to stderr: those of this package from `level` on, and warnings of others."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("vae_jax").setLevel(level)
    # Pillow comments on damaged and on large images; what matters of this is said when they are prepared.
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="PIL")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
