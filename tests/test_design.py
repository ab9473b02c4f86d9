"""The page docs/design.md is true: what it names exists, and packages import only as it says."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / "docs/design.md").read_text("utf-8")
PACKAGE = ROOT / "vae_jax"
ROWS = re.findall(r"^\| [^|*](?:[^|]|\\\|)* \| `([\w/.]+\.py)` \| `(\w+)` \|$", PAGE, re.MULTILINE)

# Packages in the order of the data; those of one stage do not import each other.
STAGES = [
    stage.split(" | ")
    for stage in re.search(r"^    (data  ->.*)$", PAGE, re.MULTILINE)[1].split("  ->  ")
]
LINE = [package for stage in STAGES for package in stage]
BESIDE = (
    "errors",
    "config",
    "config_differences",
    "field_syntax",
    "noise",
    "score_names",
    "validate",
    "validate_model",
    "workdir",
    "runtime",
    "metrics",
)
TOP = {
    "train",
    "training_setup",
    "training_start",
    "training_recovery",
    "evaluate",
    "evaluate_new",
    "evaluation_request",
    "judgement",
    "select_scores",
    "audit_data",
    "explore",
    "ablate",
    "compare_runs",
    "comparison_request",
    "predict",
    "prediction_request",
    "prediction_summary",
    "verify",
    "workdir_claim",
    "export_detector",
    "results",
    "model_sections",
    "model_sizes",
    "memory_needs",
    "memory_check",
    "grid",
    "fit_detector",
    "estimator_config",
    "estimator_data",
    "estimator_file",
    "estimator",
}


def locate(path):
    return PACKAGE / path if (PACKAGE / path).exists() else ROOT / path


def defined_names(path):
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_the_table_has_a_row_for_each_of_the_many_ideas():
    assert len(ROWS) > 50


@pytest.mark.parametrize(("path", "name"), ROWS)
def test_every_name_of_the_table_is_defined_in_its_file(path, name):
    assert name in defined_names(locate(path))


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w/]+\.py)`", PAGE))))
def test_every_file_that_the_page_names_exists(path):
    assert locate(path).is_file()


def test_every_package_is_in_the_table_of_packages():
    packages = {
        path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("__init__.py")
    }
    for package in packages - {"."}:
        assert f"{package.removeprefix('report/')}/`" in PAGE


def imported_packages(path):
    """Returns the packages and top-level modules of vae_jax that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("vae_jax"):
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("vae_jax."):
                    yield alias.name.split(".")[1]


def allowed_imports(package):
    if package not in LINE:
        return {"metrics": {"metrics"}, "runtime": {"runtime", "errors"}}[package]
    stage = next(i for i, packages in enumerate(STAGES) if package in packages)
    return {package, *(left for packages in STAGES[:stage] for left in packages), *BESIDE}


@pytest.mark.parametrize("package", [*LINE, "metrics", "runtime"])
def test_a_package_imports_only_from_packages_to_its_left(package):
    for path in (PACKAGE / package).rglob("*.py"):
        for imported in imported_packages(path):
            assert imported in allowed_imports(package), path


@pytest.mark.parametrize("module", sorted(TOP))
def test_the_modes_do_not_import_the_command_line(module):
    imported = set(imported_packages(PACKAGE / f"{module}.py"))
    assert imported <= {*LINE, *BESIDE, *TOP}
