"""How the values of all places became a score: the property that divides scores into comparable groups."""

import ml_collections

from vae_jax.score_names import AGGREGATES, is_combination, parse_score_name, select_member_names

# Scores that are not an aggregate of a map, for example a distance of codes.
WHOLE_IMAGE = "whole image"


def find_aggregation(name: str, scoring_config: ml_collections.ConfigDict) -> str:
    """Returns the aggregation of a score of a model: a name in AGGREGATES, or WHOLE_IMAGE.

    A combination has the aggregation of its members; those that look at the whole image do not count. If
    there are several, the result names all of them, for example "mean + max".

    Args:
        name: name of a score or of a combination.
        scoring_config: the `scoring` group of the config; it has the aggregate of a score whose name has
            none, and the members of combinations.

    Raises:
        UserError: if there is no such score.
    """
    if is_combination(name):
        members = select_member_names(name, scoring_config.fusion)
        aggregations = {find_aggregation(member, scoring_config) for member in members}
        names = [aggregate for aggregate in AGGREGATES if aggregate in aggregations]
        return " + ".join(names) or WHOLE_IMAGE
    parsed = parse_score_name(name)
    if not parsed.has_map:
        return WHOLE_IMAGE
    return parsed.aggregate or scoring_config.aggregate
