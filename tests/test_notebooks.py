"""Runs the notebooks as a reader does: from the first cell to the last, on scikit-learn's digits.

All notebooks run in one process, because each start would import everything again. Between two notebooks
all names are removed, so that none of them uses a name of another one.
"""

import ast
import importlib.util
import json
import pathlib
import runpy

import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
SCRIPT = runpy.run_path(str(FOLDER / "write_badges.py"))
# Name -> number of pictures that it shows at least.
PICTURES = {
    "anomaly_scores.ipynb": 6,
    "explore_latent_space.ipynb": 8,
    "from_equations_to_code.ipynb": 7,
    "your_own_images.ipynb": 4,
}
# What makes a run short: text in a cell -> the text that replaces it.
SHORT = {
    "EPOCHS = 60": "EPOCHS = 2",
    "config.train.epochs = EPOCHS": "config.train.epochs = EPOCHS; "
    "config.scoring.update(names=('mse', 'knn', 'fusion'), fusion=('mse', 'knn')); "
    "config.scoring.update(samples=0, bootstrap_resamples=100)",
    "digits.images[:700]": "digits.images[:300]",
    "i >= 680": "i >= 290",
}
# A widget only prints an error of the function that it calls, so the functions are called by the test.
CALLS = {
    "anomaly_scores.ipynb": "show_threshold(0.1)",
    "explore_latent_space.ipynb": "move(0, int(dimensions.active[0]), 1.0); "
    "interpolate(0, 1, 'spherical'); interpolate(2, 1, 'linear')",
}


def read_cells(name):
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]


def join_source(cell):
    return "".join(cell["source"])


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_has_no_outputs_and_a_link_that_opens_it_in_colab(name):
    cells = read_cells(name)
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
    assert "colab.research.google.com" in join_source(cells[0])
    assert f"/blob/main/notebooks/{name})" in join_source(cells[0])
    assert 'find_spec("vae_jax") is None' in join_source(cells[1])


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_address_of_the_repository_is_that_of_the_project(name):
    text = (FOLDER / name).read_text("utf-8")
    written = SCRIPT["set_repository"](text, name, SCRIPT["read_repository"]())
    assert written == text, "run python notebooks/write_badges.py"


def test_another_address_is_written_into_badge_and_installation():
    name = NOTEBOOKS[0]
    text = (FOLDER / name).read_text("utf-8")
    title, install = json.loads(
        SCRIPT["set_repository"](text, name, "https://github.com/someone/else")
    )["cells"][:2]
    assert f"github/someone/else/blob/main/notebooks/{name})" in join_source(title)
    assert 'REPOSITORY = "https://github.com/someone/else"' in join_source(install)
    with pytest.raises(ValueError, match="0 matches"):
        SCRIPT["set_repository"](text.replace("Open in Colab", "Open"), name, "https://x")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_holds_no_logic(name):
    for cell in read_cells(name)[2:]:
        if cell["cell_type"] == "code":
            tree = ast.parse(join_source(cell))
            assert not any(isinstance(node, ast.ClassDef | ast.While) for node in ast.walk(tree))
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    # Such a function shows something, or makes a widget.
                    assert node.name.startswith(("show", "move", "interpolate", "choose_label"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the notebook tools raise some
def test_the_notebooks_run_from_the_first_cell_to_the_last(tmp_path, monkeypatch):
    packages = ("nbclient", "nbformat", "ipykernel", "ipywidgets")
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} missing; run pip install -e '.[notebooks]'")
    import nbclient
    import nbformat

    joined = nbformat.v4.new_notebook()
    unused = set(SHORT)
    for name in NOTEBOOKS:
        for cell in nbformat.read(FOLDER / name, as_version=4).cells:
            for text in [text for text in SHORT if text in cell.source]:
                cell.source = cell.source.replace(text, SHORT[text])
                unused.discard(text)
            cell.metadata.notebook = name
            joined.cells.append(cell)
        for source in (CALLS.get(name, ""), "%reset -f"):
            joined.cells.append(nbformat.v4.new_code_cell(source, metadata={"notebook": name}))
    for number, cell in enumerate(joined.cells):
        cell.id = f"cell-{number}"
    assert not unused
    # A reader has one device. Prepared data and the runs stay in the folder of the test.
    for name, value in {
        "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu", "TFDS_DATA_DIR": str(tmp_path / "data"),
        "IPYTHONDIR": str(tmp_path / "ipython"), "PYTHONPATH": str(FOLDER.parent),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    def execute():
        nbclient.NotebookClient(
            joined,
            timeout=400,
            kernel_name="python3",
            resources={"metadata": {"path": str(tmp_path)}},
        ).execute()

    try:
        execute()
    except nbclient.exceptions.CellTimeoutError:
        # The message that a cell is done was once lost between kernel and client, and both waited. An error
        # of a cell is raised at once and never comes here.
        execute()
    outputs = {name: [] for name in NOTEBOOKS}
    for cell in joined.cells:
        outputs[cell.metadata.notebook] += cell.get("outputs", [])
    for name in NOTEBOOKS:
        data = [output.get("data", {}) for output in outputs[name]]
        assert sum("image/png" in part for part in data) >= PICTURES[name], name
        if name in CALLS:
            assert any("application/vnd.jupyter.widget-view+json" in part for part in data), name
    for folder in ("notebook_digits/checkpoints", "my_images/figures", "my_images/detector"):
        assert (tmp_path / "runs" / folder).is_dir()
