"""Suggestions for an option that does not exist, by the last part of its name, wherever it stands in the tree."""

from collections.abc import Sequence

from rapidfuzz import fuzz

ALIKE = 70.0
"""Lowest likeness of the last parts, in percent, at which one name is suggested for another."""

BEHIND = 50.0
"""Largest distance of a score from the best one: the last part contributes up to 300, each other one up to 100."""

MOST = 3
"""Maximum number of suggestions."""


def suggestions(mistyped: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names that a mistyped one may stand for, the likeliest first.

    The last parts must be alike and count most; the parts in front of them count too, and a path of fewer parts.

    Args:
        mistyped: dotted path without dashes in front.
        names: dotted paths that exist.

    Example:
        >>> suggestions("recipe.temprature", ["kd.recipe.remat", "kd.recipe.divergence.temperature"])
        ('kd.recipe.divergence.temperature',)
    """
    *front, leaf = mistyped.replace("_", "-").split(".")

    def score(name: str) -> float:
        parts = name.split(".")
        shared = sum(max((fuzz.ratio(part, one) for one in parts[:-1]), default=0.0) for part in front)
        return 3 * fuzz.ratio(leaf, parts[-1]) + shared - 12 * len(parts)

    alike = [name for name in names if fuzz.ratio(leaf, name.rpartition(".")[2]) >= ALIKE]
    scored = sorted(((score(name), name) for name in alike), key=lambda one: (-one[0], one[1]))
    return tuple(name for value, name in scored if value >= scored[0][0] - BEHIND)[:MOST]
