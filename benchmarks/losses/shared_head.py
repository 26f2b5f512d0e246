"""Why two spaces need one head: hidden vectors of two dimensions, trained towards a teacher's distributions.

The student's vectors and its head are trained by plain gradient descent.  The teacher's distributions are computed from
its vectors once by its own head, and once by the student's, as DSKD does: then the distance falls further, and the
vectors arrange themselves like the teacher's.

Source: Zhang et al., DSKD (arXiv 2406.17328), section 2.2; the setting is that of songmzhang/DSKD@077337a, smaller.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from benchmarks import environment
from benchmarks.row import Bar, Benchmark, Measured, Row
from jaxkd.losses import (
    AdaptiveKL,
    AnyDivergence,
    ForwardKL,
    JensenShannon,
    ReverseKL,
    SkewForwardKL,
    SkewReverseKL,
    TotalVariation,
)

VECTORS, CLASSES, STEPS, RATE = 50, 1000, 300, 1.0
SEEDS = (0, 1, 2)

DIVERGENCES: Mapping[str, AnyDivergence] = {
    "forward KL": ForwardKL(),
    "reverse KL": ReverseKL(),
    "Jensen-Shannon": JensenShannon(),
    "skew forward KL": SkewForwardKL(),
    "skew reverse KL": SkewReverseKL(),
    "adaptive KL": AdaptiveKL(),
    "total variation": TotalVariation(),
}

HeadOf = Literal["teacher", "student"]
"""Model whose head is applied to the teacher's vectors."""

LESS = Bar(relation="<", limit=1.0)
"""Bound on a ratio of shared to different; the paper's two objectives are judged, the others reported."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of one training."""

    first: float
    """Distance before the training, in nats for the KL divergences."""
    last: float
    hiddens: Float[np.ndarray, "n 2"]
    """The student's vectors after the step from the lowest distance."""
    teacher: Float[np.ndarray, "n 2"]

    @property
    def distance(self) -> float:
        """Mean Euclidean distance from the teacher's vectors."""
        return float(np.linalg.norm(self.hiddens - self.teacher, axis=-1).mean())

    @property
    def structure(self) -> float:
        """Mean absolute difference of the matrices of cosine similarities."""
        return float(np.abs(_cosines(self.hiddens) - _cosines(self.teacher)).mean())


def train(divergence: AnyDivergence, head_of: HeadOf, seed: int) -> Outcome:
    """Train vectors and head from the random start of this seed."""
    random = np.random.default_rng(seed)
    student, head, teacher, teacher_head = (
        random.standard_normal((count, 2)).astype(np.float32) for count in (VECTORS, CLASSES, VECTORS, CLASSES)
    )
    student, teacher = student + 3, 2 * teacher
    distances, best = jax.device_get(_descend(divergence, head_of, student, head, teacher, teacher_head))
    return Outcome(first=float(distances[0]), last=float(distances[-1]), hiddens=best, teacher=teacher)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _descend(
    divergence: AnyDivergence,
    head_of: HeadOf,
    student: Float[Array, "n 2"],
    head: Float[Array, "c 2"],
    teacher: Float[Array, "n 2"],
    teacher_head: Float[Array, "c 2"],
) -> tuple[Float[Array, " s"], Float[Array, "n 2"]]:
    """Return the distance before each step, and the vectors after the step from the lowest."""

    def distance(trained: tuple[Array, Array]) -> Array:
        hiddens, head = trained
        read_by = teacher_head if head_of == "teacher" else jax.lax.stop_gradient(head)
        return jnp.mean(divergence(hiddens @ head.T, teacher @ read_by.T))

    def step(carry: tuple, _: None) -> tuple[tuple, Array]:
        trained, lowest, best = carry
        value, gradient = jax.value_and_grad(distance)(trained)
        trained = jax.tree.map(lambda leaf, slope: leaf - RATE * slope, trained, gradient)
        best = jnp.where(value < lowest, trained[0], best)
        return (trained, jnp.minimum(value, lowest), best), value

    start = ((student, head), jnp.inf, student)
    (_, _, best), distances = jax.lax.scan(step, start, length=STEPS)
    return distances, best


def measure(quick: bool) -> Measured:
    """Measure ratios of shared to different, medians over the seeds; quick: only the forward KL."""
    rows = []
    for name, divergence in list(DIVERGENCES.items())[: 1 if quick else None]:
        outcomes = [[train(divergence, head, seed) for head in ("teacher", "student")] for seed in SEEDS]
        for head, column in zip(("different heads", "shared head"), zip(*outcomes, strict=True), strict=True):
            rows.append(Row.median(f"{name}, {head}: distance at the end", [one.last for one in column], ""))
        judged = LESS if name in ("forward KL", "reverse KL") else None
        rows += [
            _ratio(name, "distance at the end", [(a.last, b.last) for a, b in outcomes], judged),
            _ratio(name, "distance of the vectors", [(a.distance, b.distance) for a, b in outcomes], judged),
            _ratio(
                name,
                "difference of the structures",
                [(a.structure, b.structure) for a, b in outcomes],
                LESS if name == "forward KL" else None,
            ),
        ]
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="shared_head",
    summary="vectors of two dimensions trained towards a teacher through two heads and through one",
    measure=measure,
)


def _ratio(name: str, what: str, pairs: list[tuple[float, float]], bar: Bar | None) -> Row:
    return Row.median(f"{name}, shared / different: {what}", [b / a for a, b in pairs], "x", bar=bar)


def _cosines(vectors: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n n"]:
    units = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return units @ units.T
