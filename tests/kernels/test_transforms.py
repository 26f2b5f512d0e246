"""jit, vmap and differentiation of every implementation."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd import losses
from jaxkd.kernels import linear_cross_entropy, linear_divergence
from jaxkd.losses import ForwardKL
from tests.kernels.cases import (
    assert_trees_close,
    every_implementation,
    every_kernel,
    hiddens,
    pair,
    targets,
    with_head,
)

# Inside and around vmap a record has an axis that its annotations do not know.
stacks_records = pytest.mark.usefixtures("unchecked_shapes")


def loss_and_gradients(implementation, divergence, student, teacher, given):
    def total(student, teacher):
        loss = linear_divergence(student, teacher, divergence=divergence, implementation=implementation, **given)
        return loss.total, loss

    return jax.value_and_grad(total, (0, 1), has_aux=True)(student, teacher)


@every_implementation
@pytest.mark.parametrize("divergence", [ForwardKL(gradient_to="both"), losses.TotalVariation()], ids=str)
def test_jit_changes_nothing(implementation, divergence):
    student, teacher = pair(0, bias=True)
    run = functools.partial(loss_and_gradients, implementation, divergence)
    assert_trees_close(jax.jit(run)(student, teacher, targets(0)), run(student, teacher, targets(0)), rtol=5e-6)


@every_implementation
@stacks_records
def test_vmap_equals_the_loop(implementation):
    """Over models too: each has a head of its own."""
    run = jax.jit(functools.partial(loss_and_gradients, implementation, ForwardKL(gradient_to="both")))
    batch = [(*pair(seed, tokens=(5,), bias=True), targets(seed, tokens=(5,))) for seed in (1, 2, 3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batch)
    loop = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(run(*one) for one in batch))
    assert_trees_close(jax.jit(jax.vmap(run))(*stacked), loop, rtol=5e-6)


@every_implementation
@stacks_records
def test_vmap_over_positions_of_one_model_equals_the_flat_list(implementation):
    student, teacher = pair(4)
    given = targets(4)

    def alone(student_values, teacher_values, given):
        sides = [
            dataclasses.replace(side, values=values)
            for side, values in ((student, student_values), (teacher, teacher_values))
        ]
        return linear_divergence(*sides, divergence=ForwardKL(), implementation=implementation, **given)

    rows = jax.jit(jax.vmap(alone))(student.values, teacher.values, given)
    whole = jax.jit(alone)(student.values, teacher.values, given)
    np.testing.assert_allclose(rows.total.sum(), whole.total, rtol=1e-6)
    used = given["weights"] != 0
    np.testing.assert_allclose(rows.divergence[used], whole.divergence[used], rtol=1e-5, atol=1e-6)


@every_implementation
def test_transforms_of_cross_entropy_change_nothing(implementation):
    student, given = hiddens(5, 4), targets(5)

    def nats(student, labels, weights):
        return linear_cross_entropy(student, labels, weights=weights, implementation=implementation).cross_entropy

    arrays = given["labels"], jnp.ones((3, 5))
    eager = nats(student, *arrays)
    np.testing.assert_allclose(jax.jit(nats)(student, *arrays), eager, rtol=2e-6)
    rows = jax.vmap(nats, in_axes=(dataclasses.replace(student, values=0, head=None), 0, 0))
    np.testing.assert_allclose(rows(student, *arrays), eager, rtol=2e-6)


@every_implementation
def test_a_scaled_total_has_a_scaled_gradient(implementation):
    student, teacher = pair(6)

    def total(student, scale):
        loss = linear_divergence(student, teacher, divergence=ForwardKL(), implementation=implementation, **targets(6))
        return scale * loss.total

    gradients = jax.jit(jax.grad(total))
    once, thrice = gradients(student, 1.0), gradients(student, -3.0)
    assert_trees_close(thrice, jax.tree.map(lambda leaf: -3 * leaf, once))


@every_kernel
def test_the_compiled_program_does_not_call_the_host(kernel):
    student, teacher = pair(9)

    def total(student):
        return linear_divergence(student, teacher, divergence=ForwardKL(), implementation=kernel, **targets(9)).total

    assert "callback" not in jax.jit(jax.grad(total)).lower(student).compile().as_text()


def of_the_weight(implementation, divergence):
    student, teacher = pair(7)
    direction = jnp.asarray(np.random.default_rng(8).normal(size=student.head.weight.shape), jnp.float32)

    def total(weight):
        moved = with_head(student, weight=weight)
        return linear_divergence(
            moved, teacher, divergence=divergence, implementation=implementation, **targets(7)
        ).total

    return total, student.head.weight, direction


def test_the_reference_can_be_differentiated_at_will():
    total, weight, direction = of_the_weight("reference", ForwardKL())
    _, slope = jax.jvp(total, (weight,), (direction,))
    np.testing.assert_allclose(slope, (jax.grad(total)(weight) * direction).sum(), rtol=1e-5)
    forward = jax.jvp(jax.grad(total), (weight,), (direction,))[1]
    reverse = jax.grad(lambda weight: (jax.grad(total)(weight) * direction).sum())(weight)
    assert jnp.abs(forward).max() > 0.1
    assert_trees_close(reverse, forward)


@every_kernel
def test_forward_mode_of_a_kernel_is_refused(kernel):
    total, weight, direction = of_the_weight(kernel, ForwardKL())
    with pytest.raises(TypeError, match=r"can't apply forward-mode"):
        jax.jvp(total, (weight,), (direction,))
    with pytest.raises(TypeError, match=r"can't apply forward-mode"):
        jax.jacfwd(total)(weight)


@every_kernel
@pytest.mark.parametrize("divergence", [ForwardKL(), losses.JensenShannon()], ids=str)
def test_a_second_derivative_of_a_kernel_is_right_where_there_is_one(kernel, divergence):
    """It is not promised; what matters is that it is never a wrong number."""
    total, weight, direction = of_the_weight(kernel, divergence)
    exact, _, _ = of_the_weight("reference", divergence)
    expected = jax.jvp(jax.grad(exact), (weight,), (direction,))[1]
    found = jax.jit(jax.grad(lambda weight: (jax.grad(total)(weight) * direction).sum()))(weight)
    assert_trees_close(found, expected)
    mesh = jax.make_mesh((8,), ("tensor",), axis_types=(jax.sharding.AxisType.Auto,))
    with jax.set_mesh(mesh), pytest.raises(NotImplementedError, match="pmax"):
        jax.jit(jax.grad(lambda weight: (jax.grad(total)(weight) * direction).sum()))(weight)
