"""The mode `audit`: looks at the images before anything is trained, and writes audit.html and audit.json.

No model judges the images. What would stop a run is listed as a finding, and the rest is audited, because
this is the mode for finding out.
"""

import json
import logging
import pathlib
import time
from typing import Any

import ml_collections

from vae_jax import workdir as workdir_lib
from vae_jax.audit import (
    content,
    equal_images,
    near_images,
    passed_over,
    promised_rate,
    shared_names,
    shortcuts,
    visibility,
)
from vae_jax.audit import (
    roles as role_lib,
)
from vae_jax.audit.findings import (
    Finding,
    describe_verdict,
    sort_findings,
)
from vae_jax.audit.survey import Survey, survey_images
from vae_jax.report.audit.page import write_page
from vae_jax.runtime.printable import make_printable

_FILE = "audit.json"

_log = logging.getLogger(__name__)


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Audits the images of a config; writes audit.html and audit.json, and prints the verdict."""
    start = time.perf_counter()
    workdir_lib.mark_output(workdir)
    survey, audit = audit_images(config)
    text = json.dumps(audit, indent=2, allow_nan=False, default=_to_number) + "\n"
    workdir_lib.write_text(workdir / _FILE, text)
    page = write_page(workdir, config.name, audit, survey)
    for finding in audit["findings"]:
        print(make_printable(f"{finding['severity']}: {finding['text']}"))
    print()
    print(make_printable(f"verdict: {audit['verdict']}"))
    print(f"audit: {page}, in {time.perf_counter() - start:.1f} s")


def audit_images(config: ml_collections.ConfigDict) -> tuple[Survey, dict[str, Any]]:
    """Audits the images that a config would train and test on.

    Args:
        config: resolved and valid config.

    Returns:
        The images as columns, and the content of audit.json.

    Raises:
        UserError: if there is nothing to audit: no folder, no image, or no image that can be read.
    """
    data_config = config.data
    survey, findings = survey_images(data_config, config.seed)
    near = near_images.find_near_duplicates(survey)
    groups = near.groups if data_config.group_near_duplicates else survey.groups
    roles, refusals = role_lib.assign_roles(survey, groups, data_config, config.seed)
    findings += refusals
    role_names = role_lib.name_roles(survey, roles)
    train_rows, test_rows = shortcuts.select_rows(survey.labels, roles)
    separations = shortcuts.measure_separations(
        shortcuts.collect_features(survey), survey.labels, train_rows, test_rows,
        groups,
    )  # fmt: skip
    findings += shortcuts.find_shortcuts(separations)
    findings += content.find_kinds(survey)
    findings += content.find_borders(survey)
    equal = equal_images.list_equal_images(survey)
    findings += equal_images.find_equal_images(
        survey, equal, role_names, data_config.allow_duplicates
    )
    findings += near_images.find_agreeing_images(
        survey, near, role_names, data_config.group_near_duplicates
    )
    findings += role_lib.find_straddling_groups(survey, groups)
    findings += shared_names.find_shared_names(survey, role_names)

    findings += content.find_empty_images(survey)
    findings += content.find_lost_levels(
        survey, train_rows, survey.framing.intensity, data_config.dataset
    )

    rule = survey.inventory.builder.MASK_VALUES
    findings += visibility.find_mask_problems(survey, data_config.mask_values == rule == "auto")
    findings += visibility.find_hidden_parts(survey)
    calibration = {} if roles is None else _summarise_calibration(roles, groups, config)
    if calibration:
        findings += promised_rate.find_rate_problems(calibration, config.scoring)
    rest = _list_passed_over(data_config, survey, findings)

    findings = sort_findings(findings)
    audit = {
        "verdict": describe_verdict(findings),
        "findings": [_describe(finding) for finding in findings],
        "dataset": {"name": data_config.dataset, "folder": data_config.manual_dir},
        "images": len(survey.sources),
        "rows": len(survey.labels),
        "unreadable": survey.unreadable,
        "classes": content.summarise_classes(survey),
        "roles": {} if roles is None else _count_roles(survey, roles),
        "duplicates": {
            "equal_sets": len(equal),
            "equal": equal_images.list_sets(survey, equal, role_names),
            "near_pairs": near.num_pairs,
            "near": near_images.list_pairs(survey, near, role_names),
            "agreement": near.agreement,
        },
        "trivial_features": [
            {
                "name": s.name,
                "description": s.description,
                "formal": s.is_formal,
                "direction": s.direction,
                "auroc": s.auroc,
            }
            for s in separations
        ],
        "masks": visibility.summarise_masks(survey),
        "framing": visibility.summarise_framing(survey),
        "calibration": calibration,
        "passed_over": rest,
    }
    return survey, audit


def _summarise_calibration(
    roles: dict[str, Any], groups: list[str], config: ml_collections.ConfigDict
) -> dict[str, Any]:
    rows = roles["calibration"]
    return promised_rate.summarise_calibration(
        len(rows), len({groups[row] for row in rows}), config.scoring
    )


def _count_roles(survey: Survey, roles: dict[str, Any]) -> dict[str, int]:
    counts = {role: len(rows) for role, rows in roles.items() if role != "test"}
    labels = survey.labels[roles["test"]]
    return counts | {
        "test_normal": int((labels == 0).sum()),
        "test_anomaly": int((labels == 1).sum()),
    }


def _list_passed_over(
    data_config: ml_collections.ConfigDict, survey: Survey, findings: list[Finding]
) -> dict[str, Any]:
    """Returns what a run does not read in the folders of the dataset; adds findings about it."""
    rest = {"entries": {}, "suffixes": {}, "images": []}
    folders = (
        (data_config.manual_dir, survey.inventory),
        (data_config.anomaly_manual_dir, survey.other_inventory),
    )
    for name, inventory in folders:
        if not name or inventory is None:
            continue
        found = passed_over.list_passed_over(pathlib.Path(name).expanduser(), inventory.files)
        findings += passed_over.find_passed_over(found)
        rest["entries"] |= found.entries
        rest["suffixes"] |= found.suffixes
        rest["images"] += found.images[:1000]
    return rest


def _describe(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "title": finding.title,
        "text": finding.text,
        "examples": list(finding.examples),
    }


def _to_number(value: Any) -> Any:
    """Returns a NumPy number as a number of Python, for JSON."""
    return value.item()
