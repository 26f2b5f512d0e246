"""The ideal projectors of DSKDv2 among the variables: t2s is trained from there, s2t follows the student's head."""

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jaxkd import projector, sharding, trainable
from jaxkd.records import Head, Variables
from jaxkd.typing import Params

SharedRows: TypeAlias = int | tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]
"""Rows that stand for the same tokens in both heads: how many leading ones, or the ids in the student's and the
teacher's."""

_GRAM_AXES = {"gram_inverse": (None, None)}


def described(variables: Variables, *, student_width: int, teacher_width: int) -> Variables:
    """What `started` returns, as shapes: the abstract variables with the trained projector and the Gram inverse."""
    t2s = {"weight": jax.ShapeDtypeStruct((teacher_width, student_width), jnp.float32)}
    inverse = {"gram_inverse": jax.ShapeDtypeStruct((teacher_width, teacher_width), jnp.float32)}
    state = variables.state | sharding.described(inverse, _GRAM_AXES)
    return trainable.with_projectors(variables, {"t2s": t2s}).replace(state=state)


def started(variables: Variables, student: Head, teacher: Head, rows: SharedRows, *, rtol: float) -> Variables:
    """The variables with P_t2s in `params["projectors"]`, and what P_s2t is made of in `state`.

    Pseudo-inverses are computed in float64 on the host and kept as float32.  The Gram inverse is state, not frozen:
    what is frozen is cast to the precision of the computation, and an inverse must not be.

    Args:
        variables: of a recipe, with the student and the teacher.
        student: its head, at step 0.
        teacher: its head.
        rows: the shared ones.
        rtol: as in `projector.ideal_init`.
    """
    ours, theirs = (rows, rows) if isinstance(rows, int) else rows
    student_rows = projector.token_rows(sharding.on_host(student.weight), ours)
    teacher_rows = projector.token_rows(sharding.on_host(teacher.weight), theirs)
    t2s = projector.ideal_init(teacher_rows, student_rows, rtol=rtol)
    inverse = {"gram_inverse": projector.gram_inverse(teacher_rows, rtol=rtol)}
    t2s, inverse = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), (t2s, inverse))
    state = variables.state | sharding.place(inverse, _GRAM_AXES)
    return trainable.with_projectors(variables, {"t2s": t2s}).replace(state=state)


def followed(
    variables: Variables, student: Head, teacher: Head, rows: int | tuple[Int[Array, " n"], Int[Array, " n"]]
) -> Params:
    """`{"s2t": P_s2t}` of the student's head as it is now, gradient-stopped: what `Recipe.prepare` returns.

    Args:
        variables: from `started`.
        student: its head.
        teacher: its head.
        rows: the shared ones; ids may end in pairs of -1, which are none.
    """
    inverse = variables.state["gram_inverse"]
    if isinstance(rows, int):
        ours, theirs = (projector.token_rows(head.weight, rows) for head in (student, teacher))
        return {"s2t": projector.ideal_step(ours, theirs, inverse)}
    return {"s2t": projector.ideal_step(student.weight, teacher.weight, inverse, rows=rows)}
