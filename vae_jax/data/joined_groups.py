"""Groups that become one, because some of their images belong together."""

from collections.abc import Iterable, Sequence


def join_groups(sets: Iterable[Sequence[str]]) -> dict[str, str]:
    """Joins the groups of each set, and sets that share a group.

    Args:
        sets: sets of groups that belong together, at least one group each.

    Returns:
        Each of these groups -> the name of the joined group, the first of its groups in the alphabet.
    """
    from scipy.cluster.hierarchy import DisjointSet  # a slow import that only this function needs

    sets = list(sets)
    joined = DisjointSet(group for groups in sets for group in groups)
    for first, *others in sets:
        for group in others:
            joined.merge(first, group)
    return {group: min(subset) for subset in joined.subsets() for group in subset}
