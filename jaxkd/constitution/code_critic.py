"""A program as critic, as judge and as filter of Python functions: what it says of a function is true."""

import dataclasses
from collections.abc import Mapping, Sequence

from jaxkd.data.examples import Example, Messages, Source
from jaxkd.data.preferences.code_flaws import Flaw, flaws
from jaxkd.data.text.standard_library import INSTRUCTION
from jaxkd.evals.judges.chat import Chat, Received
from jaxkd.evals.judges.pairwise import Judge, Question, Verdict
from jaxkd.typing import Split

NO_FLAW = "There is no flaw."
"""Critique of a function without a flaw."""

CRITIQUES: Mapping[Flaw, str] = {
    "syntax": "The signature and the body do not parse as one Python function.",
    "repeated": "A statement stands twice in a row.",
    "unreachable": "A statement follows a return, raise, continue or break in its own block and never runs.",
    "unused": "A parameter or a variable is never read.",
    "same_operands": "An expression has two equal operands, or a name is assigned to itself.",
    "no_return": "The docstring promises a value, and the function returns none.",
    "read_early": "A variable is read before it is assigned.",
}
"""Sentence by which the critic names each kind of flaw."""


def last_answer_flaws(messages: Messages) -> tuple[Flaw, ...]:
    r"""Return the kinds of flaws of a conversation's last answer, a body of the function that its first turn asks for.

    Args:
        messages: conversation, as (role, text) pairs, whatever follows the answer.

    Raises:
        ValueError: a conversation that does not ask for a function as `StandardLibrary` does, or without an answer.

    Source: inferred.  Deviation: none.

    Example:
        >>> asked = ("user", "Complete this Python function:\n\ndef one():\n    \"\"\"Return 1.\"\"\"")
        >>> last_answer_flaws((asked, ("assistant", "    pass"), ("user", "Is it good?")))
        ('no_return',)
    """
    prompt = next((text for role, text in messages if role == "user"), "")
    answers = [text for role, text in messages if role == "assistant"]
    if not answers:
        raise ValueError(
            f"a conversation must have an answer to criticise, got the roles {', '.join(role for role, _ in messages)}."
            " Generate it first."
        )
    return _flaws(prompt, answers[-1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodeCritic(Chat):
    """Program that names the flaws of the last answer by `last_answer_flaws`.

    It looks for all kinds of flaws, whichever of them the request is about.
    """

    def __call__(
        self,
        conversations: Sequence[Messages],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        received: Received | None = None,
    ) -> list[str]:
        """Name the flaws of each conversation's last answer, one sentence each, or `NO_FLAW`.

        Raises:
            ValueError: a conversation that does not ask for a function, or without an answer.
        """
        del max_new_tokens, temperature
        critiques = [_critique(messages) for messages in conversations]
        if received is not None:
            for index, critique in enumerate(critiques):
                received(index, critique)
        return critiques

    def provenance(self) -> str:
        return "program that finds flaws of functions"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flawless(Source):
    """Conversations of a source whose response is a function without a flaw, by `last_answer_flaws`.

    A revision may be worse than the answer that it revises, and whoever can tell need not learn it.

    Example:
        >>> from jaxkd.data import Jsonl
        >>> approved = Flawless(source=Jsonl(train="stage:clean"))
    """

    source: Source
    """Source of the conversations."""

    def examples(self, split: Split) -> list[Example]:
        """Return the conversations of a split, in the source's order.

        Raises:
            ValueError: a conversation that does not ask for a function, or none without a flaw.
        """
        found = self.source.examples(split)
        kept = [one for one in found if not last_answer_flaws((*one.messages, ("assistant", one.response)))]
        if not kept:
            raise ValueError(
                f"one function at least must have no flaw, got none of {len(found)} in the {split} split. Write more "
                "of them, or learn them as they are."
            )
        return kept


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodeJudge(Judge):
    """Program by which the function with fewer kinds of flaws is the better one, whichever principle is asked about."""

    def __call__(self, questions: Sequence[Question]) -> list[Verdict]:
        """Compare the functions.

        Raises:
            ValueError: a prompt that does not ask for a function.
        """
        return [_verdict(question) for question in questions]


def _verdict(question: Question) -> Verdict:
    first, second = (len(_flaws(question.prompt, body)) for body in (question.first, question.second))
    return "tie" if first == second else "first" if first < second else "second"


def _critique(messages: Messages) -> str:
    return " ".join(CRITIQUES[flaw] for flaw in last_answer_flaws(messages)) or NO_FLAW


def _flaws(prompt: str, body: str) -> tuple[Flaw, ...]:
    _, asked, head = prompt.partition(INSTRUCTION)
    if not asked:
        raise ValueError(
            f"a prompt must ask for a function as StandardLibrary does, with {INSTRUCTION.strip()!r}, got "
            f"{prompt[:60]!r}."
        )
    return flaws(f"{head}\n{body}")
