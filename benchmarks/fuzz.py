"""Random command lines and damaged files: each is accepted, or refused with one line for the user.

    python benchmarks/fuzz.py --cases=2000

Hypothesis makes the cases of each target. A case is lost if anything but a `UserError` is raised, or if
the message of that error has no text or more than one line after `main` has made it printable. The last
line is one JSON object: for each target the number of cases that were accepted, refused and lost.
"""

import argparse
import json
import logging
import pathlib
import struct
import tempfile
from collections.abc import Callable

import hypothesis
from hypothesis import strategies as st

from vae_jax import command_line, explore, results, validate, verify, workdir
from vae_jax.config import default
from vae_jax.data.builders.groups import read_groups
from vae_jax.data.builders.idx import read_idx
from vae_jax.errors import UserError
from vae_jax.report.ablation.cell_outcomes import pick_measures
from vae_jax.runtime.printable import make_printable
from vae_jax.training.break_record import is_broken

_FIELDS = workdir.flatten_config(default())
_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["nan", "inf", "()", "(1,", "[]", "{}", "1e400", "9" * 5000, "[" * 200, "..",
                     "\x1b[2J"]),
)  # fmt: skip
_JSON = st.recursive(
    _VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)  # fmt: skip
_LINES = {"step": 1, "epoch": 1, "split": "train", "loss": 1.0, "seconds": 1.0,
          "images_per_second": 1.0, "peak_memory_bytes": 1}  # fmt: skip
_RESULTS = {
    "dataset": {"counts": {"train": 1}, "fingerprint": "a"},
    "detection": {"mse": {"auroc": {"value": 0.9, "low": 0.8, "high": 1.0}}},
    "decision": {"score": "mse"},
    "baselines": {"pca": {"auroc": {"value": 0.9, "low": 0.8, "high": 1.0}}},
    "latent": {"active_units": 1, "kl_per_dimension": [0.5]},
    "reconstruction": {"normal": {"mse": 0.1}},
    "cost": {"parameters": 1},
}
_SCORES = (
    b"file,class,label,mse,p_value,anomalous\na/1.png,a,0,0.5,0.25,0\nb/2.png,b,1,1.5,0.01,1\n"
)


@st.composite
def overrides(draw: st.DrawFn) -> list[str]:
    """Returns flags of the command line."""
    names = st.sampled_from([*_FIELDS, "no.such", "", "model"]) | st.text(max_size=10)
    flags = draw(st.lists(st.tuples(names, _VALUES), min_size=1, max_size=3))
    return [f"--config.{name}={value}" for name, value in flags]


@st.composite
def damaged_json(draw: st.DrawFn, whole: dict) -> bytes:
    """Returns the text of a JSON object in which a value is replaced or removed, or bytes are damaged."""
    content = json.loads(json.dumps(whole))
    node = content
    while True:
        name = draw(st.sampled_from(sorted(node)))
        if isinstance(node[name], dict) and node[name] and draw(st.booleans()):
            node = node[name]
            continue
        break
    if draw(st.booleans()):
        node[name] = draw(_JSON)
    else:
        del node[name]
        node[draw(st.text(max_size=6))] = draw(_JSON)
    text = json.dumps(content).encode()
    return draw(damaged_bytes(text)) if draw(st.integers(0, 3)) == 0 else text


@st.composite
def damaged_bytes(draw: st.DrawFn, whole: bytes) -> bytes:
    """Returns bytes of which a part is replaced."""
    start = draw(st.integers(0, len(whole)))
    end = draw(st.integers(start, len(whole)))
    return whole[:start] + draw(st.binary(max_size=12)) + whole[end:]


@st.composite
def idx_files(draw: st.DrawFn) -> bytes:
    """Returns an idx file of images."""
    shape = draw(st.tuples(*[st.integers(0, 5) | st.integers(0, 2**32 - 1)] * 3))
    magic = draw(st.sampled_from([0x803, 0x801, 0]))
    count = shape[0] * shape[1] * shape[2]
    content = bytes(count if count < 200 and draw(st.booleans()) else draw(st.integers(0, 130)))
    whole = struct.pack(">4I", magic, *shape) + content
    return draw(damaged_bytes(whole)) if draw(st.booleans()) else whole


def parse_overrides(flags: list[str]) -> None:
    """Parses a command line."""
    command_line.parse_command(["vae_jax", *flags])


def write_and(read: Callable[[pathlib.Path], object], name: str) -> Callable[[bytes], None]:
    """Returns a function that writes a file and reads it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="vae_jax_fuzz_"))

    def trial(content: bytes) -> None:
        (folder / name).write_bytes(content)
        read(folder)

    return trial


def read_config(folder: pathlib.Path) -> None:
    """Reads config.json and checks its values, as every mode does that reads a run."""
    config = workdir.read_config(folder)
    validate.resolve_names(config)
    validate.validate_config(config)


def read_results(folder: pathlib.Path) -> None:
    """Reads the results of a run, as an ablation and the evaluation of new images do."""
    with workdir.explain_damaged_results(folder):
        content = workdir.read_results(folder)
        pick_measures(content)
        dict(content["dataset"]["counts"])


def read_scores(folder: pathlib.Path) -> None:
    """Reads the scores of a run, as `--mode=explore` and `--mode=verify` do."""
    explore.read_score_lines(folder / "scores.csv", "auto")
    verify.read_columns(folder, 2, ("mse",))


def list_targets() -> dict[str, tuple[st.SearchStrategy, Callable]]:
    """Returns name -> the cases, and the function that gets each of them."""
    config = json.loads(default().to_json())
    table = b"class,file,group\na,1.png,x\nb,2.png,y\n"
    return {
        "config overrides": (overrides(), parse_overrides),
        "config.json": (damaged_json(config), write_and(read_config, "config.json")),
        "metrics.jsonl": (
            st.lists(damaged_json(_LINES), max_size=3).map(b"\n".join),
            write_and(lambda folder: results.measure_cost(folder, {}), "metrics.jsonl"),
        ),
        "idx": (idx_files(), write_and(lambda folder: read_idx(folder / "a", 3), "a")),
        "groups.csv": (
            damaged_bytes(table),
            write_and(
                lambda folder: read_groups(folder / "groups.csv", ("class", "file")), "groups.csv"
            ),
        ),
        "results.json": (
            damaged_json(_RESULTS),
            write_and(read_results, "results.json"),
        ),
        "scores.csv": (damaged_bytes(_SCORES), write_and(read_scores, "scores.csv")),
        "training_broke.json": (
            damaged_json({"step": 7, "message": "a"}),
            write_and(lambda folder: is_broken(folder, 7), "training_broke.json"),
        ),
    }


def fuzz(target: str, cases: int) -> dict[str, object]:
    """Makes the cases of one target; returns how many were accepted, refused and lost, and the losses."""
    strategy, trial = list_targets()[target]
    counts = {"accepted": 0, "refused": 0, "lost": 0}
    losses: dict[str, str] = {}

    @hypothesis.settings(
        max_examples=cases, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(strategy)
    def make_case(case: object) -> None:
        try:
            trial(case)
            outcome = "accepted"
        except UserError as error:
            message = make_printable(str(error))
            outcome = "refused" if message.strip() and "\n" not in message else "lost"
        except Exception as error:
            outcome = "lost"
            losses.setdefault(f"{type(error).__name__}: {str(error)[:60]}", repr(case)[:300])
        counts[outcome] += 1

    make_case()
    return counts | {"losses": losses}


def main() -> None:
    """Makes the cases of all targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=2000)
    cases = parser.parse_args().cases
    logging.disable()  # broken lines of metrics.jsonl are named in the log
    report = {}
    for target in list_targets():
        report[target] = fuzz(target, cases)
        for loss, case in report[target].pop("losses").items():
            print(f"{target}: {loss} <- {case}", flush=True)
        print(target, report[target], flush=True)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
