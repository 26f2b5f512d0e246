"""Ideal projectors of DSKDv2 among the variables: t2s starts ideal and is trained, s2t is updated with the head."""

import logging
from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxkd import projector, sharding
from jaxkd.distillation import student_params
from jaxkd.projector.ideal import Matrix
from jaxkd.records import Head, Variables
from jaxkd.typing import Params

_log = logging.getLogger(__name__)

SharedRows: TypeAlias = int | tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]
"""Rows of the same tokens in both heads: the number of leading rows, or the ids in the student's and the teacher's
head."""

HeadFit: TypeAlias = Literal["plain", "centred"]
"""Least-squares target of the projectors: the logits, or the logits minus their mean at each position.

A softmax ignores that mean, and it dominates a fit of the logits if the rows of a head have much in common."""

_AXES = {"gram_inverse": (None, None), "teacher_mean": (None,)}


def require_fit(head_fit: HeadFit) -> None:
    """Reject an unknown fit.

    Raises:
        ValueError: an unknown choice.
    """
    if head_fit not in get_args(HeadFit):
        raise ValueError(f"head_fit must be one of {', '.join(get_args(HeadFit))}, got {head_fit!r}.")


def abstract(variables: Variables, *, student_width: int, teacher_width: int, head_fit: HeadFit) -> Variables:
    """Return the shapes of the result of `initial`: the variables with the t2s projector and the factors of s2t."""
    t2s = {"weight": jax.ShapeDtypeStruct((teacher_width, student_width), jnp.float32)}
    parts = {"gram_inverse": jax.ShapeDtypeStruct((teacher_width, teacher_width), jnp.float32)}
    if head_fit == "centred":
        parts["teacher_mean"] = jax.ShapeDtypeStruct((teacher_width,), jnp.float32)
    state = variables.state | sharding.with_shardings(parts, _axes(parts))
    return student_params.with_projectors(variables, {"t2s": t2s}).replace(state=state)


def initial(
    variables: Variables, student: Head, teacher: Head, rows: SharedRows, *, rtol: float, head_fit: HeadFit
) -> Variables:
    """Add P_t2s to `params["projectors"]`, and the factors of P_s2t to `state`.

    Pseudo-inverses are computed in float64 on the host and stored as float32.  The Gram inverse is state, not frozen:
    frozen arrays are cast to the compute dtype, and an inverse must not be.

    Args:
        variables: variables of a recipe, with the student and the teacher.
        student: head of the student at step 0.
        teacher: head of the teacher.
        rows: rows of the shared tokens.
        rtol: as in `projector.ideal_init`.
        head_fit: target of the fit.
    """
    student_rows, teacher_rows = _shared(student, teacher, rows)
    if len(student_rows) < max(student_rows.shape[1], teacher_rows.shape[1]):
        _log.warning(
            "%d shared tokens do not determine projectors between widths of %d and %d: they start as those of least "
            "norm",
            *(len(student_rows), teacher_rows.shape[1], student_rows.shape[1]),
        )
    parts = {}
    if head_fit == "centred":
        parts["teacher_mean"] = teacher_rows.mean(axis=0, dtype=np.float64)
        student_rows, teacher_rows = projector.centred(student_rows), projector.centred(teacher_rows)
    t2s = projector.ideal_init(teacher_rows, student_rows, rtol=rtol)
    parts["gram_inverse"] = projector.gram_inverse(teacher_rows, rtol=rtol)
    _log.info("ideal projectors: %s", _kept(t2s, np.asarray(teacher_rows), np.asarray(student_rows)))
    t2s, parts = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), (t2s, parts))
    state = variables.state | sharding.shard(parts, _axes(parts))
    return student_params.with_projectors(variables, {"t2s": t2s}).replace(state=state)


def fits(student: Head, teacher: Head, rows: SharedRows) -> dict[str, Params]:
    """Return the least-squares fits of P_t2s and P_s2t, without biases, to start from.

    Args:
        student: head of the student at step 0.
        teacher: head of the teacher.
        rows: rows of the shared tokens.
    """
    student_rows, teacher_rows = _shared(student, teacher, rows)
    found = {
        "t2s": projector.ideal_init(teacher_rows, student_rows),
        "s2t": projector.ideal_init(student_rows, teacher_rows),
    }
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), found)


def _shared(student: Head, teacher: Head, rows: SharedRows) -> tuple[Matrix, Matrix]:
    """Return the rows of the shared tokens of both heads, on the host."""
    ours, theirs = (rows, rows) if isinstance(rows, int) else rows
    return (
        projector.token_rows(sharding.on_host(student.weight), ours),
        projector.token_rows(sharding.on_host(teacher.weight), theirs),
    )


def _kept(t2s: Params, teacher: Float[np.ndarray, "v d"], student: Float[np.ndarray, "v d"]) -> str:
    """Describe the variance of the teacher's logits that is lost, and the projector's distance from the identity."""
    lost = f"the student's head loses {100 * projector.lost_share(t2s, teacher, student):.2f} % of the variance of "
    weight = t2s["weight"]
    if weight.shape[0] != weight.shape[1]:
        return f"{lost}the teacher's logits"
    distance = np.linalg.norm(weight - np.eye(len(weight)))
    return f"{lost}the teacher's logits; |P_t2s - 1| = {distance:.2g} in the Frobenius norm"


def updated(
    variables: Variables,
    student: Head,
    teacher: Head,
    rows: int | tuple[Int[Array, " n"], Int[Array, " n"]],
    *,
    head_fit: HeadFit,
) -> Params:
    """Return `{"s2t": P_s2t}` for the current student head, gradient-stopped, for `Recipe.prepare`.

    Args:
        variables: from `initial`.
        student: head of the student.
        teacher: head of the teacher.
        rows: rows of the shared tokens; ids may be padded with pairs of -1.
        head_fit: as in `initial`.
    """
    inverse = variables.state["gram_inverse"]
    if isinstance(rows, int):
        ours, theirs = (projector.token_rows(head.weight, rows) for head in (student, teacher))
        s2t = projector.ideal_step(ours, theirs, inverse)
    else:
        s2t = projector.ideal_step(student.weight, teacher.weight, inverse, rows=rows)
    if head_fit == "centred":
        # The product of centred heads is that of the heads minus n times that of their means, which copies no head.
        count, mean = _mean_row(jax.lax.stop_gradient(student.weight), rows if isinstance(rows, int) else rows[0])
        common = count * jnp.matmul(variables.state["teacher_mean"], inverse, precision=jax.lax.Precision.HIGHEST)
        s2t = {"weight": s2t["weight"] - mean[:, None] * common[None, :]}
    return {"s2t": s2t}


def _mean_row(
    head: Float[Array, "v d"], rows: int | Int[Array, " n"]
) -> tuple[int | Int[Array, ""], Float[Array, " d"]]:
    """Return the number of shared rows, and their mean."""
    size = head.shape[0]
    if isinstance(rows, int):
        count, shared = rows, jnp.arange(size) < rows
    else:
        # -1 would index the last row.
        count, shared = jnp.sum(rows >= 0), jnp.zeros(size, bool).at[jnp.where(rows < 0, size, rows)].set(True)
    precise = jnp.promote_types(jnp.float32, head.dtype)
    weights = shared.astype(head.dtype)
    total = jnp.einsum("v,vd->d", weights, head, precision=jax.lax.Precision.HIGHEST, preferred_element_type=precise)
    return count, total / count


def _axes(parts: Params) -> Params:
    return {name: _AXES[name] for name in parts}
