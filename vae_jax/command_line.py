"""The command line: it turns flags and config overrides into one `Command`, or into one clear error."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
from absl import flags
from ml_collections import config_flags

from vae_jax import config as config_lib
from vae_jax import validate as validate_lib
from vae_jax import workdir as workdir_lib
from vae_jax.comparison_request import ComparisonRequest, make_comparison_request
from vae_jax.config_refusals import (
    check_config_file,
    check_fields_of_file,
    check_overridden_fields,
    describe_illegal_value,
)
from vae_jax.errors import UserError
from vae_jax.evaluation_request import EvaluationRequest, make_evaluation_request
from vae_jax.help_text import EXPORT_FORMATS, MODES
from vae_jax.memory_check import check_memory
from vae_jax.name_quotes import quote_names
from vae_jax.prediction_request import (
    PredictionRequest,
    make_request,
    refuse_flags,
    refuse_standard_input,
)
from vae_jax.runtime.cluster import Cluster

# These modes read the config from the command line; the others read it from the run in the workdir.
_MODES_WITH_CONFIG = ("train", "audit", "ablate")
_MODES_FOR_SEVERAL_PROCESSES = ("train", "evaluate", "predict")

# The fields that may change when a finished run is evaluated or explored again.
_CHANGEABLE_FIELDS = (
    "scoring.",
    "report.",
    "explore.",
    "data.dir",
    "data.manual_dir",
    "data.anomaly_manual_dir",
    "data.cache",
)


@dataclasses.dataclass(frozen=True)
class Command:
    """One valid command.

    Attributes:
        mode: a key of MODES.
        config: the config of the run, with all overrides applied and every value checked.
        workdir: the folder of the run.
        jax_cache_dir: the folder for compiled programs; None for no cache.
        cluster: the processes that run the command together; None for this process alone. `TO_BE_FOUND`
            stands for the cluster that JAX finds.
        prediction: what the mode `predict` does; None for other modes.
        output: the file that the mode `export` writes; None for other modes.
        artifact: the exported file that the mode `verify` compares as well; None for none.
        format_name: format of the file that the mode `export` writes, in EXPORT_FORMATS.
        evaluation: which new images the mode `evaluate` judges; None to evaluate the run itself.
        comparison: which runs the mode `compare` compares; None for other modes.
    """

    mode: str
    config: ml_collections.ConfigDict
    workdir: pathlib.Path
    jax_cache_dir: pathlib.Path | None
    cluster: Cluster | None
    prediction: PredictionRequest | None = None
    output: pathlib.Path | None = None
    artifact: pathlib.Path | None = None
    format_name: str = EXPORT_FORMATS[0]
    evaluation: EvaluationRequest | None = None
    comparison: ComparisonRequest | None = None

    @property
    def trains(self) -> bool:
        """Whether the command starts or continues a run, and so claims the workdir for its config."""
        return self.mode == "train"

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes files and log messages."""
        return self.cluster is None or self.cluster.process_id == 0


def parse_command(argv: Sequence[str]) -> Command | None:
    """Parses the command line.

    Args:
        argv: the program name, then the flags.

    Returns:
        The command; None if the user asked for help.

    Raises:
        UserError: names the flag, the field or the value that was refused.
    """
    if {"--help", "-h", "-help"} & set(argv):
        return None
    argv = quote_names(_put_config_file_first(argv))
    check_overridden_fields(argv)
    check_config_file(argv)
    values = flags.FlagValues()
    try:
        # ml_collections reads the overrides of a default file when the flag is defined.
        config_flag = config_flags.DEFINE_config_file(
            "config", config_lib.__file__, "", flag_values=values, sys_argv=list(argv)
        )
        workdir_flag = flags.DEFINE_multi_string("workdir", [], "", flag_values=values)
        mode_flag = flags.DEFINE_enum("mode", "train", list(MODES), "", flag_values=values)
        cache_flag = flags.DEFINE_string("jax_cache_dir", None, "", flag_values=values)
        prediction_flags = (
            flags.DEFINE_multi_string("input", [], "", flag_values=values),
            flags.DEFINE_string("output", None, "", flag_values=values),
            flags.DEFINE_boolean("overlays", False, "", flag_values=values),
            flags.DEFINE_boolean("maps", False, "", flag_values=values),
        )
        format_flag = flags.DEFINE_enum(
            "format", None, list(EXPORT_FORMATS), "", flag_values=values
        )
        artifact_flag = flags.DEFINE_string("artifact", None, "", flag_values=values)
        name_flag = flags.DEFINE_string("name", None, "", flag_values=values)
        cluster_flags = (
            flags.DEFINE_string("coordinator", None, "", flag_values=values),
            flags.DEFINE_integer("num_processes", None, "", flag_values=values),
            flags.DEFINE_integer("process_id", None, "", flag_values=values),
            flags.DEFINE_boolean("distributed", False, "", flag_values=values),
        )
        unparsed = values(list(argv))[1:]
        config = config_flag.value
        name = config.name
    except UserError:
        raise
    except flags.IllegalFlagValueError as error:
        raise UserError(describe_illegal_value(_last_line(error))) from error
    except flags.Error as error:
        raise UserError(f"{_last_line(error)}; --help lists the flags") from error
    except Exception as error:
        # The config file is the user's own code, so the user can correct whatever it raises.
        raise UserError(f"--config: {type(error).__name__}: {_last_line(error)}") from error
    check_fields_of_file(config)
    if unparsed:
        raise UserError(
            f"{unparsed[0]} is not a flag; override a field with --config.group.field=value"
        )
    mode = mode_flag.value
    cluster = Cluster.from_flags(*(flag.value for flag in cluster_flags))
    if cluster and mode not in _MODES_FOR_SEVERAL_PROCESSES:
        raise UserError(
            f"--mode={mode} runs in one process only; leave out --coordinator, --num_processes, "
            "--process_id and --distributed"
        )
    named = [text for text in workdir_flag.value if text]
    workdirs = named or [f"runs/{name}"]
    if len(workdirs) > 1 and mode != "compare":
        raise UserError(
            f"--workdir is given {len(workdirs)} times, and --mode={mode} uses one; only --mode=compare "
            "takes several"
        )
    # Unlike the method of Path, this function raises no error if a user does not exist.
    workdir = pathlib.Path(os.path.expanduser(workdirs[0]))
    jax_cache_dir = pathlib.Path(cache_flag.value).expanduser() if cache_flag.value else None
    overrides = config_flags.get_override_values(values["config"])
    if mode == "predict":
        request = make_request(workdir, overrides, *(flag.value for flag in prediction_flags))
        if cluster:
            refuse_standard_input(request.inputs)
        # The detector has its own config, and checks what it is asked to decide.
        return Command(mode, config_lib.default(), workdir, jax_cache_dir, cluster, request)
    if mode == "export":
        output = _find_export_file(overrides, *(flag.value for flag in prediction_flags))
        return Command(
            mode,
            config_lib.default(),
            workdir,
            jax_cache_dir,
            cluster,
            output=output,
            format_name=format_flag.value or EXPORT_FORMATS[0],
        )
    if format_flag.value:
        raise UserError(f"--format belongs to --mode=export, but the mode is {mode}")
    inputs, output, *other_flags = (flag.value for flag in prediction_flags)
    evaluates_new, compares = mode == "evaluate" and bool(inputs), mode == "compare"
    refuse_flags(mode, () if evaluates_new else inputs, None if compares else output, *other_flags)
    if name_flag.value is not None and not evaluates_new:
        raise UserError("--name belongs to --mode=evaluate with --input, whose results it names")
    if evaluates_new:
        if cluster:
            raise UserError(
                "--mode=evaluate with --input runs in one process only; leave out --coordinator, "
                "--num_processes, --process_id and --distributed"
            )
        request = make_evaluation_request(workdir, overrides, inputs, name_flag.value)
        config = config_lib.default()  # the detector has its own config
        return Command(mode, config, workdir, jax_cache_dir, cluster, evaluation=request)
    if artifact_flag.value and mode != "verify":
        raise UserError(f"--artifact belongs to --mode=verify, but the mode is {mode}")
    if compares:
        request = make_comparison_request(named, overrides, output)
        config = config_lib.default()  # every run has its own config
        return Command(mode, config, workdir, jax_cache_dir, cluster, comparison=request)
    artifact = (
        pathlib.Path(os.path.expanduser(artifact_flag.value)) if artifact_flag.value else None
    )
    if mode not in _MODES_WITH_CONFIG:
        config = _read_config_with_overrides(workdir, overrides, mode)
    validate_lib.resolve_names(config)
    validate_lib.validate_config(config)
    if cluster is None:  # several processes share a batch; each of them is checked with JAX
        check_memory(config, mode)
    _refuse_data_in_workdir(workdir, config.data)
    return Command(mode, config, workdir, jax_cache_dir, cluster, artifact=artifact)


def _find_export_file(
    overrides: Mapping[str, Any],
    inputs: Sequence[str],
    output: str | None,
    overlays: bool,
    maps: bool,
) -> pathlib.Path:
    """Returns the file that the mode `export` writes, and refuses flags that belong to other modes."""
    refuse_flags("export", inputs, None, overlays, maps)
    for field in overrides:
        raise UserError(
            f"--config.{field} cannot change in --mode=export; evaluate the run with it first"
        )
    if not output:
        raise UserError("--mode=export needs --output=FILE.zip, the file to write")
    return pathlib.Path(os.path.expanduser(output))


def _read_config_with_overrides(
    workdir: pathlib.Path, overrides: Mapping[str, Any], mode: str
) -> ml_collections.ConfigDict:
    """Reads the config of the run in a workdir and applies overrides that do not change the model."""
    config = workdir_lib.read_config(workdir)
    for field in overrides:
        if not field.startswith(_CHANGEABLE_FIELDS):
            raise UserError(
                f"--config.{field} cannot change in --mode={mode}: the model in {workdir} was trained "
                f"with {workdir_lib.flatten_config(config)[field]!r}; train into another --workdir"
            )
    workdir_lib.override_fields(config, overrides)
    return config


def _refuse_data_in_workdir(workdir: pathlib.Path, data_config: ml_collections.ConfigDict) -> None:
    """Refuses a workdir that is, or contains, a folder of images: figures would become images."""
    for field in ("manual_dir", "anomaly_manual_dir"):
        folder = data_config[field]
        if folder and pathlib.Path(folder).expanduser().resolve().is_relative_to(workdir.resolve()):
            raise UserError(
                f"data.{field}={folder} is in --workdir={workdir}, and a workdir contains only what this "
                "program writes; choose a --workdir that does not contain the images"
            )


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def _put_config_file_first(argv: Sequence[str]) -> list[str]:
    """Returns the arguments with `--config=FILE` before all fields, which ml_collections requires."""
    args = list(argv[1:])
    while "--config" in args:  # `--config FILE`, in two arguments
        i = args.index("--config")
        args[i : i + 2] = [f"--config={''.join(args[i + 1 : i + 2])}"]
    return [argv[0], *sorted(args, key=lambda arg: not arg.startswith("--config="))]
