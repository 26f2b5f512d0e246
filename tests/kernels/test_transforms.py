"""jit, vmap and differentiation of every implementation."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from jaxkd import losses
from jaxkd.kernels import linear_cross_entropy, linear_divergence
from jaxkd.losses import ForwardKL
from tests.kernels.cases import (
    IMPLEMENTATIONS,
    KERNELS,
    assert_trees_close,
    compiled,
    every_implementation,
    every_kernel,
    float32,
    pair,
    targets,
    unless,
    with_head,
    with_values,
)

# Inside and around vmap a record has an axis that its annotations do not know.
stacks_records = pytest.mark.usefixtures("unchecked_shapes")

FORWARD, VARIATION = ForwardKL(gradient_to="both"), losses.TotalVariation(gradient_to="both")


def stacked(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


@pytest.mark.parametrize(
    ("implementation", "divergence"),
    [
        pytest.param(IMPLEMENTATIONS[name], divergence, id=f"{name}-{divergence}", marks=unless(divergence == fast))
        for name, fast in {"reference": FORWARD, "token_chunk": VARIATION, "vocab_tile": FORWARD}.items()
        for divergence in (FORWARD, VARIATION)
    ],
)
def test_jit_changes_nothing(implementation, divergence):
    arguments = *pair(0, bias=True), targets(0)
    run = compiled(implementation, divergence)
    assert_trees_close(run(*arguments), run.__wrapped__(*arguments), rtol=5e-6)


@pytest.mark.parametrize(
    ("name", "divergence"),
    [
        ("reference", FORWARD),
        ("token_chunk", losses.AdaptiveKL(gradient_to="both")),
        ("vocab_tile", FORWARD),
        ("vocab_tile", VARIATION),
    ],
    ids=str,
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_a_temperature_can_be_traced(name, divergence):
    """So it can be annealed within a compiled step."""
    sides, given = pair(0, bias=True), targets(0)

    @jax.jit
    def annealed(temperature, sides, given):
        at = dataclasses.replace(divergence, temperature=temperature)
        return compiled.__wrapped__(IMPLEMENTATIONS[name], at)(*sides, given)

    expected = compiled(IMPLEMENTATIONS[name], dataclasses.replace(divergence, temperature=1.5))(*sides, given)
    assert_trees_close(annealed(1.5, sides, given), expected, rtol=5e-6)


@every_implementation
@stacks_records
def test_vmap_equals_the_loop(implementation):
    """Over models too: each has a head of its own."""
    run = compiled(implementation, FORWARD)
    batch = [(*pair(seed, bias=True), targets(seed)) for seed in (1, 2, 3)]
    assert_trees_close(jax.jit(jax.vmap(run))(*stacked(batch)), stacked([run(*one) for one in batch]), rtol=5e-6)


@every_implementation
@stacks_records
def test_vmap_over_positions_of_one_model_equals_the_flat_list(implementation):
    student, teacher = pair(4, bias=True)
    given = targets(4)

    def alone(student_values, teacher_values, given):
        sides = with_values(student, student_values), with_values(teacher, teacher_values)
        return linear_divergence(*sides, divergence=FORWARD, implementation=implementation, **given)

    rows = jax.jit(jax.vmap(alone))(student.values, teacher.values, given)
    whole, _ = compiled(implementation, FORWARD)(student, teacher, given)
    np.testing.assert_allclose(np.asarray(rows.total).sum(), whole.total, rtol=1e-6)
    used = np.asarray(given["weights"]) != 0
    divergences = (np.asarray(loss.divergence)[used] for loss in (rows, whole))
    np.testing.assert_allclose(*divergences, rtol=1e-5, atol=1e-6)


@every_implementation
def test_transforms_of_cross_entropy_change_nothing(implementation):
    student, given = pair(5)[0], targets(5)

    def nats(values, labels, weights):
        return linear_cross_entropy(
            with_values(student, values), labels, weights=weights, implementation=implementation
        ).cross_entropy

    arrays = student.values, given["labels"], float32(np.ones((3, 5)))
    eager = nats(*arrays)
    np.testing.assert_allclose(jax.jit(nats)(*arrays), eager, rtol=2e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(nats))(*arrays), eager, rtol=2e-6)


@every_implementation
def test_a_scaled_total_has_a_scaled_gradient(implementation):
    student, teacher = pair(6, bias=True)
    given = targets(6)

    @jax.jit
    @jax.grad
    def scaled(student, scale):
        loss = linear_divergence(student, teacher, divergence=FORWARD, implementation=implementation, **given)
        return scale * loss.total

    _, (once, _) = compiled(implementation, FORWARD)(student, teacher, given)
    assert_trees_close(scaled(student, -3.0), jax.tree.map(lambda leaf: -3 * np.asarray(leaf), once))


@every_kernel
def test_the_compiled_program_does_not_call_the_host(kernel):
    arguments = *pair(9, bias=True), targets(9)
    assert "callback" not in compiled(kernel, FORWARD).lower(*arguments).compile().as_text()


def of_the_weight(implementation, divergence):
    student, teacher = pair(7)
    direction = float32(np.random.default_rng(8).normal(size=student.head.weight.shape))

    def total(weight):
        moved = with_head(student, weight=weight)
        return linear_divergence(
            moved, teacher, divergence=divergence, implementation=implementation, **targets(7)
        ).total

    return total, student.head.weight, direction


def second_derivative(total, direction):
    """In reverse mode alone: the gradient of the slope along a direction."""
    return jax.jit(jax.grad(lambda weight: (jax.grad(total)(weight) * direction).sum()))


@functools.cache
def forward_over_reverse(divergence):
    """Reference values: the slope along the direction, the gradient, and its derivative along the direction."""
    total, weight, direction = of_the_weight("reference", divergence)

    @jax.jit
    def derivatives(weight):
        _, slope = jax.jvp(total, (weight,), (direction,))
        return slope, *jax.jvp(jax.grad(total), (weight,), (direction,))

    return derivatives(weight)


def test_the_reference_can_be_differentiated_at_will():
    total, weight, direction = of_the_weight("reference", ForwardKL())
    slope, gradient, forward = map(np.asarray, forward_over_reverse(ForwardKL()))
    np.testing.assert_allclose(slope, (gradient * direction).sum(), rtol=1e-5)
    assert np.abs(forward).max() > 0.1
    assert_trees_close(second_derivative(total, direction)(weight), forward)


@every_kernel
def test_forward_mode_of_a_kernel_is_refused(kernel):
    total, weight, direction = of_the_weight(kernel, ForwardKL())
    with pytest.raises(TypeError, match=r"can't apply forward-mode"):
        jax.jit(lambda weight: jax.jvp(total, (weight,), (direction,))).lower(weight)
    with pytest.raises(TypeError, match=r"can't apply forward-mode"):
        jax.jit(jax.jacfwd(total)).lower(weight)


@pytest.mark.parametrize(
    ("kernel", "divergence"),
    [
        pytest.param(KERNELS[name], divergence, id=f"{name}-{divergence}", marks=unless(divergence == fast))
        for name, fast in {"token_chunk": ForwardKL(), "vocab_tile": losses.JensenShannon()}.items()
        for divergence in (ForwardKL(), losses.JensenShannon())
    ],
)
def test_a_second_derivative_of_a_kernel_is_right_where_there_is_one(kernel, divergence):
    """It is not promised; what matters is that it is never a wrong number."""
    total, weight, direction = of_the_weight(kernel, divergence)
    *_, expected = forward_over_reverse(divergence)
    assert_trees_close(second_derivative(total, direction)(weight), expected)
    mesh = jax.make_mesh((8,), ("tensor",), axis_types=(jax.sharding.AxisType.Auto,))
    with jax.set_mesh(mesh), pytest.raises(NotImplementedError, match="pmax"):
        second_derivative(total, direction)(weight)
