"""The command line: flags and config overrides in, one `Command` out, or one clear line."""

import dataclasses
import pathlib
from collections.abc import Sequence

import ml_collections
from absl import flags
from ml_collections import config_flags

from vae_jax import config as config_lib
from vae_jax import validate as validate_lib
from vae_jax import workdir as workdir_lib
from vae_jax.errors import UserError, suggest_name
from vae_jax.runtime.cluster import Cluster

# Mode -> (the module whose run(config, workdir) it is, what it does).
MODES = {
    "train": (
        "vae_jax.train",
        "fit, then evaluate, then report (the default); resumes a stopped run",
    ),
    "evaluate": ("vae_jax.evaluate", "score and report again, from the best checkpoint"),
    "explore": ("vae_jax.explore", "samples, traversals and maps of the latent space"),
    "ablate": ("vae_jax.ablate", "train a grid of configs (ablate.factors) and compare them"),
}
# They take a config of the user's; the others read that of the run in the workdir.
_FROM_CONFIG = ("train", "ablate")
_BY_SEVERAL = ("train", "evaluate")  # processes

# What may change when a finished run is judged again: how it is judged and shown, where the data lies.
_JUDGING = (
    "scoring.",
    "report.",
    "explore.",
    "data.dir",
    "data.manual_dir",
    "data.anomaly_manual_dir",
    "data.cache",
)

HELP = """\
Train a variational autoencoder on normal images and say how abnormal new ones are.

python -m vae_jax.main [--config=FILE[:VARIANT]] [--workdir=DIR] [--mode=MODE]
                       [--config.GROUP.FIELD=VALUE ...]

modes:
{modes}

flags:
  --config         config file (configs/*.py), with :VARIANT where it has some; without it, digits
  --workdir        holds one run; default runs/<config name>
  --jax_cache_dir  keeps compiled programs there, for a quicker second start
  --coordinator, --num_processes, --process_id
                   to train or evaluate with several processes: start the same command N times, with
                   --coordinator=HOST:PORT of process 0, --num_processes=N and ids from 0

Every field of a config stands in vae_jax/config.py, with its unit and its default. The docstring of a
config file says what a run of it costs and which numbers to expect.
""".format(modes="\n".join(f"  {name:<16} {what}" for name, (_, what) in MODES.items()))


@dataclasses.dataclass(frozen=True)
class Command:
    """What the user asked for.

    Attributes:
        module: of the mode.
        config: resolved and valid.
        workdir: of the run.
        jax_cache_dir: for compiled programs; None for no cache.
        trains: whether the mode begins or continues a run, and so claims the workdir for its config.
        cluster: of processes that do it together; None for this one alone.
    """

    module: str
    config: ml_collections.ConfigDict
    workdir: pathlib.Path
    jax_cache_dir: pathlib.Path | None
    trains: bool
    cluster: Cluster | None

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.cluster is None or self.cluster.process_id == 0


def parse(argv: Sequence[str]) -> Command | None:
    """Parses the command line, program name first.

    Returns:
        The command; None where the user asked for help.

    Raises:
        UserError: names the flag, the field or the value that was refused.
    """
    if {"--help", "-h", "-help"} & set(argv):
        return None
    # ml_collections wants the file before the fields; nobody should have to know that.
    argv = [argv[0], *sorted(argv[1:], key=lambda arg: not arg.startswith("--config="))]
    _check_field_names(argv)
    for arg, following in zip(argv, [*argv[1:], ""], strict=True):
        flag, _, value = arg.partition("=")
        path = (value or following).partition(":")[0]
        if flag == "--config" and not pathlib.Path(path).is_file():
            raise UserError(
                f"--config={path}: there is no such file; the shipped ones are configs/*.py"
            )
    values = flags.FlagValues()
    try:
        # ml_collections reads the overrides of a default file when the flag is defined.
        config_flag = config_flags.DEFINE_config_file(
            "config", config_lib.__file__, "", flag_values=values, sys_argv=list(argv)
        )
        workdir_flag = flags.DEFINE_string("workdir", None, "", flag_values=values)
        mode_flag = flags.DEFINE_enum("mode", "train", list(MODES), "", flag_values=values)
        cache_flag = flags.DEFINE_string("jax_cache_dir", None, "", flag_values=values)
        cluster_flags = (
            flags.DEFINE_string("coordinator", None, "", flag_values=values),
            flags.DEFINE_integer("num_processes", None, "", flag_values=values),
            flags.DEFINE_integer("process_id", None, "", flag_values=values),
        )
        rest = values(list(argv))
        config = config_flag.value
        name = config.name
    except UserError:
        raise
    except flags.Error as error:
        raise UserError(f"{_last_line(error)}; --help lists the flags") from error
    except Exception as error:
        # The config file is the user's own code: whatever it raises is theirs to mend.
        raise UserError(f"--config: {type(error).__name__}: {_last_line(error)}") from error
    _check_fields(config)
    if len(rest) > 1:
        raise UserError(f"{rest[1]} is not a flag; fields are given as --config.group.field=value")
    cluster = Cluster.of(*(flag.value for flag in cluster_flags))
    if cluster and mode_flag.value not in _BY_SEVERAL:
        raise UserError(
            f"--mode={mode_flag.value} is for one process; leave --coordinator, --num_processes and "
            "--process_id out"
        )
    workdir = pathlib.Path(workdir_flag.value or f"runs/{name}")
    if mode_flag.value not in _FROM_CONFIG:
        given = config_flags.get_override_values(values["config"])
        config = _judge_again(workdir, given, mode_flag.value)
    validate_lib.resolve_names(config)
    validate_lib.validate_config(config)
    cache = pathlib.Path(cache_flag.value).expanduser() if cache_flag.value else None
    return Command(
        MODES[mode_flag.value][0],
        config,
        workdir,
        cache,
        trains=mode_flag.value == "train",
        cluster=cluster,
    )


def _judge_again(workdir: pathlib.Path, given: dict, mode: str) -> ml_collections.ConfigDict:
    """Reads the run's own config and lays over it what an evaluation may change."""
    config = workdir_lib.read_config(workdir)
    for field in given:
        if not field.startswith(_JUDGING):
            raise UserError(
                f"--config.{field} cannot change in --mode={mode}: the model in {workdir} was trained "
                f"with {workdir_lib.flatten_config(config)[field]!r}; train into another --workdir"
            )
    workdir_lib.override_fields(config, given)
    return config


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def _check_fields(config: ml_collections.ConfigDict) -> None:
    """Refuses a config file that sets a field which nothing reads."""
    given, known = (
        workdir_lib.flatten_config(config),
        workdir_lib.flatten_config(config_lib.default()),
    )
    for field in sorted(given.keys() - known.keys()):
        hint = suggest_name(field, known) or "vae_jax/config.py lists them"
        raise UserError(f"the config file sets {field}, and there is no such field; {hint}")


def _check_field_names(argv: Sequence[str]) -> None:
    fields = sorted(workdir_lib.flatten_config(config_lib.default()))
    for arg in argv:
        field = arg.removeprefix("--config.").partition("=")[0]
        if arg.startswith("--config.") and field not in fields:
            hint = suggest_name(field, fields) or "vae_jax/config.py lists them"
            raise UserError(f"--config.{field}: there is no such field; {hint}")
