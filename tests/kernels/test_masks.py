"""A weight of 0 masks a token, in every implementation."""

import numpy as np
import pytest

from jaxkd.losses import ForwardKL
from tests.kernels.cases import (
    assert_all_zero,
    assert_trees_close,
    compiled,
    every_implementation,
    filled,
    pair,
    targets,
    with_values,
)

# A soft-cap of 5 where both sides get a gradient, none where the student does.
HEAD = {"student": {"bias": True}, "both": {"bias": True, "softcap": 5.0}}
every_gradient = pytest.mark.parametrize("gradient_to", HEAD)

KEPT = np.tile(np.arange(5) < 3, (3, 1))
"""The first three of five positions."""


def shortened(hiddens):
    return with_values(hiddens, np.asarray(hiddens.values)[:, :3])


def padded(hiddens):
    return with_values(hiddens, np.pad(hiddens.values, ((0, 0), (0, 2), (0, 0))))


def only(given, where):
    """Weights of 0 elsewhere."""
    return given | {name: np.where(where, given[name], 0) for name in ("weights", "label_weights")}


@every_implementation
@every_gradient
@pytest.mark.parametrize("junk", [1e3, np.nan, np.inf])
def test_what_is_masked_does_not_matter(implementation, gradient_to, junk):
    student, teacher = pair(12, **HEAD[gradient_to])
    given = targets(12)
    masked = np.asarray(given["weights"]) == 0
    assert masked.any()
    given = only(given, ~masked)
    spoilt = [filled(side, masked, junk) for side in (student, teacher)]
    labels = np.asarray(given["labels"])
    spoilt_given = given | {"labels": np.where(masked, 12 - labels, labels)}
    run = compiled(implementation, ForwardKL(gradient_to=gradient_to))
    loss, gradient = run(student, teacher, given)
    other, other_gradient = run(*spoilt, spoilt_given)
    np.testing.assert_allclose(other.total, loss.total, rtol=1e-6)
    assert_trees_close(other_gradient, gradient, rtol=1e-5)
    assert_all_zero([np.asarray(side.values)[masked] for side in other_gradient])


@every_implementation
@every_gradient
def test_a_position_with_a_label_alone_may_have_any_teacher(implementation, gradient_to):
    student, teacher = pair(15, **HEAD[gradient_to])
    given = targets(15)
    label_only = (np.asarray(given["weights"]) == 0) & (np.asarray(given["label_weights"]) != 0)
    assert label_only.any()
    run = compiled(implementation, ForwardKL(gradient_to=gradient_to))
    loss, gradient = run(student, teacher, given)
    other, other_gradient = run(student, filled(teacher, label_only, np.nan), given)
    np.testing.assert_allclose(other.total, loss.total, rtol=1e-6)
    assert_trees_close(other_gradient, gradient, rtol=1e-5)


@every_implementation
def test_padded_equals_truncated(implementation):
    student, teacher = pair(13, **HEAD["both"])
    given = targets(13)
    divergence = ForwardKL(gradient_to="both")
    loss, gradient = compiled(implementation, divergence)(student, teacher, only(given, KEPT))
    short = {name: np.asarray(array)[:, :3] for name, array in given.items()}
    expected, expected_gradient = compiled("reference", divergence)(shortened(student), shortened(teacher), short)
    np.testing.assert_allclose(loss.total, expected.total, rtol=1e-6)
    assert_trees_close(gradient, tuple(map(padded, expected_gradient)), rtol=1e-5)


@every_implementation
def test_an_empty_mask_gives_zero_and_a_zero_gradient(implementation):
    student, teacher = pair(14, **HEAD["student"])
    nothing = only(targets(14), np.zeros((3, 5), bool))
    loss, gradient = compiled(implementation, ForwardKL())(student, teacher, nothing)
    assert loss.total == 0
    assert_all_zero(gradient)


@every_implementation
def test_masks_of_cross_entropy_alone(implementation):
    student, _ = pair(16, **HEAD["both"])
    given = targets(16)
    run = compiled(implementation, None)
    spoilt = filled(student, ~KEPT, np.nan)
    loss, (gradient, _) = run(spoilt, student, only(given, KEPT))
    short = {name: np.asarray(array)[:, :3] for name, array in given.items()}
    expected, (expected_gradient, _) = compiled("reference", None)(shortened(student), shortened(student), short)
    np.testing.assert_allclose(loss.total, expected.total, rtol=1e-6)
    assert_trees_close(gradient, padded(expected_gradient))
    loss, gradient = run(spoilt, student, only(given, np.zeros((3, 5), bool)))
    assert loss.total == 0
    assert_all_zero(gradient)
