"""The folder of a detector: `arrays.npz` and `detector.json`, without pickle and without code.

Names of arrays are paths: `params/encoder/Conv_0/kernel`. The JSON file holds everything else, and the
digest of the file of arrays, so that damage is noticed.
"""

import dataclasses
import hashlib
import io
import json
import pathlib
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import flax.serialization
import jax
import numpy as np

from vae_jax.data.framing import Framing
from vae_jax.data.intensity import Intensity
from vae_jax.data.preprocessing import Preprocessing
from vae_jax.data.region import Region
from vae_jax.detector.parts import DetectorParts, MapParts
from vae_jax.errors import UserError
from vae_jax.observation.standardise import Standardiser
from vae_jax.observation.weights import Weights
from vae_jax.scoring.fits import restore_fits
from vae_jax.scoring.role_scores import FittedScores
from vae_jax.workdir import decode_config, mark_output, write_bytes, write_text

FOLDER = "detector"  # name of the folder in a workdir
_JSON, _ARRAYS = "detector.json", "arrays.npz"
# Changes when a detector of an earlier version can no longer be read.
_FORMAT = 1
_SEPARATOR = "/"
_EMPTY = "{}"  # marks a dict without entries

# What reading damaged JSON or arrays raises.
_DAMAGE = (
    ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip

Tree = dict[str, Any]  # name -> array, or another tree


def write_detector(workdir: pathlib.Path, parts: DetectorParts) -> pathlib.Path:
    """Writes the detector of a run into its workdir; each of its two files is written whole.

    Returns:
        The folder of the detector.
    """
    folder = workdir / FOLDER
    mark_output(folder)
    arrays, texts = describe_parts(parts)
    # The description is removed first: a killed run leaves no description of other arrays.
    (folder / _JSON).unlink(missing_ok=True)
    write_bytes(folder / _ARRAYS, arrays)
    write_text(folder / _JSON, texts)
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
        text = (folder / _JSON).read_text(encoding="utf-8")
        content = (folder / _ARRAYS).read_bytes()
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
        raise _make_damage_error(folder / _JSON, error) from error
    return parse_parts(text, content, folder)


def describe_parts(parts: DetectorParts) -> tuple[bytes, str]:
    """Returns the content of the file of arrays and of the JSON file."""
    framing, region = parts.preprocessing.framing, parts.preprocessing.region
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
    content = _pack(jax.device_get(tree))
    description = {
        "format": _FORMAT,
        "version": parts.version,
        "fingerprint": parts.fingerprint,
        "arrays_sha256": hashlib.sha256(content).hexdigest(),
        "scores": list(parts.names),
        "dataset": parts.preprocessing.dataset,
        "framing": dataclasses.asdict(framing),
        "max_pixels": parts.preprocessing.max_pixels,
        "region_digest": "" if region is None else region.digest,
        "normalises_materials": parts.preprocessing.material_levels is not None,
        "weights_sha256": "" if parts.weights is None else parts.weights.digest,
        "map_limit": parts.map.limit,
        "config": json.loads(parts.config.to_json()),
    }
    return content, json.dumps(description, indent=2, sort_keys=True) + "\n"


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
            raise ValueError(f"{_ARRAYS} has changed since it was written")
        return _restore(description, _unpack(content))
    except _DAMAGE as error:
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


def _pack(tree: Tree) -> bytes:
    """Returns the content of an .npz file with the arrays of a tree."""
    stream = io.BytesIO()
    np.savez(stream, **dict(_list_arrays(tree, "")))
    return stream.getvalue()


def _list_arrays(tree: Tree, prefix: str):
    for name, value in tree.items():
        path = f"{prefix}{_SEPARATOR}{name}" if prefix else name
        if not isinstance(value, Mapping):
            yield path, np.asarray(value)
        elif value:
            yield from _list_arrays(value, path)
        else:
            yield f"{path}{_SEPARATOR}{_EMPTY}", np.empty(0)


def _unpack(content: bytes) -> Tree:
    tree: Tree = {}
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        for path in arrays.files:
            *folders, name = path.split(_SEPARATOR)
            inner = tree
            for folder in folders:
                inner = inner.setdefault(folder, {})
            if name != _EMPTY:
                inner[name] = arrays[path]
    return tree


def _make_damage_error(source: pathlib.Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"the detector in {source} is damaged ({reason}); write it again with --mode=evaluate"
    )
