"""The folder of a detector: `arrays.npz` and `detector.json`, without pickle and without code.

Names of arrays are paths: `params/encoder/Conv_0/kernel`. The JSON file holds everything else, and the
digest of the file of arrays, so that damage is noticed.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import flax.serialization
import jax

from vae_jax.data.framing import Framing
from vae_jax.data.intensity import Intensity
from vae_jax.data.preprocessing import Preprocessing
from vae_jax.data.region import Region
from vae_jax.detector.array_tree import Tree, pack_tree, unpack_tree
from vae_jax.detector.parts import DetectorParts, MapParts
from vae_jax.errors import UserError
from vae_jax.observation.standardise import Standardiser
from vae_jax.observation.weights import Weights
from vae_jax.scoring.fits import restore_fits
from vae_jax.scoring.role_scores import FittedScores
from vae_jax.workdir import decode_config, mark_output, write_bytes, write_text

FOLDER = "detector"  # name of the folder in a workdir
DESCRIPTION, ARRAYS = "detector.json", "arrays.npz"
# Changes when a detector of an earlier version can no longer be read.
_FORMAT = 1

# What reading damaged JSON or arrays raises.
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError)


def write_detector(workdir: pathlib.Path, parts: DetectorParts) -> pathlib.Path:
    """Writes the detector of a run into its workdir; each of its two files is written whole.

    Returns:
        The folder of the detector.
    """
    folder = workdir / FOLDER
    mark_output(folder)
    arrays, texts = describe_parts(parts)
    # The description is removed first: a killed run leaves no description of other arrays.
    (folder / DESCRIPTION).unlink(missing_ok=True)
    write_bytes(folder / ARRAYS, arrays)
    write_text(folder / DESCRIPTION, texts)
    return folder


def read_detector(folder: pathlib.Path) -> DetectorParts:
    """Reads the detector of a run.

    Args:
        folder: a workdir, or the folder of the detector in it.

    Raises:
        UserError: if there is no detector, it is of another version, or it is damaged.
    """
    inner = folder / FOLDER
    folder = inner if inner.is_dir() else folder
    try:
        text = (folder / DESCRIPTION).read_text(encoding="utf-8")
        content = (folder / ARRAYS).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        run = folder.parent if folder.name == FOLDER else folder
        if not (run / "config.json").exists():
            raise UserError(
                f"{folder} is neither a workdir nor a detector; name the --workdir of a trained run"
            ) from error
        raise UserError(
            f"{run} has no complete detector, perhaps because an older version evaluated it; write one "
            f"with --mode=evaluate --workdir={run}"
        ) from error
    except UnicodeDecodeError as error:
        raise _make_damage_error(folder / DESCRIPTION, error) from error
    return parse_parts(text, content, folder)


def describe_parts(parts: DetectorParts) -> tuple[bytes, str]:
    """Returns the content of the file of arrays and of the JSON file."""
    framing, region = parts.preprocessing.framing, parts.preprocessing.region
    content = pack_tree(collect_tree(parts))
    description = {
        "format": _FORMAT,
        "version": parts.version,
        "fingerprint": parts.fingerprint,
        "arrays_sha256": hashlib.sha256(content).hexdigest(),
        "scores": list(parts.names),
        "dataset": parts.preprocessing.dataset,
        "framing": dataclasses.asdict(framing),
        "max_pixels": parts.preprocessing.max_pixels,
        "is_binary": parts.preprocessing.is_binary,
        "region_digest": "" if region is None else region.digest,
        "normalises_materials": parts.preprocessing.material_levels is not None,
        "weights_sha256": "" if parts.weights is None else parts.weights.digest,
        "map_limit": parts.map.limit,
        "config": json.loads(parts.config.to_json()),
    }
    return content, json.dumps(description, indent=2, sort_keys=True) + "\n"


def collect_tree(parts: DetectorParts) -> Tree:
    """Returns the arrays of a detector, on the host."""
    region = parts.preprocessing.region
    tree = {
        "params": parts.params,
        "fits": flax.serialization.to_state_dict(parts.fitted.fits),
        "validation": parts.fitted.validation,
        "calibration": parts.calibration,
        "baselines": parts.baselines,
        "standardisers": {name: _describe(s) for name, s in parts.standardisers.items()},
        "map": {
            "mean": parts.map.mean,
            "deviation": parts.map.deviation,
            "maxima": parts.map.maxima,
        },
        "material_levels": parts.preprocessing.material_levels or {},
        "region": {} if region is None else {"mask": region.mask},
        "weights": {} if parts.weights is None else parts.weights.params,
    }
    return jax.device_get(tree)


def parse_parts(text: str, content: bytes, source: pathlib.Path) -> DetectorParts:
    """Returns the detector that `describe_parts` has described.

    Args:
        text: content of the JSON file.
        content: content of the file of arrays.
        source: where both come from, for messages.

    Raises:
        UserError: if the detector is of another version, or damaged.
    """
    try:
        description = json.loads(text)
        if description["format"] != _FORMAT:
            raise UserError(
                f"{source} holds a detector of version {description['version']} of vae_jax, which this "
                "version cannot read; write it again with --mode=evaluate"
            )
        if hashlib.sha256(content).hexdigest() != description["arrays_sha256"]:
            raise ValueError(f"{ARRAYS} has changed since it was written")
        return _restore(description, unpack_tree(content))
    except DAMAGE as error:
        raise _make_damage_error(source, error) from error


def _restore(description: Mapping[str, Any], tree: Tree) -> DetectorParts:
    framing = dict(description["framing"])
    framing["intensity"] = Intensity(**framing["intensity"])
    region = (
        Region(tree["region"]["mask"], description["region_digest"]) if tree["region"] else None
    )
    weights = tree["weights"]
    return DetectorParts(
        version=description["version"],
        fingerprint=description["fingerprint"],
        config=decode_config(description["config"]),
        names=tuple(description["scores"]),
        preprocessing=Preprocessing(
            description["dataset"],
            Framing(**framing),
            region,
            tree["material_levels"] if description["normalises_materials"] else None,
            description["max_pixels"],
            description.get("is_binary", False),  # earlier versions knew grey images only
        ),
        params=tree["params"],
        weights=Weights(weights, description["weights_sha256"]) if weights else None,
        standardisers={
            name: Standardiser(s["mean"], s["deviation"], s.get("projection"))
            for name, s in tree["standardisers"].items()
        },
        fitted=FittedScores(restore_fits(tree["fits"]), tree["validation"]),
        baselines=tree["baselines"],
        calibration=tree["calibration"],
        map=MapParts(**tree["map"], limit=description["map_limit"]),
        digest=description["arrays_sha256"],
    )


def _describe(standardiser: Standardiser) -> Tree:
    arrays = {"mean": standardiser.mean, "deviation": standardiser.deviation}
    if standardiser.projection is not None:
        arrays["projection"] = standardiser.projection
    return arrays


def _make_damage_error(source: pathlib.Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"the detector in {source} is damaged ({reason}); write it again with --mode=evaluate"
    )
