"""A step of DSKD's three terms between two vocabularies, forward and backward from hidden states."""

import dataclasses

import jax
import jax.numpy as jnp

from benchmarks.losses.loss_step import Implementation, records
from jaxkd.kernels import TokenChunk, linear_cross_entropy, linear_divergence
from jaxkd.losses import ForwardKL
from jaxkd.records import Hiddens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """Size of the loss: equally many targets on both sides, which cross-model attention has aligned."""

    tokens: int
    vocabulary: int
    width: int
    """Width of the student's hidden states."""
    teacher_vocabulary: int
    teacher_width: int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class States:
    """Projected hidden states, and those that they are compared with."""

    student: Hiddens
    t2s: jax.Array
    """Teacher's hidden states at the student's targets, of the student's width."""
    teacher: Hiddens
    s2t: jax.Array
    """Student's hidden states at the teacher's targets, of the teacher's width."""
    labels: jax.Array


def step(
    implementation: Implementation | TokenChunk, *, frozen: Implementation | TokenChunk | None = None
) -> jax.stages.Wrapped:
    """Return the step of t2s_ce + t2s_kd + s2t_kd, the second where the first predicts the label, and its gradient.

    Args:
        implementation: implementation of the term whose head is trained.
        frozen: implementation of the two terms whose head is frozen; None: the same.
    """
    frozen = implementation if frozen is None else frozen

    def total(states: States) -> jax.Array:
        stopped = jax.lax.stop_gradient
        weights = jnp.full(states.labels.shape, 1 / states.labels.size, jnp.float32)
        student, teacher = states.student, stopped(states.teacher)
        t2s = Hiddens(values=states.t2s, head=stopped(student.head))
        t2s_ce = linear_cross_entropy(t2s, states.labels, weights=weights, implementation=frozen)
        correct = weights * (t2s_ce.argmax == states.labels)
        t2s_kd = linear_divergence(
            student, stopped(t2s), weights=correct, divergence=ForwardKL(temperature=2.0), implementation=implementation
        )
        s2t = Hiddens(values=states.s2t, head=teacher.head)
        s2t_kd = linear_divergence(
            s2t, teacher, weights=weights, divergence=ForwardKL(temperature=2.0), implementation=frozen
        )
        return t2s_ce.total + t2s_kd.total + s2t_kd.total

    def value_and_gradient(states: States) -> tuple[jax.Array, tuple[Hiddens, jax.Array, jax.Array]]:
        def of_differentiated(student: Hiddens, t2s: jax.Array, s2t: jax.Array) -> jax.Array:
            return total(dataclasses.replace(states, student=student, t2s=t2s, s2t=s2t))

        return jax.value_and_grad(of_differentiated, (0, 1, 2))(states.student, states.t2s, states.s2t)

    return jax.jit(value_and_gradient)


def abstract(shape: Shape) -> States:
    """Return the arguments as float32 shapes, for a step that is compiled but not run."""

    def array(*size: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(size, jnp.float32)

    return States(
        student=records(array(shape.tokens, shape.width), array(shape.vocabulary, shape.width)),
        t2s=array(shape.tokens, shape.width),
        teacher=records(array(shape.tokens, shape.teacher_width), array(shape.teacher_vocabulary, shape.teacher_width)),
        s2t=array(shape.tokens, shape.teacher_width),
        labels=jax.ShapeDtypeStruct((shape.tokens,), jnp.int32),
    )
