"""Examples, a prompt and its response, and their sources."""

import abc
import dataclasses
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Protocol, TypeAlias, TypeVar

from jaxkd.typing import Split


class _HasKey(Protocol):
    @property
    def key(self) -> str: ...


Messages: TypeAlias = tuple[tuple[str, str], ...]
"""Conversation, as (role, text) pairs."""
Keyed = TypeVar("Keyed", bound=_HasKey)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """A conversation, and the response to learn."""

    key: str
    """Permanent name, which does not change when examples are added."""
    group: str
    """Group, all of whose examples are in one split."""
    messages: Messages
    """Prompt, as (role, text) pairs."""
    response: str
    """Empty if only the prompt is known: it can be answered, not learnt."""
    rendered: str | None = None
    """Prompt as the source itself renders it, which the plain template uses verbatim; None if it renders none."""
    turn: str | None = None
    """Name of what the last turn of the prompt was drawn from, such as a principle's id; None if it was not drawn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source(abc.ABC):
    """Source of examples: a frozen description, read on demand."""

    @abc.abstractmethod
    def examples(self, split: Split) -> list[Example]:
        """Return the examples of one split, in a fixed order."""


def stable_split(group: str) -> Split:
    """Return the split of a group: test 10 %, validation 10 %, train the rest, by its hash alone.

    Example:
        >>> stable_split("json/decoder.py")
        'train'
    """
    bucket = _digest(group) % 10
    return "test" if bucket == 0 else "validation" if bucket == 1 else "train"


def hashed_uniform(*parts: str) -> float:
    """Hash texts to a number in [0, 1), of 53 bits: a draw that depends on them alone.

    Example:
        >>> round(hashed_uniform("0", "jokes.jsonl:3"), 3)
        0.933
    """
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
    # 53 bits are exact in a float.
    return (int.from_bytes(digest, "big") >> 11) / 2.0**53


def subset(examples: Sequence[Keyed], limit: int | None) -> list[Keyed]:
    """Select at most `limit` examples by a hash of their keys, in their order; None keeps all.

    A smaller subset is part of a larger one.

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

    Responses are compared by the Jaccard similarity of their sets of shingles, ignoring case and
    spacing.  Groups merge whole and transitively, and a merged group takes the name of its
    alphabetically first part.

    Args:
        examples: the examples, in any order.
        similarity: Jaccard similarity, in (0, 1], from which two responses are near duplicates.
        shingle: number of successive words and punctuation marks in a shingle.
        min_words: number of words and punctuation marks below which responses are not compared: sharing
            `return self.name` gives nothing away, and would merge every group into one.

    Returns:
        The examples in their order, and the number of groups merged into another.

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
    """Return all pairs whose Jaccard similarity reaches the bound.

    Two such sets share at least a fraction `similarity` of either.  With shingles ordered from rare
    to common, each has a shared shingle among its first `n - ceil(similarity * n) + 1`.  Only those
    are indexed, and rare shingles have short lists.
    """
    frequency = Counter(item for items in sets for item in items)
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    pairs = []
    for index, items in enumerate(sets):
        ordered = sorted(items, key=lambda item: (frequency[item], item))
        # The offset keeps a product that is an integer up to rounding from losing a shingle.
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
