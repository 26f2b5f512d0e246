"""Initial values and updates of the ideal projectors, against least squares in float64."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd import projector
from jaxkd.distillation import ideal_projectors
from jaxkd.records import Head, Variables

FITS = pytest.mark.parametrize("head_fit", ["plain", "centred"])
SHARED = np.array([7, 0, 3, 11, 20, 5, 9, 14, 2, 30, 17, 28]), np.array([1, 4, 0, 9, 12, 33, 21, 3, 16, 8, 25, 2])
ROWS = pytest.mark.parametrize("rows", [24, SHARED], ids=["leading", "by id"])
RTOL = 1e-3


def heads(offset=2.0, student=4, teacher=6):
    """Rows with much in common, in float32."""
    rng = np.random.default_rng(0)
    shapes = ((31, student), (34, teacher))
    weights = [rng.normal(size=shape) + offset * rng.normal(size=shape[1]) for shape in shapes]
    return tuple(Head(weight=jnp.asarray(weight, jnp.float32), vocab_size=len(weight)) for weight in weights)


def of_the_shared(both, rows):
    ours, theirs = (rows, rows) if isinstance(rows, int) else rows
    return [
        projector.token_rows(np.asarray(head.weight, np.float64), ids)
        for head, ids in zip(both, (ours, theirs), strict=True)
    ]


def fitted(source, target):
    """The map that keeps logits in the sense of least squares: of `source.T` in the columns of `target.T`."""
    return np.linalg.lstsq(target, source, rcond=RTOL)[0].T


def projectors(both, rows, head_fit):
    variables = Variables(params={"student": {}}, state={}, frozen={}, step=jnp.array(0))
    variables = ideal_projectors.initial(variables, *both, rows, rtol=RTOL, head_fit=head_fit)
    return variables, ideal_projectors.updated(variables, *both, padded(rows), head_fit=head_fit)["s2t"]["weight"]


def padded(rows):
    """As a step has them: ids in room for more."""
    return rows if isinstance(rows, int) else tuple(jnp.pad(ids, (0, 5), constant_values=-1) for ids in rows)


@FITS
@ROWS
def test_both_are_the_least_squares_fit(head_fit, rows):
    both = heads()
    variables, s2t = projectors(both, rows, head_fit)
    student, teacher = of_the_shared(both, rows)
    if head_fit == "centred":
        student, teacher = student - student.mean(0), teacher - teacher.mean(0)
    np.testing.assert_allclose(
        variables.params["projectors"]["t2s"]["weight"], fitted(teacher, student), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(s2t, fitted(student, teacher), rtol=1e-4, atol=1e-5)


@FITS
@ROWS
def test_the_second_follows_the_student_s_head(head_fit, rows):
    both = heads()
    variables, _ = projectors(both, rows, head_fit)
    moved = Head(weight=jnp.sin(both[0].weight), vocab_size=31)
    follow = jax.jit(
        lambda weight: ideal_projectors.updated(
            variables, Head(weight=weight, vocab_size=31), both[1], padded(rows), head_fit=head_fit
        )["s2t"]["weight"]
    )
    _, expected = projectors((moved, both[1]), rows, head_fit)
    np.testing.assert_allclose(follow(moved.weight), expected, rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda weight: jnp.sum(follow(weight) ** 2))(moved.weight)
    assert bool((gradient == 0).all())


def in_softmax(logits):
    """Logits as a softmax sees them: up to a constant at each position."""
    return logits - logits.mean(-1, keepdims=True)


@ROWS
def test_the_centred_fit_is_nearer_to_what_a_softmax_sees(rows):
    """By construction over all hidden states; the further the rows from 0, the more."""
    hiddens = np.random.default_rng(1).normal(size=(500, 6))
    gains = []
    for offset in (0.0, 2.0, 5.0):
        student, teacher = of_the_shared(heads(offset), rows)
        residuals = {}
        for head_fit in ("plain", "centred"):
            weight = projectors(heads(offset), rows, head_fit)[0].params["projectors"]["t2s"]["weight"]
            projected = hiddens @ np.asarray(weight, np.float64) @ student.T
            residuals[head_fit] = np.square(in_softmax(projected) - in_softmax(hiddens @ teacher.T)).sum()
        gains.append(1 - residuals["centred"] / residuals["plain"])
    assert gains[0] > 0
    assert min(gains[1:]) > gains[0]
    assert gains[-1] > 0.05


@ROWS
def test_the_centred_fit_does_not_depend_on_what_all_rows_have_in_common(rows):
    both = heads()
    shifted = tuple(
        Head(weight=head.weight + by, vocab_size=head.vocab_size) for head, by in zip(both, (3, -1), strict=True)
    )
    (one, s2t), (other, shifted_s2t) = (projectors(pair, rows, "centred") for pair in (both, shifted))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        (one.params["projectors"], s2t),
        (other.params["projectors"], shifted_s2t),
    )


def test_too_few_shared_tokens_are_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        projectors(heads(), 6, "plain")
        assert not caplog.records
        variables, s2t = projectors(heads(), 5, "plain")
    assert "5 shared tokens do not determine projectors between widths of 6 and 4" in caplog.text
    assert bool(jnp.isfinite(s2t).all() & jnp.isfinite(variables.params["projectors"]["t2s"]["weight"]).all())


def test_an_unknown_fit_is_refused():
    with pytest.raises(ValueError, match=r"head_fit must be one of plain, centred, got 'mean'\."):
        ideal_projectors.require_fit("mean")


def test_what_the_student_cannot_say_is_logged(caplog):
    with caplog.at_level(logging.INFO, logger="jaxkd"):
        projectors(heads(student=6), 24, "plain")
        projectors(heads(), 24, "plain")
    same_width, narrower = [record.message for record in caplog.records if "ideal projectors" in record.message]
    assert "% of the variance of the teacher's logits; |P_t2s - 1| =" in same_width
    assert narrower.endswith("% of the variance of the teacher's logits")


def test_a_head_onto_itself_loses_nothing(caplog):
    _, teacher = heads()
    with caplog.at_level(logging.INFO, logger="jaxkd"):
        projectors((teacher, teacher), 24, "plain")
    assert "loses 0.00 % of the variance of the teacher's logits; |P_t2s - 1| =" in caplog.text
