"""Training, evaluation, prediction and exploration of local data reach no other machine.

The block is in Python. Libraries in C++ that open sockets themselves do not pass through it.
"""

import json
import shutil
import socket

import pytest

from vae_jax import train as train_lib
from vae_jax.data import pipeline
from vae_jax.main import main
from vae_jax.workdir import read_config
from vae_jax.workdir_claim import claim_workdir

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("same_compiler"),
    pytest.mark.filterwarnings("ignore:.*load_module:DeprecationWarning"),
]
REFUSAL = "this test allows no network"


@pytest.fixture
def attempts(monkeypatch):
    """Refuses every connection and every look-up of a name, and lists the addresses that were asked for."""
    attempts = []

    def refuse(address):
        attempts.append(address)
        raise OSError(REFUSAL)

    def guard(method):
        def call(self, *arguments):
            if self.family != socket.AF_UNIX:  # processes of one machine talk through such sockets
                refuse(arguments[-1])  # every one of these methods has the address as its last
            return method(self, *arguments)

        return call

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, guard(getattr(socket.socket, name)))
    for name in ("create_connection", "getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        monkeypatch.setattr(socket, name, lambda address, *_, **__: refuse(address))
    return attempts


@pytest.fixture
def copied_run(run, tmp_path):
    """A copy of the run, which a test may change."""
    return shutil.copytree(run, tmp_path / "run")


def call(mode, workdir, *flags):
    assert main(["vae_jax", f"--mode={mode}", f"--workdir={workdir}", *flags]) == 0


def test_the_block_refuses_and_remembers_every_attempt(attempts):
    address = ("127.0.0.1", 9)
    asks = (
        lambda client: client.connect(address),
        lambda client: client.connect_ex(address),
        lambda client: client.sendto(b"", address),
        lambda client: socket.create_connection(address),
        lambda client: socket.getaddrinfo(*address),
        lambda client: socket.gethostbyname(address[0]),
        lambda client: socket.gethostbyname_ex(address[0]),
    )
    with socket.socket() as client:
        for ask in asks:
            with pytest.raises(OSError, match=REFUSAL):
                ask(client)
    assert attempts == [address] * 4 + [address[0]] * 3


def test_evaluation_reaches_no_other_machine(copied_run, attempts):
    (copied_run / "results.json").unlink()
    call("evaluate", copied_run)
    assert json.loads((copied_run / "results.json").read_text("utf-8"))
    assert attempts == []


def test_prediction_reaches_no_other_machine(run, image_folder, tmp_path, attempts):
    output = tmp_path / "predictions"
    call("predict", run, f"--input={image_folder / 'bad'}", f"--output={output}", "--overlays")
    assert len((output / "predictions.csv").read_text("utf-8").splitlines()) == 11
    assert attempts == []


def test_exploration_reaches_no_other_machine(copied_run, attempts):
    sizes = {"samples": 4, "mixture_components": 2, "steps": 3, "map_images": 20, "generated": 20}
    call("explore", copied_run, *(f"--config.explore.{k}={v}" for k, v in sizes.items()),
         "--config.explore.classifier_epochs=1")  # fmt: skip
    assert (copied_run / "explore.html").is_file()
    assert attempts == []


def test_preparation_and_training_reach_no_other_machine(run, tmp_path, attempts):
    config = read_config(run)
    config.data.dir = str(tmp_path / "data")
    claim_workdir(tmp_path / "run", config)
    dataset = pipeline.load_dataset(config.data, config.seed)
    train_lib.train(config, tmp_path / "run", dataset)
    assert (tmp_path / "data").is_dir()
    assert (tmp_path / "run" / "metrics.jsonl").is_file()
    assert attempts == []
