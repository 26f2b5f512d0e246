"""Speed of the losses, forward and backward from hidden states and heads, on one core: against TRL, and each other.

TRL's side is `generalized_jsd_loss` on full logits.  Each side is a separate process on the same core; they take turns,
and only the active one has logits in memory.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.losses.loss_inputs import Shape
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.side_by_side import Ask, sides
from benchmarks.timing import interleaved

REPEATS = 5
VOCABULARY = 151_936
SMALL = {"vocabulary": VOCABULARY, "width": 256, "teacher_width": 512}
LARGE = {"vocabulary": VOCABULARY, "width": 896, "teacher_width": 3584}

AGREEMENT = 1e-4
"""Largest relative difference in the loss and in the norms of its gradients: torch's float32 `log_softmax` is off by
some 5e-6 at this vocabulary, which makes up to 4e-5 of a forward KL."""

TRL = "TRL"
AUTO, REFERENCE, AGAIN = "auto", "reference", "reference again"
CHUNK, TILE = "token_chunk of 256", "vocab_tile"

WAYS: Mapping[str, dict[str, str | int]] = {
    AUTO: {"implementation": "auto"},
    REFERENCE: {"implementation": "reference"},
    AGAIN: {"implementation": "reference"},
    CHUNK: {"implementation": "token_chunk", "chunk": 256},
    TILE: {"implementation": "vocab_tile"},
}
"""Requests to the library's side, by their name in a row."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ratio:
    """Ratio of two times of one round."""

    name: str
    against: str
    """Name of the time in the denominator."""
    bar: Bar | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """Measurements that take turns."""

    divergence: str
    shape: Shape
    ratios: tuple[Ratio, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the times that the ratios need."""
        return tuple(dict.fromkeys(name for ratio in self.ratios for name in (ratio.name, ratio.against)))

    @property
    def label(self) -> str:
        """Name of the group in rows."""
        return f"{self.divergence}, {self.shape.tokens} tokens, widths {self.shape.width}/{self.shape.teacher_width}"


def groups(quick: bool) -> tuple[Group, ...]:
    """Return the groups; quick: 256 tokens at the small widths, without the noise of a time against itself."""
    times_trl = {"forward KL": 1.2, "Jensen-Shannon": 2.0}
    small = tuple(
        Group(
            divergence=divergence,
            shape=Shape(tokens=tokens, **SMALL),
            ratios=(
                Ratio(name=TRL, against=AUTO, bar=Bar(relation=">=", limit=limit)),
                Ratio(name=CHUNK, against=REFERENCE, bar=Bar(relation="<=", limit=1.25)),
                Ratio(name=TILE, against=REFERENCE, bar=Bar(relation="<=", limit=1.5)),
            ),
        )
        for tokens in ((256,) if quick else (256, 1024))
        for divergence, limit in times_trl.items()
    )
    if quick:
        return small
    # 1.2 times the ratio of the floating-point operations: 1.71 for the KL, 2.43 where a third sweep is needed.
    large = tuple(
        Group(
            divergence=divergence,
            shape=Shape(tokens=256, **LARGE),
            ratios=(Ratio(name=TILE, against=REFERENCE, bar=Bar(relation="<=", limit=limit)),),
        )
        for divergence, limit in (("forward KL", 2.06), ("Jensen-Shannon", 2.91))
    )
    noise = Ratio(name=AGAIN, against=REFERENCE)
    first, *others = small
    return (dataclasses.replace(first, ratios=(*first.ratios, noise)), *others, *large)


def measure(quick: bool) -> Measured:
    """Measure seconds and ratios, medians of five rounds.

    Raises:
        ChildProcessError: TRL cannot be installed, or a side failed.
        ValueError: the sides disagree on the results.
    """
    with sides("trl", ours="benchmarks.losses.speed_worker", theirs="benchmarks.peers.trl.driver") as both:
        rows = [row for group in groups(quick) for row in _rows(group, _times(group, both.ours, both.theirs))]
    return Measured(rows=tuple(rows), environment=both.environment)


BENCHMARK = Benchmark(
    name="losses_speed",
    summary="seconds of the losses on one core, against TRL on full logits and against each other",
    measure=measure,
)


def _times(group: Group, ours: Ask, theirs: Ask) -> dict[str, list[float]]:
    """Return the seconds by name, after checking that both sides compute the same."""
    common = {"divergence": group.divergence, "shape": dataclasses.asdict(group.shape)}
    asked = {
        name: functools.partial(theirs, **common) if name == TRL else functools.partial(ours, **common, **WAYS[name])
        for name in group.names
    }
    require_agreement(group.label, {name: ask()["result"] for name, ask in asked.items()})
    measurements = {name: functools.partial(_seconds, ask) for name, ask in asked.items()}
    return interleaved(measurements, repeats=REPEATS)


def _seconds(ask: Ask) -> float:
    return ask()["seconds"]


def require_agreement(label: str, results: Mapping[str, Sequence[float]]) -> None:
    """Check that all compute the same loss and the same norm of each gradient before they are timed.

    Raises:
        ValueError: a difference exceeds `AGREEMENT`.
    """
    (first, expected), *others = results.items()
    for name, result in others:
        difference = float(np.max(np.abs(np.array(result) / np.array(expected) - 1)))
        if not difference <= AGREEMENT:
            raise ValueError(
                f"{first} and {name} must agree on the loss and the norms of its gradients within {AGREEMENT:g} "
                f"before they are timed, got {list(expected)} and {list(result)} for {label}."
            )


def _rows(group: Group, seconds: Mapping[str, Sequence[float]]) -> list[Row]:
    """Return the time of each, and the ratios of the times of a round."""
    rows = [Row.median(f"{group.label}: {name}", samples, "s") for name, samples in seconds.items()]
    for ratio in group.ratios:
        rounds = zip(seconds[ratio.name], seconds[ratio.against], strict=True)
        figure = f"{group.label}: {ratio.name} / {ratio.against}"
        rows.append(Row.median(figure, [own / other for own, other in rounds], "x", bar=ratio.bar))
    return rows
