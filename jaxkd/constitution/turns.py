"""Turns of the user drawn from a constitution: requests for a critique, and for a revision."""

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import Literal, TypeVar

from jaxkd.constitution.principles import PreferencePrinciple, Principle
from jaxkd.constitution.reading import EIGHT_PRINCIPLES, located, read_constitution
from jaxkd.data.examples import hashed_uniform
from jaxkd.data.text.prompts.follow_up import UserTurn
from jaxkd.runtime.packages import file_sha256
from jaxkd.typing import Split

Weighted = TypeVar("Weighted", Principle, PreferencePrinciple)
"""Principle of either kind."""


def sample_principle(principles: Sequence[Weighted], *, seed: int, key: str, purpose: str = "critique") -> Weighted:
    """Sample a principle for a key: argmin over i of -ln(u_i) / w_i, with u_i in (0, 1) a hash of seed, key and id.

    The arrival times -ln(u_i) / w_i are exponential with rate w_i, so principle i is the first with probability w_i /
    sum(w).  The draw depends on neither the order of the principles nor the other keys, and a principle that is added
    takes its share of the keys without moving the others.

    Args:
        principles: principles with their weights, at least one.
        seed: seed of the draws.
        key: key of the conversation.
        purpose: name of the use; draws for different uses are independent.

    Returns:
        The principle.

    Raises:
        ValueError: no principle.

    Source: Efraimidis and Spirakis, Weighted random sampling with a reservoir, Information Processing Letters 97
    (2006), for a reservoir of one.  Deviation: hashes instead of random numbers, as in rendezvous hashing.

    Example:
        >>> one, other = (Principle(id=id, critique="Why?", revision="Mend it.") for id in ("a", "b"))
        >>> [sample_principle((one, other), seed=0, key=key).id for key in ("x", "y", "z")]
        ['a', 'b', 'b']
    """
    if not principles:
        raise ValueError("principles must hold at least one to draw from, got none.")
    return min(principles, key=lambda one: -math.log(_uniform(purpose, str(seed), key, one.id)) / one.weight)


def _uniform(*parts: str) -> float:
    """Hash texts to a number in (0, 1)."""
    # Half of the last bit keeps the number from 0.
    return hashed_uniform(*parts) + 2.0**-54


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Draw(UserTurn):
    """A turn drawn from a constitution's principles for critiques and revisions."""

    constitution: str = EIGHT_PRINCIPLES
    """Path of a constitution, as `read_constitution` reads it, or the name of the one in this package."""
    seed: int = 0
    """Seed of the draws.  Another round with another seed draws other principles."""

    @abc.abstractmethod
    def principle(self, key: str) -> Principle:
        """Return the principle that is drawn for a conversation."""

    def name(self, key: str) -> str:
        return self.principle(key).id

    def validate(self) -> None:
        """Reject a constitution that cannot be read, or has no principles for critiques and revisions."""
        self._principles()

    def input_hashes(self, split: Split) -> dict[str, str]:
        """Return the hash of the constitution's file."""
        del split
        return {"constitution": file_sha256(located(self.constitution))}

    def _principles(self) -> tuple[Principle, ...]:
        found = read_constitution(self.constitution).principles
        if not found:
            raise ValueError(
                "constitution must have principles for critiques and revisions, got those for comparisons alone in "
                f"{self.constitution!r}. Add some, or draw from another one."
            )
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Critique(_Draw):
    """Request for a critique by a principle of a constitution, drawn for each conversation by its key.

    Example:
        >>> Critique(seed=1).name("jokes.jsonl:3")
        'no-needless-refusal'
    """

    def principle(self, key: str) -> Principle:
        return sample_principle(self._principles(), seed=self.seed, key=key)

    def text(self, key: str) -> str:
        return self.principle(key).critique


@dataclasses.dataclass(frozen=True, kw_only=True)
class Revision(_Draw):
    """Request for a revision by a principle of a constitution, drawn for each conversation by its key.

    Source: huggingface/llm-swarm, examples/constitutional-ai, for paired principles; Zhang, Constitution or Collapse?,
    arXiv 2504.04918, as reviews of it report, for independent ones.  Deviation: none.

    Example:
        >>> Revision(seed=1).name("jokes.jsonl:3"), Revision(seed=1, pairing="independent").name("jokes.jsonl:3")
        ('no-needless-refusal', 'privacy')
    """

    pairing: Literal["paired", "independent"] = "paired"
    """Principle of the revision: that of the critique with the same seed, or a draw of its own."""

    def principle(self, key: str) -> Principle:
        purpose = "critique" if self.pairing == "paired" else "revision"
        return sample_principle(self._principles(), seed=self.seed, key=key, purpose=purpose)

    def text(self, key: str) -> str:
        return self.principle(key).revision

    def validate(self) -> None:
        """Reject an unknown pairing, and as `Critique`."""
        if self.pairing not in ("paired", "independent"):
            raise ValueError(f'pairing must be "paired" or "independent", got {self.pairing!r}.')
        super().validate()
