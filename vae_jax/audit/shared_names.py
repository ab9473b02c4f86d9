"""Parts of file names that seem to name a patient, an object or a video, and are on both sides of the test.

`person12_virus_3.jpeg` and `person12_bacteria_1.jpeg` begin with the same part, `person12`. Whether this
is one patient, only the owner of the data knows: some datasets start to count anew in their test split.
"""

import collections
import pathlib
import re
from collections.abc import Sequence

from vae_jax.audit.findings import Finding, take_examples
from vae_jax.audit.survey import Survey

_SEPARATORS = re.compile(r"[_\-. ]+")
_MIN_KEYS = 8  # different values that a part must have; fewer are cameras or days
_MAX_SHARE = 0.25  # of the images in whose names a part has the same value


def find_keys(files: Sequence[str]) -> list[str]:
    """Returns for each file the part of its name that it shares with others, "" without such a part.

    A part is the beginning of the name, up to a number, but not the whole name. It contains a letter. Names
    of one pattern, such as `personN`, must have many values, and no value may be that of most files.
    """
    prefixes = [_list_prefixes(file) for file in files]
    values = collections.defaultdict(collections.Counter)  # pattern -> value -> number of files
    for candidates in prefixes:
        for prefix in candidates:
            values[_make_pattern(prefix)][prefix] += 1
    accepted = {
        pattern
        for pattern, counts in values.items()
        if len(counts) >= _MIN_KEYS and max(counts.values()) <= _MAX_SHARE * counts.total()
    }
    return [
        next((prefix for prefix in candidates if _make_pattern(prefix) in accepted), "")
        for candidates in prefixes
    ]


def find_shared_names(survey: Survey, role_names: Sequence[str]) -> list[Finding]:
    """Returns a finding if names on both sides of the test split begin alike, in different groups.

    Args:
        survey: all images.
        role_names: role of each row.
    """
    files = survey.files
    keys = find_keys(files)
    if survey.official_test is None:
        in_test = [role == "test" for role in role_names]
        outside = [role not in ("", "test") for role in role_names]
    else:
        in_test = survey.official_test.tolist()
        outside = [not is_test for is_test in in_test]
    rows_of_key = collections.defaultdict(list)
    for row, key in enumerate(keys):
        if key and (in_test[row] or outside[row]):
            rows_of_key[key].append(row)
    shared = {
        key: rows
        for key, rows in rows_of_key.items()
        if len({in_test[row] for row in rows}) == 2
        and len({survey.groups[row] for row in rows}) > 1
    }
    if not shared:
        return []
    patterns = collections.Counter(map(_make_pattern, shared))
    first_of_pattern = {_make_pattern(key): key for key in reversed(shared)}
    listed = ", ".join(
        f"{pattern}: {count} (for example {first_of_pattern[pattern]})"
        for pattern, count in patterns.most_common(5)
    )
    rows = [row for members in shared.values() for row in members]
    num_used = sum(bool(role_names[row]) and not in_test[row] for row in rows)
    return [
        Finding(
            "shared_names",
            "warning" if num_used else "notice",
            f"names of the pattern {patterns.most_common(1)[0][0]} are on both sides of the test split",
            f"{sum(not in_test[row] for row in rows)} images outside the test split and "
            f"{sum(in_test[row] for row in rows)} images in it have names that begin alike ({listed}). If "
            "this part names a patient, an object or a video, then the test images are not new to the "
            f"model; {num_used} of the images outside the test split are used. Give such images one group "
            "in groups.csv, unless the numbers start anew in the test split.",
            take_examples(
                [_describe_key(key, members, in_test, files) for key, members in shared.items()]
            ),
        )
    ]


def _describe_key(
    key: str, rows: Sequence[int], in_test: Sequence[bool], files: Sequence[str]
) -> str:
    outside = next(files[row] for row in rows if not in_test[row])
    inside = next(files[row] for row in rows if in_test[row])
    return f"{key}: {outside}, {inside}"


def _list_prefixes(file: str) -> list[str]:
    """Returns the beginnings of a name that end with a number, the shortest first."""
    stem = pathlib.PurePosixPath(file).stem
    prefixes = []
    for separator in _SEPARATORS.finditer(stem):
        prefix = stem[: separator.start()]
        last = _SEPARATORS.split(prefix)[-1]
        if re.search(r"\d$", last) and re.search(r"[^\W\d_]", prefix):
            prefixes.append(prefix)
    return prefixes


def _make_pattern(prefix: str) -> str:
    return re.sub(r"\d+", "N", prefix)
