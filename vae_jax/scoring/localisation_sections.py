"""The sections of results.json and details.json about anomaly maps."""

from collections.abc import Mapping


def list_localisation_sections(measures: Mapping[str, dict]) -> dict[str, dict]:
    """Returns the sections about anomaly maps: `localisation`, and `localisation_curves` with long columns.

    Args:
        measures: name of a map -> what `Localisation.result` returns; empty if no pixel is marked.
    """
    if not measures:
        return {}
    return {
        "localisation": {
            name: {key: value for key, value in measure.items() if key != "curves"}
            for name, measure in measures.items()
        },
        "localisation_curves": {
            name: measure["curves"] for name, measure in measures.items() if "curves" in measure
        },
    }
