"""Small studies as a report sees them: of language, and of dynamics."""

import dataclasses

import numpy as np

from jaxkd.evals import BITS_PER_BYTE
from jaxkd.evals.bootstrap import Interval
from jaxkd.evals.comparison import Comparison
from jaxkd.evals.language.shared_end import SharedEnd
from jaxkd.evals.start_comparison import Finding, MeasureComparison, StartComparison, StartDifference
from jaxkd.report import StageReport
from jaxkd.training.evaluator import Column, Measure
from jaxkd.training.recipe import Count, Curve
from jaxkd.training.results.evaluation import Sample
from jaxkd.training.results.forecast import Forecast
from jaxkd.training.results.picture import Overlay, Picture

CURVES = (
    Curve(metric="cross_entropy", title="Cross entropy", unit="nats a token"),
    Curve(metric="divergence", title="Divergence from the teacher", unit="nats a token"),
    Curve(metric="t2s_divergence", title="Divergence in the student's space", unit="nats a token"),
)
"""Names that methods of language give their metrics."""

TOKENS = Count(name="targets", word="tokens", column="answer tokens\ntrained on")

AGREEMENT = (
    Column(metric="reference_kl/agreement", name="agreement"),
    Column(metric="reference_kl/kl", name="KL to teacher"),
)
"""Columns of an evaluator that is not the headline's."""

DOT_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
"""A black pixel."""

BETTER = Comparison(
    first="distilled",
    second="SFT",
    interval=Interval(estimate=-0.06, low=-0.08, high=-0.04, confidence=0.95, positive=0.0),
    headline=BITS_PER_BYTE,
)
UNCLEAR = Comparison(
    first="distilled",
    second="teacher",
    interval=Interval(estimate=0.01, low=-0.02, high=0.03, confidence=0.95, positive=0.7),
    headline=BITS_PER_BYTE,
)

END = SharedEnd(words=("have", "a", "great", "day", "!", ":", ")"), text="Have a great day! :)", share=0.62)
"""An end that answers share."""


def interval(estimate: float, low: float, high: float) -> Interval:
    return Interval(estimate=estimate, low=low, high=high, confidence=0.95, positive=0.5)


def difference(
    label: str, value: float | None, ends: tuple[float, float, float] | None = None, *, found: bool = False
) -> StartDifference:
    """A model's value, and the difference to its start with its interval."""
    return StartDifference(
        label=label,
        value=value,
        difference=None if ends is None else ends[0],
        interval=None if ends is None else interval(*ends),
        better="lower",
        found=found,
    )


def measured(name: str, start: float | None, *models: StartDifference, unit: str = "%") -> MeasureComparison:
    """A measure of a hundred examples."""
    return MeasureComparison(
        measure=Measure(metric=name, name=name, better="lower", unit=unit),
        name=name,
        evaluator="open",
        examples=100,
        start=start,
        models=models,
    )


AGAINST = StartComparison(
    start="untouched",
    measures=(
        measured(
            "attack success",
            0.912,
            difference("SFT", 0.125, (-0.787, -0.84, -0.712)),
            difference("distilled", 0.943, (0.031, -0.004, 0.066)),
        ),
        measured("KL", 0.0, difference("SFT", 12.25, (12.25, 10.1, 14.5)), difference("distilled", None), unit="nats"),
        measured(
            "one end",
            0.01,
            dataclasses.replace(difference("SFT", 0.62, found=True), difference=0.61),
            dataclasses.replace(difference("distilled", 0.01), difference=0.0),
        ),
        dataclasses.replace(
            measured("over-refusal", None, difference("SFT", None), difference("distilled", None)),
            evaluator=None,
            examples=0,
        ),
    ),
    findings=(Finding(label="SFT", evaluator="open", metric="one end", text="62.0% have one end", seeds=(0, 1)),),
    searched=("SFT", "distilled"),
)
"""The models of `study` beside the untouched one."""


def samples(text: str) -> tuple[Sample, ...]:
    return (Sample(prompt="def f(x):", reference="    return x", text=text),)


def history(level: float, *, steps: int = 4, divergence: bool = False) -> list[dict[str, float]]:
    rows = []
    for step in range(1, steps + 1):
        row = {"step": step, "train/cross_entropy": level + 8 / step, "learning_rate": 1e-3, "count/targets": 100}
        rows.append(row | {"seconds": 0.5} | ({"train/divergence": 1 / step} if divergence else {}))
        if step % 2 == 0:
            rows.append({"step": step, "validation/bits_per_byte": level / 2 + 1 / step})
    return rows


def study(*, steps: int = 4) -> list[StageReport]:
    """A teacher, an untouched student, and two trainings of two seeds."""
    stages = [
        StageReport(name="t", label="teacher", metrics={"bits_per_byte": 0.85}, samples=samples("    return x")),
        StageReport(
            name="u", label="untouched", metrics={"bits_per_byte": 5.2}, samples=samples("the the"), provenance="cut"
        ),
    ]
    for name, label, level in (("sft", "SFT", 1.14), ("kd", "distilled", 1.08)):
        stages += [
            StageReport(
                name=name,
                label=label,
                metrics={"bits_per_byte": level + 0.01 * seed, "nats_per_token": 2.5},
                history=history(level, steps=steps, divergence=name == "kd"),
                samples=samples(f"    return {label}"),
                curves=CURVES,
                counted=TOKENS,
                columns=(Column(metric="nats_per_token", name="nats per token", on_terminal=False),),
                provenance="layers 0 3 6",
                seed=seed,
            )
            for seed in (0, 1)
        ]
    return stages


def forecast(
    key: str = "spring", *, names: tuple[str, ...] = ("x", "y"), samples: int = 30, length: int | None = None
) -> Forecast:
    """A forecast of oscillations; cut short where there is a length."""
    times = np.linspace(0, 10, samples)
    states = np.sin(times[:, None] + np.arange(len(names)))
    rows = tuple(map(tuple, states.tolist()))
    return Forecast(key=key, names=names, times=tuple(times.tolist()), measured=rows, forecast=rows[:length])


def wave(samples: int = 11, *, length: int | None = None, quantities: tuple[str, ...] = ("s",)) -> Forecast:
    """One that travels, at eight places; cut short where there is a length."""
    times, places = np.linspace(0, 1, samples), np.arange(8) / 8
    states = np.sin(2 * np.pi * (places[None] - times[:, None]))
    rows = tuple(map(tuple, np.tile(states, len(quantities)).tolist()))
    return Forecast(
        key="wave",
        names=tuple(f"{name}_{place}" for name in quantities for place in range(8)),
        times=tuple(times.tolist()),
        measured=rows,
        forecast=rows[:length],
        places=tuple(places.tolist()),
    )


def dynamics() -> list[StageReport]:
    """Equations, and a network of two seeds."""
    stages = [StageReport(name="e", label="equations", metrics={"rollout_error": 0.3}, forecasts=(forecast(),))]
    for seed in (0, 1):
        rows = [
            {"step": step, "train/slope_error": 0.5 / step, "train/segment_error": 0.2 / step, "seconds": 0.5}
            for step in range(1, 5)
        ]
        stages.append(
            StageReport(
                name="s",
                label="student",
                metrics={"rollout_error": 0.041 + 0.001 * seed, "field_error/field_error": 0.021},
                history=[*rows, *({"step": step, "validation/rollout_error": 0.2 / step} for step in (2, 4))],
                forecasts=(forecast(), forecast("pendulum", length=20)),
                curves=(
                    Curve(
                        metric="slope_error",
                        title="Error of the rates of change",
                        unit="share of their standard deviation",
                    ),
                    Curve(
                        metric="segment_error", title="Error of short forecasts", unit="share of the standard deviation"
                    ),
                ),
                columns=(Column(metric="field_error/field_error", name="error of the field"),),
                seed=seed,
            )
        )
    return stages


def picture(key: str = "lesion 7", *, group: str = "", note: str = "", found: Overlay | None = None) -> Picture:
    """A triangle that a model has found in part."""
    triangle = Overlay(outlines=(((1.0, 1.0), (9.0, 1.0), (1.0, 7.5)),))
    return Picture(
        key=key, group=group, width=10, height=8, png=DOT_PNG, truth=triangle, found=found or Overlay(), note=note
    )
