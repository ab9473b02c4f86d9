"""Damaged, unusual and special files through preparation: what is read, refused, skipped, or a fault.

    python benchmarks/damaged_files.py --files=2000

Each file is the only damaged one in a folder of sound images, or the mask of a sound image (every eighth
file). The folder is loaded without and with `data.skip_corrupt`, in a child process with a time limit for
each file and a limit of its address space. Then the real command trains one epoch on all files at once,
also in a child with both limits. `mutations.py` makes the files; the same seed makes the same files.

A fault is a traceback; a hang; more memory than `--max-mib`; a refusal or a skipped file that is not named
in one printable line; a file that is neither read nor named; a kind that must be read and is not, or that
must be refused and is read; different answers with and without `data.skip_corrupt`; or lines on stderr that
are neither from this program nor from libtiff. The last line is one JSON object.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import queue
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time

import mutations
import pictures
from damaged_trials import FIELDS, is_mask, write_file, write_folder

ROOT = pathlib.Path(__file__).parents[1]
_TRIALS = [sys.executable, str(ROOT / "benchmarks/damaged_trials.py")]
_MAIN = [sys.executable, "-m", "vae_jax.main"]
# Beginnings of the lines on stderr that this program writes: its log and its progress bars.
_OWN_LINES = ("folder", "vae_jax_folder", "/tmp/", "preparing", "decoding", "reading files")
# A line of libtiff, which writes to the terminal itself; nothing of Python can prevent that.
_LIBTIFF_LINE = re.compile(r"_?[A-Za-z]+[A-Za-z0-9]*: .*\.")


def run_child(arguments, indices: list[int]) -> list[dict]:
    """Runs trials in children with a time limit for each file, and returns their results.

    After a hang or a crash of the process the next child continues with the next file.
    """
    results = []
    indices = list(indices)
    while indices:
        command = [*_TRIALS, f"--seed={arguments.seed}"]
        command += [f"--files={arguments.files}", f"--max-mib={arguments.max_mib}"]
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            json.dump(indices, process.stdin)
            process.stdin.close()
            lines: queue.Queue[str] = queue.Queue()
            thread = threading.Thread(target=_copy_lines, args=(process.stdout, lines), daemon=True)
            thread.start()
            place, problem = 0, "the process ended"
            with contextlib.suppress(queue.Empty):
                problem = "hang"
                while line := lines.get(timeout=arguments.seconds):
                    result = json.loads(line)
                    end = log.seek(0, os.SEEK_END)
                    log.seek(place)
                    result["log"] = log.read(end - place)
                    place = end
                    results.append(result)
                    if result["skip"]:
                        indices.remove(result["index"])
                problem = "the process ended"
            process.kill()
            process.wait()
            if indices:
                log.seek(place)
                kind = mutations.draw_kinds(arguments.files)[indices[0]]
                results.append(
                    {"index": indices.pop(0), "kind": kind, "skip": True, "outcome": "crashed",
                     "message": problem, "seconds": arguments.seconds, "mib": 0, "log": log.read()}
                )  # fmt: skip
    return results


def _copy_lines(stream, lines: queue.Queue) -> None:
    for line in stream:
        lines.put(line)
    lines.put("")


def find_faults(results: list[dict], max_mib: int) -> list[dict]:
    """Returns what is wrong with the results, one entry per fault."""
    faults = []
    outcomes = collections.defaultdict(dict)
    for result in results:
        outcomes[result["index"]][result["skip"]] = result["outcome"]
        faults += [result | {"fault": fault} for fault in _judge(result, max_mib)]
    for index, pair in outcomes.items():
        if set(pair) == {False, True} and (pair[False] == "read") != (pair[True] == "read"):
            kind = next(result["kind"] for result in results if result["index"] == index)
            faults.append(
                {"index": index, "kind": kind, "fault": f"differs: {pair}", "message": ""}
            )
    return faults


def _judge(result: dict, max_mib: int) -> list[str]:
    kind, outcome, stem = result["kind"], result["outcome"], f"file{result['index']:05}"
    if outcome == "crashed":
        return [f"crashed: {result['message'].strip().splitlines()[-1][:90]}"]
    faults = []
    if outcome == "refused" and (
        stem not in result["message"] or not result["message"].isprintable()
    ):
        faults.append("refused without its name in one printable line")
    if outcome == "skipped" and stem not in result["log"]:
        faults.append("neither read nor named")
    if not re.sub("[\r\n]", "", result["log"]).isprintable():
        faults.append("the log is not printable")
    lines = re.split("[\r\n]+", result["log"])
    may_be_tiff = "tif" in kind.lower() or kind.split()[0] in pictures.ACTIONS
    strange = [
        line
        for line in lines
        if line
        and not line.startswith(_OWN_LINES)
        and not (may_be_tiff and _LIBTIFF_LINE.fullmatch(line))
    ]
    if strange:
        faults.append(f"on stderr: {strange[0]}")
    if result["mib"] > max_mib:
        faults.append(f"memory: {result['mib']} MiB")
    if kind in mutations.MUST_BE_REFUSED and outcome == "read":
        faults.append("read, but must be refused")
    if kind in mutations.MUST_BE_READ and outcome != "read" and not is_mask(result["index"], kind):
        faults.append("not read, but must be read")
    return faults


def run_all_at_once(arguments, outcomes: dict[int, str]) -> list[dict]:
    """Runs the real command on all files in one folder, without and with `skip_corrupt`."""
    faults = []
    kinds = mutations.draw_kinds(arguments.files)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary, "images")
        write_folder(folder)
        for index, kind in enumerate(kinds):
            write_file(folder, arguments.seed, index, kind)
        fields = [f"--config.data.{name}={','.join(value) or '()' if isinstance(value, tuple) else value}"
                  for name, value in FIELDS.items()]  # fmt: skip
        for skip, status in (("false", 2), ("true", 0)):
            command = [*_MAIN, f"--workdir={temporary}/run-{skip}", *fields]
            command += [
                f"--config.data.manual_dir={folder}",
                f"--config.data.dir={temporary}/prepared",
            ]
            command += [f"--config.data.skip_corrupt={skip}", "--config.train.epochs=1"]
            start = time.perf_counter()
            done = _run_limited(command, arguments)
            print(f"all files at once, skip_corrupt={skip}: status {done.returncode}, "
                  f"{time.perf_counter() - start:.0f} s")  # fmt: skip
            problem = "" if done.returncode == status else f"status {done.returncode}"
            errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
            if "Traceback" in done.stderr or (status == 2 and len(errors) != 1):
                problem = "a traceback, or not one line of error"
            unnamed = [
                index for index, outcome in outcomes.items()
                if status == 0 and outcome == "skipped" and f"file{index:05}" not in done.stderr
            ]  # fmt: skip
            if unnamed:
                problem += f"{len(unnamed)} skipped files are not named, the first is {unnamed[0]}"
            if problem:
                kind = f"all at once, skip_corrupt={skip}"
                message = done.stderr[-2000:]
                faults.append({"index": -1, "kind": kind, "fault": problem, "message": message})
    return faults


def _run_limited(command: list[str], arguments) -> subprocess.CompletedProcess:
    limit = 4 * arguments.max_mib * 2**20  # JAX reserves addresses that it does not use
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, errors="backslashreplace", check=False,
        timeout=60 * arguments.seconds,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip


def print_table(results: list[dict]) -> None:
    """Prints the outcomes of each group of kinds as a table in Markdown."""
    columns = ("read", "refused", "skipped", "crashed")
    counts = collections.defaultdict(collections.Counter)
    for result in results:
        first = result["kind"].split()[0]
        group = first if first in pictures.ACTIONS else mutations.name_group(result["kind"])
        counts[group][result["outcome"]] += 1
    print(f"| kind | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for group, outcomes in counts.items():
        print(f"| {group} | {' | '.join(str(outcomes[column]) for column in columns)} |")


def main() -> None:
    """Runs the trials and prints the table, the faults and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=60, help="time limit for a file")
    parser.add_argument("--max-mib", type=int, default=2048, help="limit of the peak memory")
    parser.add_argument("--only", type=int, nargs="*", help="indices of the files to try")
    arguments = parser.parse_args()
    indices = arguments.only or list(range(arguments.files))
    parts = [indices[start :: arguments.processes] for start in range(arguments.processes)]
    with concurrent.futures.ThreadPoolExecutor(arguments.processes) as pool:
        lists = pool.map(lambda part: run_child(arguments, part), parts)
        results = [result for results in lists for result in results]
    faults = find_faults(results, arguments.max_mib)
    if not arguments.only:
        with_skip = {result["index"]: result["outcome"] for result in results if result["skip"]}
        faults += run_all_at_once(arguments, with_skip)
    print_table(results)
    for fault in faults:
        lines = fault["message"].strip().splitlines() or [""]
        print(
            f"fault: file {fault['index']} ({fault['kind']}): {fault['fault']}: {lines[-1][:200]}"
        )
    outcomes = collections.Counter(result["outcome"] for result in results)
    summary = {
        "files": len(indices), "seed": arguments.seed, "kinds": len(mutations.KINDS),
        "trials": len(results), "outcomes": dict(outcomes), "faults": len(faults),
        "max_seconds": round(max(result["seconds"] for result in results), 1),
        "max_mib": max(result["mib"] for result in results),
    }  # fmt: skip
    print(json.dumps(summary))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
