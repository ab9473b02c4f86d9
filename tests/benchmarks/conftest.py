"""The scripts in benchmarks/ import each other by name, and so do these tests."""

import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parents[2] / "benchmarks"))
