"""Real processes on one machine, two CPU devices each, that find each other through `jax.distributed`."""

import contextlib
import csv
import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from vae_jax import train as train_lib
from vae_jax import validate
from vae_jax import workdir as workdir_lib
from vae_jax.config import default
from vae_jax.data import pipeline
from vae_jax.model.vae import build_model
from vae_jax.scoring.scorer import make_scorer
from vae_jax.training import epoch as epoch_lib
from vae_jax.training import history
from vae_jax.training.checkpoint import Checkpoints

ROOT = pathlib.Path(__file__).parents[2]
SMALL = (
    "--config.model.widths=4,",
    "--config.train.epochs=2",
    "--config.train.batch_size=64",
    "--config.train.steps_per_call=5",
    "--config.scoring.names=mse,elbo",
    "--config.scoring.batch_size=32",
    "--config.scoring.bootstrap_resamples=100",
    "--config.report.cases=2",
    "--config.report.samples=4",
)
_LIMIT = 300  # seconds, after which a process that hangs is killed


@contextlib.contextmanager
def free_port():
    """A port that nobody else is given meanwhile: bound here without listening, and shared."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("", 0))
        yield held.getsockname()[1]


def run(*commands):
    """Runs commands at the same time; returns status, stdout and stderr of each."""
    environment = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    } | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        # A run that goes on compiles nothing again.
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for command in commands
    ]  # fmt: skip
    try:
        outputs = [process.communicate(timeout=_LIMIT) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(p.returncode, *output) for p, output in zip(processes, outputs, strict=True)]


def flags(port, process_id):
    return (f"--coordinator=localhost:{port}", "--num_processes=2", f"--process_id={process_id}")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = default()
    config.model.widths = (4,)
    config.train.epochs = 2
    config.train.batch_size = 64
    config.train.steps_per_call = 5
    config.scoring.names = ("mse", "elbo")
    config.scoring.batch_size = 32
    config.data.dir = str(tmp_path_factory.mktemp("data"))
    validate.resolve_names(config)
    return config


@pytest.fixture(scope="module")
def digits(config):
    return pipeline.load_dataset(config.data, config.seed)


@pytest.fixture(scope="module")
def by_two(tmp_path_factory, config, digits):
    """The workdir of a run by two processes; what each of them said, and the rows it read."""
    folder = tmp_path_factory.mktemp("by_two")
    script = pathlib.Path(__file__).with_name("one_of_several.py")
    given = (
        *SMALL,
        f"--workdir={folder / 'run'}",
        f"--config.data.dir={config.data.dir}",
    )
    with free_port() as port:
        done = run(
            *((script, folder / f"{i}.json", *given, *flags(port, i)) for i in range(2)),
        )
    assert [status for status, _, _ in done] == [0, 0], done[0][2] + done[1][2]
    asked = [json.loads((folder / f"{i}.json").read_text()) for i in range(2)]
    return folder / "run", done, asked


def best(workdir):
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        return checkpoints.restore_params(checkpoints.best_step())[0]


def test_two_processes_train_as_one_with_as_many_devices(
    by_two, config, digits, tmp_path, monkeypatch
):
    workdir, _, _ = by_two
    four = jax.devices()[:4]
    monkeypatch.setattr(jax, "devices", lambda: four)
    workdir_lib.claim_workdir(tmp_path, config)
    train_lib.train(config, tmp_path, digits)
    jax.tree.map(  # sums over devices have another order
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6),
        best(workdir), best(tmp_path),
    )  # fmt: skip


def test_scores_of_two_processes_are_those_of_one(by_two, config, digits):
    workdir, _, _ = by_two
    score = make_scorer(
        build_model(config), ("mse", "elbo"), config.scoring, config.seed, jax.devices()[:2]
    )
    alone = score(best(workdir), digits.test.images)
    with open(workdir / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == digits.test.files
    for name, values in alone.items():
        np.testing.assert_array_equal(values, [float(row[name]) for row in rows])


def test_each_process_reads_only_its_share(by_two, config, digits):
    _, _, (by_first, by_second) = by_two
    num_images, num_val = len(digits.train.images), len(digits.val.images)
    glance = np.random.default_rng(config.seed).permutation(num_images)[:num_val]
    classes = np.zeros(num_images, np.int32)
    for number, asked in enumerate((by_first, by_second)):
        read = iter(asked["train"])
        for epoch in range(2):
            calls = epoch_lib.make_plans(
                config.seed, epoch, classes, 64, config.train.steps_per_call
            )
            expected = [plan.rows.reshape(-1, 2, 32)[:, number] for plan, _ in calls]
            # Two threads read the calls ahead, so that either may be first.
            found = sorted(next(read) for _ in expected)
            assert found == sorted(np.unique(rows).tolist() for rows in expected)
            for rows in stretch(glance, number):
                assert next(read) == np.unique(rows).tolist()
    # The first also evaluates and reports; the second has no more to read than its part of the scores.
    assert list(read) == []
    for role, passes in (("val", 2), ("calibration", 1), ("test", 1)):
        rows = np.arange(len(getattr(digits, role).images))
        expected = [part.tolist() for part in stretch(rows, 1)] * passes
        assert by_second[role] == expected


def stretch(rows, number):
    """Batches of 32: the first half of them to one process, the rest to the other."""
    parts = np.split(rows, range(32, len(rows), 32))
    half = -(-len(parts) // 2)
    return (parts[:half], parts[half:])[number]


def test_only_the_first_process_writes_and_speaks(by_two):
    workdir, ((_, out, _), (_, second_out, second_err)), _ = by_two
    assert f"report: {workdir / 'report.html'}" in out
    assert all(line.startswith("[Gloo]") for line in second_out.splitlines())
    assert second_err == ""
    lines = history.read_metrics(workdir)
    assert [line["epoch"] for line in lines if line["split"] == "train"] == [1, 2]
    assert len(list((workdir / "tensorboard").iterdir())) == 2  # one for each part of the run


_TOLD = """
import sys
import numpy as np
from vae_jax.runtime.cluster import Cluster
from vae_jax.errors import UserError
from vae_jax.training import processes

processes._FAREWELL = 1
me = int(sys.argv[2])

def refused(call, *args):
    try:
        call(*args)
    except UserError as error:
        return str(error)

def find():
    assert me == 0
    return {"step": 3, "nothing": None, "of": {"a": np.float32([[-0.0, np.nan]])}}

def complain():
    raise UserError("nothing there")

with processes.join_cluster(Cluster("localhost:" + sys.argv[1], 2, me)):
    assert processes.gather(np.int32([me, 7])).tolist() == [[0, 7], [1, 7]]
    found = processes.compute_on_first(find)
    assert (found["step"], found["nothing"]) == (3, None)
    assert found["of"]["a"].tobytes() == np.float32([[-0.0, np.nan]]).tobytes()
    assert refused(processes.compute_on_first, complain) == "nothing there"
    processes.check_same({"seed": 1}, "abc")
    assert "same flags" in refused(processes.check_same, {"seed": me}, "abc")
    print("agreed", flush=True)
    if me == 1:
        raise UserError("the second has had enough")
    processes.gather(np.int32([me]))
"""


def test_what_the_first_finds_all_know_and_one_that_fails_ends_all():
    with free_port() as port:
        first, second = run(*(("-c", _TOLD, port, i) for i in range(2)))
    assert "agreed" in first[1]
    assert "agreed" in second[1]
    assert second[0] == 2
    assert "the second has had enough" in second[2]
    assert first[0] != 0


_IMPATIENT = """
import functools, sys
from vae_jax import main
from vae_jax.training import processes

processes.join_cluster = functools.partial(processes.join_cluster, patience=2)
sys.exit(main.main(["main", *sys.argv[1:]]))
"""


def test_a_coordinator_that_never_answers_and_others_that_never_come_are_one_line(tmp_path, config):
    given = (f"--workdir={tmp_path}", f"--config.data.dir={config.data.dir}")
    with free_port() as port, free_port() as other:
        done = run(
            ("-c", _IMPATIENT, *given, *flags(port, 0)),
            ("-c", _IMPATIENT, *given, *flags(other, 1)),
        )
    for (status, _, err), said in zip(
        done, ("not all of --num_processes=2 have come", "nobody answers"), strict=True
    ):
        assert status == 2
        assert err.startswith("error: --coordinator=localhost:")
        assert said in err
        assert err.count("\n") == 1
