"""The notebooks as a reader runs them: from the first cell to the last, on the digits default."""

import importlib.util
import json
import pathlib

import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))


def source(cell):
    return "".join(cell["source"])


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_committed_without_outputs_and_opens_itself_in_colab(name):
    cells = json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
    assert "colab.research.google.com" in source(cells[0])
    assert f"/blob/main/notebooks/{name})" in source(cells[0])
    assert 'find_spec("vae_jax") is None' in source(cells[1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the notebook tools' own code
def test_the_latent_space_is_explored_from_the_first_cell_to_the_last(tmp_path, monkeypatch):
    needed = ("nbclient", "nbformat", "ipykernel", "ipywidgets")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}; pip install -e '.[notebooks]'")
    import nbclient
    import nbformat

    notebook = nbformat.read(FOLDER / "explore_latent_space.ipynb", as_version=4)
    settings = next(cell for cell in notebook.cells if "EPOCHS = 60" in cell.source)
    settings.source = settings.source.replace("EPOCHS = 60", "EPOCHS = 2")
    # What the widgets call: inside them an error would only be printed.
    moves = "move(0, int(found.active[0]), 1.0); between(0, 1, 'slerp'); between(2, 1, 'straight')"
    notebook.cells.append(nbformat.v4.new_code_cell(moves))
    # One device, as a reader has; what is prepared and trained stays in the test's folder.
    for name, value in {
        "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu", "TFDS_DATA_DIR": str(tmp_path / "data"),
        "IPYTHONDIR": str(tmp_path / "ipython"), "PYTHONPATH": str(FOLDER.parent),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    pictures = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "display_data" and "image/png" in output.data
    ]
    assert len(pictures) >= 8
    assert any(
        "application/vnd.jupyter.widget-view+json" in output.get("data", {})
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
    assert (tmp_path / "runs/explore_latent_space/checkpoints").is_dir()
