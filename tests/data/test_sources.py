import dataclasses
import functools
import hashlib
import http.server
import json
import threading
import zipfile

import pytest

from vae_jax.data import sources
from vae_jax.data.builders.idx import Mnist
from vae_jax.data.builders.kvasir import ARCHIVE, Kvasir
from vae_jax.data.prepare import prepare_dataset
from vae_jax.errors import UserError


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    """Returns a function that serves a folder over HTTP -> its address."""
    servers = []

    def start(folder):
        handler = functools.partial(_Silent, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _checksums(folder, names):
    return {
        name: (
            (folder / name).stat().st_size,
            hashlib.sha256((folder / name).read_bytes()).hexdigest(),
        )
        for name in names
    }


@pytest.fixture
def official_mnist(make_idx, serve, monkeypatch):
    """MNIST's builder with a local server as the official address -> the served folder."""
    folder, _ = make_idx("served")
    official = dataclasses.replace(
        Mnist.OFFICIAL, address=serve(folder), files=_checksums(folder, Mnist.OFFICIAL.files)
    )
    monkeypatch.setattr(Mnist, "OFFICIAL", official)
    return folder


def test_official_files_are_downloaded_once_and_prepared_data_is_used_offline(
    official_mnist, tmp_path
):
    first = prepare_dataset("mnist", data_dir=str(tmp_path / "prepared"))
    assert first.info.splits["train"].num_examples == 60
    for file in official_mnist.iterdir():
        file.unlink()
    second = prepare_dataset("mnist", data_dir=str(tmp_path / "prepared"))
    assert second.preparation == first.preparation


def test_a_download_with_another_checksum_is_refused(official_mnist, tmp_path):
    path = official_mnist / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(
        UserError, match=r"wrong checksum.*damaged or the official file has changed"
    ):
        prepare_dataset("mnist", data_dir=str(tmp_path / "prepared"))
    # Only this folder is checked, because other downloads may still be moved into theirs.
    assert not list((tmp_path / "prepared" / "vae_jax_mnist").glob("**/preparation.json"))


def test_the_error_reports_a_file_that_the_server_does_not_have(official_mnist, tmp_path):
    (official_mnist / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"the download stopped early .*404"):
        prepare_dataset("mnist", data_dir=str(tmp_path / "prepared"))


def test_the_official_archive_of_kvasir_is_unpacked(make_kvasir, serve, monkeypatch, tmp_path):
    root = make_kvasir({"polyps": 2, "normal-cecum": 3})
    served = tmp_path / "served"
    served.mkdir()
    with zipfile.ZipFile(served / ARCHIVE, "w") as archive:
        for path in root.glob("*/*"):
            archive.write(path, f"kvasir-dataset-v2/{path.relative_to(root)}")
    official = dataclasses.replace(Kvasir.OFFICIAL, address=serve(served))
    monkeypatch.setattr(Kvasir, "OFFICIAL", official)
    builder = prepare_dataset("kvasir", data_dir=str(tmp_path / "prepared"))
    assert builder.info.splits["train"].num_examples == 5
    record = json.loads((tmp_path / "prepared/downloads/digests.json").read_text())
    ((address, first),) = record.items()
    assert address.endswith(ARCHIVE)
    assert first["sha256"] == hashlib.sha256((served / ARCHIVE).read_bytes()).hexdigest()


def test_a_download_without_a_published_checksum_must_be_the_one_of_the_first_time(serve, tmp_path):
    served, folder = tmp_path / "served", tmp_path / "downloads"
    served.mkdir()
    (served / "a.zip").write_bytes(b"first")
    official = sources.OfficialSource(serve(served), {"a.zip": None}, "the folder")
    first = sources.download_files("a", official, folder)["a.zip"]
    assert sources.download_files("a", official, folder)["a.zip"] == first
    first.write_bytes(b"other")
    with pytest.raises(
        UserError, match=r"not the file that was first downloaded .*digests.json"
    ) as error:
        sources.download_files("a", official, folder)
    assert "\n" not in str(error.value)
    (folder / "digests.json").write_text("[]")
    with pytest.raises(UserError, match=r"digests.json is damaged.*delete it"):
        sources.download_files("a", official, folder)
    (folder / "digests.json").unlink()
    sources.download_files("a", official, folder)


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist", "kvasir"])
def test_without_network_the_error_says_where_to_get_the_files_and_where_to_put_them(
    dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr(sources, "_find_connection_problem", lambda url: "no route to host")
    with pytest.raises(UserError) as error:
        prepare_dataset(dataset, data_dir=str(tmp_path))
    message = str(error.value)
    assert "\n" not in message
    assert "://" in message
    assert "--config.data.manual_dir=DIR" in message
    assert ("kvasir-dataset-v2.zip" if dataset == "kvasir" else "train-images") in message


def test_a_server_that_never_answers_counts_as_unreachable(monkeypatch):
    monkeypatch.setattr(sources, "_PROBE_SECONDS", 0.05)
    released = threading.Event()

    def hang(*args, **kwargs):
        released.wait(10)
        raise OSError

    monkeypatch.setattr(sources.urllib.request, "urlopen", hang)
    assert "no answer" in sources._find_connection_problem("http://example.invalid/x")
    released.set()


def test_a_missing_file_is_detected_before_the_download(serve, tmp_path):
    assert sources._find_connection_problem(serve(tmp_path) + "x") == "HTTP status 404"


def test_a_closed_port_is_unreachable():
    assert "refused" in sources._find_connection_problem("http://127.0.0.1:9/x")
