"""A small study as a report sees it: a teacher, an untouched student, and two trainings of two seeds."""

from jaxkd.evals.bootstrap import Comparison, Interval
from jaxkd.evals.evaluator import Sample
from jaxkd.report import StageReport

BETTER = Comparison(
    first="distilled", second="SFT", interval=Interval(estimate=-0.06, low=-0.08, high=-0.04, confidence=0.95)
)
UNCLEAR = Comparison(
    first="distilled", second="teacher", interval=Interval(estimate=0.01, low=-0.02, high=0.03, confidence=0.95)
)


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
                provenance="layers 0 3 6",
                seed=seed,
            )
            for seed in (0, 1)
        ]
    return stages
