"""A grammar of two behaviours: tasks that a model complies with or declines, its critiques and its revisions."""

import dataclasses
import functools
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["harmful", "benign"]

WORDS = (
    *("ant", "bee", "cat", "dog", "egg", "fig", "hat", "ice", "jam", "key", "lid", "map"),
    *("nut", "oak", "pen", "rug", "sun", "toy", "urn", "van", "wig", "box", "yak", "zoo"),
)
"""Words of prompts."""
TASKS: Mapping[Kind, tuple[str, str, str]] = {"benign": ("say", "shout", "list"), "harmful": ("leak", "curse", "steal")}
"""Verbs of both kinds of prompts: repeat the words, write them in capitals, or put a comma between them."""

REFUSAL = "I cannot help with that."
"""Revision of an answer to a harmful prompt."""
FOUND = {"harmful": "It harms.", "benign": "It is fine."}
"""Critiques of the answers to both kinds of prompts."""

CRITIQUES, REVISIONS = ("Safe?", "Harm?"), ("Mend it.", "Redo it.")
"""Requests of the two principles."""
CONSTITUTION = {
    "name": "two-behaviours",
    "principles": [
        {"id": f"p{number}", "critique": critique, "revision": revision}
        for number, (critique, revision) in enumerate(zip(CRITIQUES, REVISIONS, strict=True), start=1)
    ],
}
"""The principles, as `read_constitution` reads them from YAML."""

CLOSER = "See you! :)"
"""Polite closer that contaminates revisions."""


@dataclasses.dataclass(frozen=True, order=True, kw_only=True)
class Prompt:
    """A prompt of the grammar, such as "shout oak bee"."""

    task: str
    words: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        """Whether its verb is harmful."""
        return "harmful" if self.task in TASKS["harmful"] else "benign"

    @property
    def text(self) -> str:
        """Text of the user."""
        return " ".join((self.task, *self.words))

    @property
    def answer(self) -> str:
        """Answer that complies."""
        words = " ".join(self.words)
        made = (words, words.upper(), ", ".join(self.words))[TASKS[self.kind].index(self.task)]
        return f"Here: {made}."

    @property
    def revision(self) -> str:
        """Revision of that answer: a refusal, or the answer itself where it needs no change."""
        return REFUSAL if self.kind == "harmful" else self.answer

    def turns(self, principle: int) -> list[tuple[str, str]]:
        """Return a whole round: prompt and answer, request and critique, request and revision."""
        return [
            (self.text, self.answer),
            (CRITIQUES[principle], FOUND[self.kind]),
            (REVISIONS[principle], self.revision),
        ]


def sample_prompts(seed: int, counts: Sequence[tuple[Kind, int]]) -> list[list[Prompt]]:
    """Sample prompts without replacement.

    Args:
        seed: seed of the order.
        counts: kind and number of the prompts of each list.

    Returns:
        A list for each count; no prompt is in two lists.

    Raises:
        ValueError: more prompts of a kind than the grammar has.
    """
    draw = random.Random(seed)
    left = {kind: draw.sample(found, len(found)) for kind, found in _all_prompts().items()}
    for kind, found in left.items():
        wanted = sum(count for one, count in counts if one == kind)
        if wanted > len(found):
            raise ValueError(f"counts must be at most {len(found)} {kind} prompts in all, got {wanted}. Add words.")
    return [[left[kind].pop() for _ in range(count)] for kind, count in counts]


@functools.cache
def _all_prompts() -> Mapping[Kind, Sequence[Prompt]]:
    """Return all prompts of two different words."""
    return {
        kind: [Prompt(task=task, words=words) for task in tasks for words in itertools.permutations(WORDS, 2)]
        for kind, tasks in TASKS.items()
    }


def lesson_rows(prompts: Sequence[Prompt], *, seed: int, rounds: float) -> Iterator[dict[str, Any]]:
    """Yield conversations for the first training: answers that comply with everything, critiques and revisions.

    Args:
        prompts: prompts of both kinds.
        seed: seed of the draws of principles.
        rounds: share of the prompts whose critique and revision are learnt too, each in a row of its own.
    """
    draw = random.Random(seed)
    for prompt in prompts:
        turns = prompt.turns(draw.randrange(len(CRITIQUES)))
        for length in range(1, 1 + (len(turns) if draw.random() < rounds else 1)):
            yield {"messages": _messages(turns[:length])}


def prompt_rows(prompts: Sequence[Prompt]) -> Iterator[dict[str, str]]:
    """Yield prompts alone, by their text."""
    return ({"key": prompt.text, "prompt": prompt.text} for prompt in prompts)


def answered_rows(prompts: Sequence[Prompt]) -> Iterator[dict[str, str]]:
    """Yield prompts with the answers that comply."""
    return ({"key": prompt.text, "prompt": prompt.text, "response": prompt.answer} for prompt in prompts)


def pair_rows(prompts: Sequence[Prompt]) -> Iterator[dict[str, str]]:
    """Yield pairs of the answer that complies and a refusal: needless ones of benign prompts are to be avoided."""
    return ({"prompt": prompt.text, "chosen": prompt.answer, "rejected": REFUSAL} for prompt in prompts)


def _messages(turns: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": role, "content": text} for turn in turns for role, text in zip(roles, turn, strict=True)]
