"""Runs the notebooks as a reader does: from the first cell to the last, on scikit-learn's digits."""

import importlib.util
import json
import pathlib

import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))


def join_source(cell):
    return "".join(cell["source"])


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_has_no_outputs_and_a_link_that_opens_it_in_colab(name):
    cells = json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
    assert "colab.research.google.com" in join_source(cells[0])
    assert f"/blob/main/notebooks/{name})" in join_source(cells[0])
    assert 'find_spec("vae_jax") is None' in join_source(cells[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the notebook tools raise some
def test_the_notebook_runs_from_the_first_cell_to_the_last(tmp_path, monkeypatch):
    packages = ("nbclient", "nbformat", "ipykernel", "ipywidgets")
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} missing; run pip install -e '.[notebooks]'")
    import nbclient
    import nbformat

    notebook = nbformat.read(FOLDER / "explore_latent_space.ipynb", as_version=4)
    run_cell = next(cell for cell in notebook.cells if "EPOCHS = 60" in cell.source)
    run_cell.source = run_cell.source.replace("EPOCHS = 60", "EPOCHS = 2")
    # A widget only prints an error of the function that it calls, so the functions are called here.
    calls = (
        "move(0, int(dimensions.active[0]), 1.0); interpolate(0, 1, 'spherical'); "
        "interpolate(2, 1, 'linear')"
    )
    notebook.cells.append(nbformat.v4.new_code_cell(calls))
    # A reader has one device. Prepared data and the run stay in the folder of the test.
    for name, value in {
        "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu", "TFDS_DATA_DIR": str(tmp_path / "data"),
        "IPYTHONDIR": str(tmp_path / "ipython"), "PYTHONPATH": str(FOLDER.parent),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    def execute():
        nbclient.NotebookClient(
            notebook,
            timeout=120,
            kernel_name="python3",
            resources={"metadata": {"path": str(tmp_path)}},
        ).execute()

    try:
        execute()
    except nbclient.exceptions.CellTimeoutError:
        # The message that a cell is done was once lost between kernel and client, and both waited. An error
        # of a cell is raised at once and never comes here.
        execute()
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
