"""One prompt and its response, and the sources that hold them."""

import abc
import dataclasses
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Protocol, TypeVar

from jaxkd.typing import Split


class _HasKey(Protocol):
    @property
    def key(self) -> str: ...


Keyed = TypeVar("Keyed", bound=_HasKey)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """A conversation up to the turn that is learnt, and that turn."""

    key: str
    """Names the example for good: it does not move when others are added."""
    group: str
    """Examples of one group stay on one side of a split."""
    messages: tuple[tuple[str, str], ...]
    """The prompt: (role, text) pairs."""
    response: str
    rendered: str | None = None
    """The prompt as the source itself writes it out, which the plain template takes as it stands; None where it does
    not."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source(abc.ABC):
    """Where examples come from: a frozen description, read when asked."""

    @abc.abstractmethod
    def examples(self, split: Split) -> list[Example]:
        """The examples of one split, in an order that never changes."""


def stable_split(group: str) -> Split:
    """The side on which a group falls: test 10 %, validation 10 %, train the rest, by its hash alone.

    Example:
        >>> stable_split("json/decoder.py")
        'train'
    """
    bucket = _digest(group) % 10
    return "test" if bucket == 0 else "validation" if bucket == 1 else "train"


def subset(examples: Sequence[Keyed], limit: int | None) -> list[Keyed]:
    """At most `limit` examples, drawn by a hash of their keys and left in their order; None keeps all.

    A smaller draw is part of a larger one.

    Raises:
        ValueError: a limit below 1.
    """
    if limit is None:
        return list(examples)
    if limit < 1:
        raise ValueError(f"limit must be at least 1, or None to keep all examples, got {limit}.")
    drawn = {example.key for example in sorted(examples, key=lambda example: _digest(example.key))[:limit]}
    return [example for example in examples if example.key in drawn]


def merge_near_duplicates(
    examples: Sequence[Example], *, similarity: float = 0.7, shingle: int = 5, min_words: int = 20
) -> tuple[list[Example], int]:
    """Merge the groups of examples with nearly the same response, so that no split separates them.

    Responses are compared by the Jaccard similarity of their sets of `shingle` successive words and
    signs, case and spacing aside.  Groups merge whole and transitively, and a merged group is named
    after the part that comes first in the alphabet.

    Args:
        examples: in any order.
        similarity: shared shingles over all shingles, in (0, 1], from which two responses are one.
        shingle: words and signs of a shingle.
        min_words: words and signs below which responses are not compared: to share `return self.name` gives
            nothing away, and through it every group would be merged into one.

    Returns:
        The examples in their order, and how many groups were merged into another.

    Raises:
        ValueError: similarity outside (0, 1], shingle below 1.

    Example:
        >>> def example(group, response):
        ...     return Example(key=group, group=group, messages=(("user", "Count."),), response=response)
        >>> counted = example("b", "one two three four"), example("a", "One, two, three, four")
        >>> merged, count = merge_near_duplicates(counted, similarity=0.4, shingle=1, min_words=2)
        >>> [example.group for example in merged], count
        (['a', 'a'], 1)
    """
    if not 0 < similarity <= 1:
        raise ValueError(f"similarity must be in (0, 1], got {similarity}.")
    if shingle < 1:
        raise ValueError(f"shingle must be at least 1, got {shingle}.")
    merged_into = {example.group: example.group for example in examples}

    def name(group: str) -> str:
        while merged_into[group] != group:
            group = merged_into[group]
        return group

    sets = [_shingles(example.response, shingle, min_words) for example in examples]
    for left, right in _similar_pairs(sets, similarity):
        low, high = sorted((name(examples[left].group), name(examples[right].group)))
        merged_into[high] = low
    merged = [dataclasses.replace(example, group=name(example.group)) for example in examples]
    return merged, sum(group != name(group) for group in merged_into)


def _shingles(text: str, size: int, min_words: int) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"\w+|[^\w\s]", text.lower())
    if len(words) < min_words:
        return frozenset()
    return frozenset(tuple(words[start : start + size]) for start in range(max(len(words) - size, 0) + 1))


def _similar_pairs(sets: Sequence[frozenset[tuple[str, ...]]], similarity: float) -> list[tuple[int, int]]:
    """All pairs whose Jaccard similarity reaches the bound.

    Two such sets overlap in at least `similarity` of either, so that, with shingles ordered from rare
    to common, each of them shows a shared shingle among its first `n - ceil(similarity * n) + 1`.
    Only those are indexed, and rare shingles have short lists.
    """
    frequency = Counter(item for items in sets for item in items)
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    pairs = []
    for index, items in enumerate(sets):
        ordered = sorted(items, key=lambda item: (frequency[item], item))
        # The small number keeps a product that is an integer but for rounding from losing a shingle.
        prefix = ordered[: len(ordered) - int(similarity * len(ordered) - 1e-9)]
        candidates = {other for item in prefix for other in holders[item]}
        for other in sorted(candidates):
            shared = len(items & sets[other])
            if shared >= similarity * (len(items) + len(sets[other]) - shared):
                pairs.append((other, index))
        for item in prefix:
            holders[item].append(index)
    return pairs


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest(), "big")
