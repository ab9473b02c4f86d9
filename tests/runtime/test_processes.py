"""Two processes on one machine, with two CPU devices each, that are connected by `jax.distributed`.

One run is trained by one process, then by two, then by one again.
"""

import contextlib
import csv
import json
import logging
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from vae_jax import main as main_module
from vae_jax import train as train_lib
from vae_jax import validate
from vae_jax.config import default
from vae_jax.data import pipeline
from vae_jax.model.vae import build_model
from vae_jax.runtime import rendezvous
from vae_jax.scoring.scorer import make_scorer
from vae_jax.training import history
from vae_jax.training.checkpoint import Checkpoints
from vae_jax.training.plans import make_plans
from vae_jax.workdir_claim import claim_workdir

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
SMALL = (
    "--config.model.widths=4,",
    "--config.train.epochs=2",
    "--config.train.batch_size=64",
    "--config.train.steps_per_call=5",
    "--config.scoring.names=mse,elbo",
    "--config.scoring.batch_size=32",
    "--config.scoring.samples=0",
    "--config.scoring.bootstrap_resamples=100",
    "--config.report.cases=2",
    "--config.report.samples=4",
)
_MAX_SECONDS = 300  # after this time a process that hangs is killed


@contextlib.contextmanager
def free_port():
    """Yields a port that is free now; others get it late, because the system hands out ports in turn."""
    with socket.socket() as reserved:
        reserved.bind(("", 0))
        port = reserved.getsockname()[1]
    yield port


def run(*commands, variables=({}, {})):
    """Runs Python programs at the same time; returns exit status, stdout and stderr of each.

    Args:
        commands: arguments of Python for each program.
        variables: further environment variables of each program.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    } | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        # A run that continues uses the compiled programs of its first part.
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=ROOT, env=environment | own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for command, own in zip(commands, variables, strict=True)
    ]  # fmt: skip
    try:
        outputs = [process.communicate(timeout=_MAX_SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(p.returncode, *output) for p, output in zip(processes, outputs, strict=True)]


def simulate_open_mpi(port, process_id):
    """Returns the environment variables that `mpirun` sets, with another port than it chooses."""
    return {
        "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://127.0.0.1:34911",
        "OMPI_COMM_WORLD_SIZE": "2",
        "OMPI_COMM_WORLD_RANK": str(process_id),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(process_id),
        "JAX_COORDINATOR_PORT": str(port),
    }


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = default()
    config.model.widths = (4,)
    config.train.epochs = 2
    config.train.batch_size = 64
    config.train.steps_per_call = 5
    config.scoring.names = ("mse", "elbo")
    config.scoring.batch_size = 32
    config.scoring.samples = 0
    config.scoring.bootstrap_resamples = 100
    config.report.cases, config.report.samples = 2, 4
    config.data.dir = str(tmp_path_factory.mktemp("data"))
    validate.resolve_names(config)
    return config


@pytest.fixture(scope="module")
def digits(config):
    return pipeline.load_dataset(config.data, config.seed)


@pytest.fixture(scope="module")
def train_alone(config, digits):
    """Returns a function that trains until an epoch in this process, with four devices."""
    four = jax.devices()[:4]

    def train(workdir, epochs):
        longer = config.copy_and_resolve_references()
        longer.train.epochs = epochs
        claim_workdir(workdir, longer)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jax, "devices", lambda: four)
            train_lib.train(longer, workdir, digits)

    return train


@pytest.fixture(scope="module")
def first_epoch(tmp_path_factory, train_alone):
    """Workdir of a run whose first epoch was trained by one process."""
    workdir = tmp_path_factory.mktemp("first_epoch")
    train_alone(workdir, 1)
    return workdir


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory, config, first_epoch):
    """The run after a second epoch by two processes, which have evaluated it.

    Returns:
        Its workdir, the output of each process, and the rows that each has read.
    """
    folder = tmp_path_factory.mktemp("two_processes")
    shutil.copytree(first_epoch, folder / "run")
    script = pathlib.Path(__file__).with_name("one_of_several.py")
    shared_flags = (
        *SMALL,
        f"--workdir={folder / 'run'}",
        f"--config.data.dir={config.data.dir}",
        "--distributed",
    )
    with free_port() as port:
        outputs = run(
            *((script, folder / f"{i}.json", *shared_flags) for i in range(2)),
            variables=[simulate_open_mpi(port, i) for i in range(2)],
        )
    assert [status for status, _, _ in outputs] == [0, 0], outputs[0][2] + outputs[1][2]
    read_rows = [json.loads((folder / f"{i}.json").read_text()) for i in range(2)]
    return folder / "run", outputs, read_rows


def restore(workdir, epoch=None):
    """Returns the parameters after an epoch, or the best ones."""
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        steps_per_epoch = checkpoints.latest_step() // history.read_metrics(workdir)[-1]["epoch"]
        step = epoch * steps_per_epoch if epoch else checkpoints.best_step()
        return checkpoints.restore_params(step)[0]


def test_a_run_goes_on_with_two_processes_and_with_one_again(
    two_processes, first_epoch, train_alone, tmp_path
):
    shutil.copytree(two_processes[0], tmp_path / "mixed")
    shutil.copytree(first_epoch, tmp_path / "alone")
    for name in ("mixed", "alone"):
        train_alone(tmp_path / name, 3)
    mixed, alone = tmp_path / "mixed", tmp_path / "alone"
    for epoch in (2, 3):
        jax.tree.map(  # one process adds the sums of the devices in another order
            lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6),
            restore(mixed, epoch), restore(alone, epoch),
        )  # fmt: skip
    lines, expected_lines = history.read_metrics(mixed), history.read_metrics(alone)
    assert len(lines) == 6
    for line, expected in zip(lines, expected_lines, strict=True):
        assert (line["epoch"], line["split"]) == (expected["epoch"], expected["split"])
        np.testing.assert_allclose(line["loss"], expected["loss"], rtol=1e-5)


def test_two_processes_compute_the_same_scores_as_one(two_processes, config, digits):
    workdir, _, _ = two_processes
    score = make_scorer(
        build_model(config), ("mse", "elbo"), config.scoring, config.seed, jax.devices()[:2]
    )
    expected = score(restore(workdir), digits.test.images)
    with open(workdir / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == digits.test.files
    for name, values in expected.items():
        np.testing.assert_array_equal(values, [float(row[name]) for row in rows])


def test_each_process_reads_only_its_share(two_processes, config, digits):
    _, _, (first_rows, second_rows) = two_processes
    num_images, num_val = len(digits.train.images), len(digits.val.images)
    compared = np.random.default_rng(config.seed).permutation(num_images)[:num_val]
    classes = np.zeros(num_images, np.int32)
    for number, rows_of_role in enumerate((first_rows, second_rows)):
        read = iter(rows_of_role["train"])
        calls = make_plans(config.seed, 1, classes, 64, config.train.steps_per_call)
        expected = [plan.rows.reshape(-1, 2, 32)[:, number] for plan, _ in calls]
        # Two threads read the rows of the next calls ahead of time, in either order.
        actual = sorted(next(read) for _ in expected)
        assert actual == sorted(np.unique(rows).tolist() for rows in expected)
        for rows in split_batches(compared, number):
            assert next(read) == np.unique(rows).tolist()
    # The first process also evaluates and reports. The second only reads the images that it scores.
    assert list(read) == []
    for role in ("val", "calibration", "test"):
        rows = np.arange(len(getattr(digits, role).images))
        assert second_rows[role] == [part.tolist() for part in split_batches(rows, 1)]


def split_batches(rows, number):
    """Returns the batches of 32 rows of one process: process 0 has the first half of them."""
    parts = np.split(rows, range(32, len(rows), 32))
    half = -(-len(parts) // 2)
    return (parts[:half], parts[half:])[number]


def test_only_the_first_process_writes_and_prints(two_processes):
    workdir, ((_, out, _), (_, second_out, second_err)), _ = two_processes
    assert f"report: {workdir / 'report.html'}" in out
    assert all(line.startswith("[Gloo]") for line in second_out.splitlines())
    assert second_err == ""
    lines = history.read_metrics(workdir)
    assert [line["epoch"] for line in lines if line["split"] == "train"] == [1, 2]
    assert len(list((workdir / "tensorboard").iterdir())) == 2  # one file for each part of the run


_EXCHANGE = """
import sys
import numpy as np
from vae_jax.runtime.cluster import Cluster
from vae_jax.errors import UserError
from vae_jax.runtime import processes

me = int(sys.argv[2])

def error_of(call, *args):
    try:
        call(*args)
    except UserError as error:
        return str(error)

def compute():
    assert me == 0
    return {"step": 3, "nothing": None, "of": {"a": np.float32([[-0.0, np.nan]])}}

def fail():
    raise UserError("no such file")

with processes.join_cluster(Cluster("localhost:" + sys.argv[1], 2, me)):
    assert processes.gather(np.int32([me, 7])).tolist() == [[0, 7], [1, 7]]
    result = processes.compute_on_first(compute)
    assert (result["step"], result["nothing"]) == (3, None)
    assert result["of"]["a"].tobytes() == np.float32([[-0.0, np.nan]]).tobytes()
    assert error_of(processes.compute_on_first, fail) == "no such file"
    processes.check_same({"seed": 1}, "abc")
    assert "same flags" in error_of(processes.check_same, {"seed": me}, "abc")
    print("agreed", flush=True)
    if me == 1:
        raise UserError("the second process stops")
    processes.gather(np.int32([me]))
"""


def test_all_processes_get_the_result_of_the_first_and_end_if_one_fails():
    with free_port() as port:
        first, second = run(*(("-c", _EXCHANGE, port, i) for i in range(2)))
    assert "agreed" in first[1]
    assert "agreed" in second[1]
    assert second[0] == 2
    assert "the second process stops" in second[2]
    assert first[0] == 2
    assert "process 1 of 2" in first[2]
    assert "has ended early and has printed why" in first[2]


@pytest.fixture
def same_log_level():
    """The level of the log is restored: a process that does not lead logs errors only."""
    logger = logging.getLogger("vae_jax")
    level = logger.level
    yield
    logger.setLevel(level)


# ml_collections loads config files through a function of importlib that Python 3.12 deprecates.
@pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning")
@pytest.mark.usefixtures("same_log_level")
@pytest.mark.parametrize(
    ("process_id", "problem"),
    [(0, "process 1 of 2 did not come within"), (1, "process 0 does not answer within")],
)
def test_a_process_that_does_not_come_is_reported_in_one_line(
    tmp_path, config, digits, capsys, monkeypatch, process_id, problem
):
    monkeypatch.setattr(rendezvous, "_START_SECONDS", 0.5)
    monkeypatch.setattr(main_module, "_set_up_process", lambda command: None)
    with free_port() as port:
        cluster = (
            f"--coordinator=localhost:{port}",
            "--num_processes=2",
            f"--process_id={process_id}",
        )
        arguments = [f"--workdir={tmp_path}", f"--config.data.dir={config.data.dir}", *cluster]
        assert main_module.main(["main", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: --coordinator=localhost:")
    assert problem in err
    assert err.count("\n") == 1
