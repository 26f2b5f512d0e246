"""Parts of a source that share no prompt: the prompts that one stage learns, and those that the next one asks."""

import dataclasses
import unicodedata
from collections.abc import Iterable
from typing import Literal

from jaxkd.data.examples import Example, Messages, Source, hashed_uniform
from jaxkd.typing import Split


@dataclasses.dataclass(frozen=True, kw_only=True)
class Half(Source):
    """Rows of a source whose prompts hash into one of two parts: `SFT` learns one, and preferences are of the other.

    The hash is of the prompt and not of the key, so that a prompt that a file repeats, or that two files have, is in
    one part only, however its rows are named or ordered, and so is a conversation that goes on from it.

    Source: huggingface/llm-swarm, examples/constitutional-ai, whose rows are divided for both stages.  Deviation: by
    hash, not by order.

    Example:
        >>> from jaxkd.data import Jsonl
        >>> prompts = Jsonl(train="prompts.jsonl", responses="optional")
        >>> learnt, compared = (Half(source=prompts, half=half) for half in ("first", "second"))
    """

    source: Source
    """Source of the rows."""
    half: Literal["first", "second"]
    """Part that is kept."""
    share: float = 0.5
    """Share of the prompts in the first part, in (0, 1)."""
    seed: int = 0
    """Seed of the hash; parts of one seed and share are disjoint."""

    def examples(self, split: Split) -> list[Example]:
        """Return the rows of one part of a split, in the source's order.

        Raises:
            ValueError: an unknown part, a share outside (0, 1), no row in the part, or as the source.
        """
        if self.half not in ("first", "second"):
            raise ValueError(f'half must be "first" or "second", got {self.half!r}.')
        if not 0 < self.share < 1:
            raise ValueError(f"share must be in (0, 1), got {self.share}. Use the source itself for all of it.")
        rows = self.source.examples(split)
        kept = [row for row in rows if (self._place(row) < self.share) == (self.half == "first")]
        if not kept:
            raise ValueError(
                f"the {self.half} half must hold one row at least, got none of {len(rows)} in the {split} split. "
                "Change its share or seed, or add prompts."
            )
        return kept

    def _place(self, row: Example) -> float:
        """Hash the prompt of a row to a number in [0, 1)."""
        return hashed_uniform(str(self.seed), opening(row.messages))


def opening(messages: Messages) -> str:
    r"""Return the beginning of a conversation by which prompts are compared: what precedes the assistant's first turn.

    Turns that differ in case, spacing or the Unicode form of their characters alone are equal.

    Args:
        messages: prompt, as (role, text) pairs.

    Returns:
        Roles and texts in a normal form.  A prompt that begins with the assistant counts as a whole.

    Source: inferred.  Deviation: none.

    Example:
        >>> opening((("user", "Name a\n planet. "), ("assistant", "Mars."), ("user", "Another?")))
        'user\x00name a planet.'
    """
    roles = [role for role, _ in messages]
    before = messages[: roles.index("assistant")] if "assistant" in roles else messages
    return "\0".join(part for role, text in before or messages for part in (role, _normal(text)))


def require_disjoint_prompts(found: Iterable[Example], learnt: Iterable[Example], *, name: str, other: str) -> None:
    """Reject examples with a prompt that others have too, compared as by `opening`.

    Args:
        found: examples to check.
        learnt: examples whose prompts must not be among them.
        name: name of the former, for the error.
        other: name of the latter.

    Raises:
        ValueError: prompts in both; their number and the first one's key are named.
    """
    keys: dict[str, str] = {}
    for example in learnt:
        keys.setdefault(opening(example.messages), example.key)
    shared: dict[str, Example] = {}
    for example in found:
        if (prompt := opening(example.messages)) in keys:
            shared.setdefault(prompt, example)
    if shared:
        prompt, first = next(iter(shared.items()))
        raise ValueError(
            f"{name} must have no prompt that {other} has, got {len(shared)} in both, the first of them in "
            f"{first.key!r} and in {keys[prompt]!r}. Divide one file with Half, or take the rows out of one of both."
        )


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
