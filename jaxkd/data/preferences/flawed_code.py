"""Preference pairs with a verifiable label: the body of a real function, and the same body with one flaw."""

import dataclasses
import functools
import hashlib
import logging
from typing import get_args

from jaxkd.data.preferences.code_flaws import Flaw, flaws
from jaxkd.data.preferences.code_mutations import mutations
from jaxkd.data.preferences.examples import Preference, PreferenceSource
from jaxkd.data.text.standard_library import StandardLibrary, signature
from jaxkd.typing import Split

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlawedCode(PreferenceSource):
    """Documented functions of the standard library, with one pair for each kind of flaw that fits a function.

    `code_flaws.flaws` finds the flaw of each rejected body, none in the chosen ones, and works on generated code, too.
    Functions that already have a flaw and repeated bodies are left out.
    """

    source: StandardLibrary
    """Functions whose own bodies are the chosen answers."""
    kinds: tuple[Flaw, ...] = get_args(Flaw)
    """Kinds of flaws of the rejected answers.  Default: all."""
    held_out: tuple[Flaw, ...] = ()
    """Kinds that only the test split has, to test generalisation to unseen flaws."""

    def __post_init__(self) -> None:
        if not self.kinds or not set(self.kinds) <= set(get_args(Flaw)):
            raise ValueError(f"kinds must be some of {', '.join(get_args(Flaw))}, got {self.kinds}.")
        if not set(self.held_out) < set(self.kinds):
            raise ValueError(f"held_out must be some of kinds {self.kinds}, not all, got {self.held_out}.")

    def pairs(self, split: Split) -> list[Preference]:
        return list(_pairs(self, split))


@functools.lru_cache(maxsize=8)
def _pairs(code: FlawedCode, split: Split) -> tuple[Preference, ...]:
    """Build pairs once per process: the stages of a study read them many times."""
    examples = code.source.examples(split)
    # Keeps the first of equal bodies.
    distinct = {example.response: example for example in reversed(examples)}
    kinds: list[Flaw] = [kind for kind in code.kinds if split == "test" or kind not in code.held_out]
    pairs, clean = [], 0
    for example in reversed(distinct.values()):
        head = signature(example)
        if flaws(f"{head}\n{example.response}"):
            continue
        clean += 1
        for kind in kinds:
            key = f"{example.key}!{kind}"
            body = next(mutations(head, example.response, kind, order=functools.partial(_draw, key)), None)
            if body is not None:
                pairs.append(
                    Preference(
                        key=key,
                        group=example.group,
                        messages=example.messages,
                        chosen=example.response,
                        rejected=body,
                    )
                )
    _log.info("%s: %d pairs of %d functions, of which %d have no flaw", split, len(pairs), len(examples), clean)
    return tuple(pairs)


def _draw(key: str, text: str) -> str:
    return hashlib.sha256(f"{key}\0{text}".encode()).hexdigest()
