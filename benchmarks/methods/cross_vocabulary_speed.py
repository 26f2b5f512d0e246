"""Speed of ULD between two vocabularies, forward and backward from hidden states, on one core, against TRL.

TRL's side is the `ULDLoss` of GOLD on full logits, as GOLD calls it by default and as the plain sum over positions to
which it reduces here, where every token is its own group.  Each side is a separate process on the same core; they take
turns.  The truncated sort does not compute the exact number, so its error is reported beside its speed.
"""

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.losses.losses_speed import require_agreement
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.side_by_side import Ask, sides
from benchmarks.timing import interleaved

REPEATS = 5
VOCABULARY, TEACHER_VOCABULARY = 151_936, 128_256
WIDTH, TEACHER_WIDTH = 256, 512
TOKENS = (64, 128)
TOP = 8192

GOLD, PLAIN, EXACT, TRUNCATED = "GOLD", "GOLD's plain sum", "all ranks", f"{TOP:,} ranks"
TRL_WAYS = {GOLD: "groups", PLAIN: "plain"}
TIMES_GOLD = Bar(relation=">=", limit=4.0)
"""Bound for the truncated sort.  Other ratios are reported: an exact sort of two vocabularies takes torch as long."""


def measure(quick: bool) -> Measured:
    """Measure seconds and ratios, medians of five rounds, and the truncated sort's error; quick: 64 positions.

    Raises:
        ChildProcessError: TRL cannot be installed, or a side failed.
        ValueError: the exact sides disagree on the results.
    """
    rows = []
    with sides("trl", ours="benchmarks.losses.rank_worker", theirs="benchmarks.peers.trl.rank_driver") as both:
        for tokens in TOKENS[:1] if quick else TOKENS:
            rows += _rows(tokens, both.ours, both.theirs)
    return Measured(rows=tuple(rows), environment=both.environment)


BENCHMARK = Benchmark(
    name="cross_vocabulary_speed",
    summary="seconds of ULD between two vocabularies on one core, against TRL's GOLD on full logits",
    measure=measure,
)


def _rows(tokens: int, ours: Ask, theirs: Ask) -> list[Row]:
    """Return the time of each, the ratios of the times of a round, and the truncated sort's error."""
    common = {"width": WIDTH, "teacher_width": TEACHER_WIDTH, "tokens": tokens}
    shapes = {"student": common | {"vocabulary": VOCABULARY}, "teacher": common | {"vocabulary": TEACHER_VOCABULARY}}
    asked = {
        **{name: functools.partial(theirs, **shapes, way=way) for name, way in TRL_WAYS.items()},
        EXACT: functools.partial(ours, **shapes, top=None),
        TRUNCATED: functools.partial(ours, **shapes, top=TOP),
    }
    label = f"{tokens} positions"
    exact, truncated = asked[EXACT](), asked[TRUNCATED]()
    require_agreement(label, {**{name: asked[name]()["result"] for name in TRL_WAYS}, EXACT: exact["result"]})
    seconds = interleaved({name: functools.partial(_seconds, ask) for name, ask in asked.items()}, repeats=REPEATS)
    return [
        *(Row.median(f"{label}: {name}", samples, "s") for name, samples in seconds.items()),
        _ratio(label, seconds, GOLD, EXACT),
        _ratio(label, seconds, GOLD, TRUNCATED, TIMES_GOLD),
        _ratio(label, seconds, PLAIN, EXACT),
        _ratio(label, seconds, PLAIN, TRUNCATED),
        *_errors(label, exact, truncated),
    ]


def _seconds(ask: Ask) -> float:
    return ask()["seconds"]


def _ratio(label: str, seconds: Mapping[str, Sequence[float]], theirs: str, ours: str, bar: Bar | None = None) -> Row:
    rounds = zip(seconds[theirs], seconds[ours], strict=True)
    return Row.median(f"{label}: {theirs} / {ours}", [one / other for one, other in rounds], "x", bar=bar)


def _errors(label: str, exact: Mapping, truncated: Mapping) -> list[Row]:
    """Return the error of the truncated distances and the bound that they report, as means over positions.

    Raises:
        ValueError: a distance is outside its bound.
    """
    distances, found, bounds = (
        np.array(one) for one in (exact["distances"], truncated["distances"], truncated["bounds"])
    )
    missing = distances - found
    if not ((missing >= -1e-5) & (missing <= bounds + 1e-5)).all():  # 1e-5: the rounding of sums of 151,936 numbers
        raise ValueError(f"exact distances must lie within the bound of the truncated ones, got {missing} of {bounds}.")
    return [
        Row(figure=f"{label}: distance over {EXACT}", value=float(distances.mean()), unit=""),
        Row(figure=f"{label}: missing from it over {TRUNCATED}", value=float(missing.mean()), unit=""),
        Row(figure=f"{label}: what may be missing, as reported", value=float(bounds.mean()), unit=""),
    ]
