"""What a weight of 0 means, for every implementation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.kernels import linear_cross_entropy
from jaxkd.losses import ForwardKL
from tests.kernels.cases import (
    assert_trees_close,
    compiled,
    every_implementation,
    pair,
    targets,
    with_values,
)


@every_implementation
@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("junk", [1e3, jnp.nan, jnp.inf])
def test_what_is_masked_does_not_matter(implementation, softcap, junk):
    student, teacher = pair(12, bias=True, softcap=softcap)
    given = targets(12)
    given["label_weights"] = jnp.where(given["weights"] == 0, 0.0, given["label_weights"])
    masked = given["weights"] == 0
    assert masked.any()
    spoilt = [with_values(side, jnp.where(masked[..., None], junk, side.values)) for side in (student, teacher)]
    spoilt_given = given | {"labels": jnp.where(masked, 12 - given["labels"], given["labels"])}
    for divergence in (ForwardKL(), ForwardKL(gradient_to="both")):
        loss, gradient = compiled(implementation, divergence)(student, teacher, given)
        other, other_gradient = compiled(implementation, divergence)(*spoilt, spoilt_given)
        np.testing.assert_allclose(other.total, loss.total, rtol=1e-6)
        assert_trees_close(other_gradient, gradient, rtol=1e-5)
        for side in other_gradient:
            np.testing.assert_array_equal(side.values[masked], 0)


@every_implementation
@pytest.mark.parametrize("gradient_to", ["student", "both"])
def test_a_position_with_a_label_alone_may_have_any_teacher(implementation, gradient_to):
    student, teacher = pair(15)
    given = targets(15)
    label_only = (given["weights"] == 0) & (given["label_weights"] != 0)
    assert label_only.any()
    spoilt = with_values(teacher, jnp.where(label_only[..., None], jnp.nan, teacher.values))
    run = compiled(implementation, ForwardKL(gradient_to=gradient_to))
    loss, gradient = run(student, teacher, given)
    other, other_gradient = run(student, spoilt, given)
    np.testing.assert_allclose(other.total, loss.total, rtol=1e-6)
    assert_trees_close(other_gradient, gradient, rtol=1e-5)


@every_implementation
def test_padded_equals_truncated(implementation):
    student, teacher = pair(13)
    given = targets(13)
    kept = jnp.arange(5) < 3
    masked = given | {name: jnp.where(kept[None, :], given[name], 0.0) for name in ("weights", "label_weights")}
    loss, gradient = compiled(implementation, ForwardKL())(student, teacher, masked)
    short = [with_values(side, side.values[:, :3]) for side in (student, teacher)]
    expected, expected_gradient = compiled(implementation, ForwardKL())(
        *short, {name: array[:, :3] for name, array in given.items()}
    )
    np.testing.assert_allclose(loss.total, expected.total, rtol=1e-6)
    padding = ((0, 0), (0, 2), (0, 0))
    padded = [with_values(side, jnp.pad(side.values, padding)) for side in expected_gradient]
    assert_trees_close(gradient, tuple(padded), rtol=1e-5)


@every_implementation
def test_an_empty_mask_gives_zero_and_a_zero_gradient(implementation):
    student, teacher = pair(14)
    nothing = targets(14) | {"weights": jnp.zeros((3, 5)), "label_weights": jnp.zeros((3, 5))}
    loss, gradient = compiled(implementation, ForwardKL())(student, teacher, nothing)
    assert loss.total == 0
    jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf, 0), gradient)


@every_implementation
def test_masks_of_cross_entropy_alone(implementation):
    student, _ = pair(16, bias=True, softcap=5.0)
    given = targets(16)
    kept = jnp.arange(5) < 3

    @jax.jit
    @jax.value_and_grad
    def total(student, labels, weights):
        return linear_cross_entropy(student, labels, weights=weights, implementation=implementation).total

    spoilt = with_values(student, jnp.where(kept[None, :, None], student.values, jnp.nan))
    weights = jnp.where(kept[None, :], given["label_weights"], 0.0)
    value, gradient = total(spoilt, given["labels"], weights)
    short = with_values(student, student.values[:, :3])
    expected, expected_gradient = total(short, given["labels"][:, :3], weights[:, :3])
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    padded = with_values(expected_gradient, jnp.pad(expected_gradient.values, ((0, 0), (0, 2), (0, 0))))
    assert_trees_close(gradient, padded)
    nothing, no_gradient = total(spoilt, given["labels"], jnp.zeros((3, 5)))
    assert nothing == 0
    assert_trees_close(no_gradient, jax.tree.map(jnp.zeros_like, student), atol=0)
