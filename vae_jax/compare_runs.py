"""The mode `compare`: finished runs beside each other, on one page and in two tables."""

from vae_jax import workdir as workdir_lib
from vae_jax.comparison.comparison import compare_runs
from vae_jax.comparison.stored_run import read_run
from vae_jax.comparison.tables import format_csv, format_json
from vae_jax.comparison_request import ComparisonRequest
from vae_jax.report.comparison.page import write_page
from vae_jax.report.comparison.terminal_table import format_terminal_table


def run(request: ComparisonRequest) -> None:
    """Writes `compare.html`, `compare.csv` and `compare.json`, and prints the runs.

    Raises:
        UserError: before anything is written, if a workdir holds no run with results.
    """
    comparison = compare_runs([read_run(workdir) for workdir in request.workdirs])
    workdir_lib.mark_output(request.output)
    for name, format_table in (("compare.csv", format_csv), ("compare.json", format_json)):
        workdir_lib.write_text(request.output / name, format_table(comparison, request.output))
    page = write_page(request.output, comparison, request.workdirs)
    print(format_terminal_table(comparison))
    print(f"\ncomparison: {page}")
