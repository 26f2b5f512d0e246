"""What every divergence must satisfy, driven by one table; what is special to each is in its own file."""

import dataclasses
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from jax.test_util import check_grads

from jaxkd import losses
from jaxkd.losses import divergence as divergences
from tests.losses.divergence.distributions import log_probs, logits
from tests.losses.divergence.rows import ROWS, SEPARABLE, WHOLE, every_divergence, every_separable_divergence

every_mirrored_divergence = pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if row.mirror], ids=lambda row: row.function.__name__
)


def widened(array, fill):
    return jnp.pad(array, ((0, 0), (0, 3)), constant_values=fill)


def total(divergence):
    return lambda student, teacher: divergence(student, teacher).sum()


def test_the_table_is_complete():
    functions = {value for value in vars(divergences).values() if inspect.isfunction(value)}
    assert functions == {row.function for row in ROWS.values()}
    classes = {value for value in vars(divergences).values() if inspect.isclass(value)}
    assert classes - {divergences.AnyDivergence} == {type(row.dataclass()) for row in ROWS.values()}


def test_only_two_divergences_need_the_whole_distribution():
    assert WHOLE.keys() == {"wasserstein_sorted", "adaptive_kl"}
    shares = {name: row.dataclass().kl_shares for name, row in SEPARABLE.items()}
    assert {name: share for name, share in shares.items() if share is not None} == {
        "forward_kl": (1.0, 0.0),
        "reverse_kl": (0.0, 1.0),
        "symmetric_kl": (0.5, 0.5),
    }


@every_separable_divergence
def test_summands_and_shares_make_the_divergence(row):
    divergence, student, teacher = row.dataclass(), logits(26), logits(27)
    value = divergence(student, teacher)
    summands = divergence.summands(jax.nn.log_softmax(student), jax.nn.log_softmax(teacher))
    np.testing.assert_allclose(summands.sum(-1), value, rtol=1e-6)
    if divergence.kl_shares is not None:
        forward, reverse = divergence.kl_shares
        parts = forward * losses.forward_kl(student, teacher) + reverse * losses.reverse_kl(student, teacher)
        np.testing.assert_allclose(parts, value, rtol=1e-6)


@every_separable_divergence
def test_summands_of_a_token_that_does_not_exist_are_zero_with_gradient_zero(row):
    log_q, log_p = (widened(jax.nn.log_softmax(logits(seed)), -jnp.inf) for seed in (28, 29))
    summands, pull = jax.vjp(row.dataclass().summands, log_q, log_p)
    for array in (summands, *pull(jnp.ones_like(summands))):
        np.testing.assert_array_equal(array[:, 9:], 0)
        assert jnp.isfinite(array).all()


@every_divergence
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_equals_float64_numpy(row, temperature):
    student, teacher = logits(0), logits(1)
    value = row.function(student, teacher, temperature=temperature, **row.options)
    exact = row.oracle(log_probs(student, temperature), log_probs(teacher, temperature))
    np.testing.assert_allclose(value, exact, rtol=5e-6)
    np.testing.assert_array_equal(row.dataclass(temperature=temperature)(student, teacher), value)


@every_divergence
def test_options_of_function_and_dataclass_have_the_same_defaults(row):
    parameters = list(inspect.signature(row.function).parameters.values())[2:]
    assert {field.name: field.default for field in dataclasses.fields(row.dataclass())} == {
        parameter.name: parameter.default for parameter in parameters
    }
    assert hash(row.dataclass()) == hash(row.dataclass())


@every_divergence
def test_is_zero_between_equals_and_ignores_a_constant(row):
    divergence, student, teacher = row.dataclass(), logits(2), logits(3)
    np.testing.assert_allclose(divergence(student, student + 7.0), 0, atol=2e-6)
    np.testing.assert_allclose(jax.grad(lambda s: divergence(s, jax.lax.stop_gradient(s)).sum())(student), 0, atol=1e-6)
    assert (divergence(student, teacher) > 0.01).all()
    np.testing.assert_allclose(divergence(student + 5.0, teacher), divergence(student, teacher), rtol=1e-5)


@every_mirrored_divergence
def test_exchanged_sides_are_the_mirror(row):
    student, teacher = logits(4), logits(5)
    np.testing.assert_allclose(row.dataclass()(student, teacher), row.mirror(teacher, student), rtol=5e-6)


@every_divergence
def test_stays_below_its_bound_where_nothing_is_shared(row):
    apart = jnp.array([0.0, -jnp.inf, -jnp.inf]), jnp.array([-jnp.inf, 0.0, 0.0])
    near = logits(6, scale=30.0), logits(7, scale=30.0)
    divergence = row.dataclass()
    assert divergence(*apart) <= row.bound * (1 + 1e-6)
    assert (divergence(*near) <= row.bound * (1 + 1e-6)).all()
    assert (divergence(*near) > 0).all()


@every_divergence
def test_gradient(row):
    divergence, student, teacher = row.dataclass(), logits(8, scale=1.0), logits(9, scale=1.0)
    to_student, to_teacher = jax.jit(jax.grad(total(divergence), (0, 1)))(student, teacher)
    assert (jnp.abs(to_student).max(-1) > 1e-3).all()
    np.testing.assert_allclose(to_student.sum(-1), 0, atol=1e-6)  # a constant changes nothing
    np.testing.assert_array_equal(to_teacher, 0)
    if row.value_is_differentiated:
        check_grads(
            jax.jit(lambda s: divergence(s, teacher).sum()), (student,), order=1, modes=["rev"], rtol=2e-2, atol=2e-2
        )


@every_mirrored_divergence
def test_gradient_to_both_gives_the_teacher_the_gradient_of_the_mirror(row):
    student, teacher = logits(30), logits(31)
    both = jax.jit(jax.grad(total(row.dataclass(gradient_to="both")), (0, 1)))(student, teacher)
    to_student = jax.jit(jax.grad(total(row.dataclass())))(student, teacher)
    to_teacher = jax.jit(jax.grad(total(row.mirror)))(teacher, student)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), both, (to_student, to_teacher))


@pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if row.value_is_differentiated], ids=lambda row: row.function.__name__
)
def test_second_derivatives_equal_finite_differences(row):
    divergence = row.dataclass(gradient_to="both")
    with jax.enable_x64(True):
        student, teacher = (jnp.asarray(np.float64(logits(seed, (5,), scale=1.0))) for seed in (32, 33))
        check_grads(jax.jit(divergence), (student, teacher), order=2, rtol=1e-5, atol=1e-5)
        hessian = jax.jit(jax.hessian(divergence))
        padded = hessian(*(jnp.pad(side, (0, 2), constant_values=-jnp.inf) for side in (student, teacher)))
        np.testing.assert_allclose(padded, jnp.pad(hessian(student, teacher), (0, 2)), atol=1e-12)


@every_divergence
def test_minus_infinity_on_both_sides_is_a_token_that_does_not_exist(row):
    divergence, student, teacher = row.dataclass(), logits(10), logits(11)
    value, gradient = jax.value_and_grad(total(divergence))(student, teacher)
    padded, padded_gradient = jax.jit(jax.value_and_grad(total(divergence)))(
        widened(student, -jnp.inf), widened(teacher, -jnp.inf)
    )
    np.testing.assert_allclose(padded, value, rtol=2e-6)
    np.testing.assert_allclose(padded_gradient, widened(gradient, 0.0), rtol=1e-5, atol=1e-6)


@every_divergence
@pytest.mark.parametrize("impossible_for", ["student", "teacher"])
def test_minus_infinity_on_one_side_is_a_probability_of_zero(row, impossible_for):
    student, teacher = [
        widened(logits(seed), -jnp.inf if side == impossible_for else 0.0)
        for seed, side in ((12, "student"), (13, "teacher"))
    ]
    exact = row.oracle(log_probs(student), log_probs(teacher))
    value, gradient = jax.value_and_grad(total(row.dataclass()))(student, teacher)
    np.testing.assert_allclose(row.dataclass()(student, teacher), exact, rtol=5e-6)
    if np.isfinite(value):
        assert jnp.isfinite(gradient).all()


@every_divergence
def test_nan_is_not_hidden(row):
    divergence, whole, broken = row.dataclass(), logits(14), logits(15).at[0, 0].set(jnp.nan)
    for value in (divergence(broken, whole), divergence(whole, broken), divergence(broken, broken)):
        assert jnp.isnan(value[0])
        assert not jnp.isnan(value[1:]).any()


@every_divergence
@pytest.mark.parametrize(
    ("student_shift", "teacher_shift", "scale"), [(1e4, -1e4, 1.0), (-1e4, -1e4, 1.0), (0, 0, 1e4)]
)
def test_large_logits_stay_finite(row, student_shift, teacher_shift, scale):
    student, teacher = logits(16) * scale + student_shift, logits(17) * scale + teacher_shift
    value, gradient = jax.value_and_grad(total(row.dataclass()))(student, teacher)
    assert jnp.isfinite(value)
    assert jnp.isfinite(gradient).all()
    exact = row.oracle(log_probs(student), log_probs(teacher))
    np.testing.assert_allclose(row.dataclass()(student, teacher), exact, rtol=1e-5, atol=1e-6)


@every_divergence
def test_bfloat16_logits_are_compared_in_float32(row):
    teacher = logits(18, (64, 32)).astype(jnp.bfloat16)
    student = (teacher.astype(jnp.float32) * 1.03).astype(jnp.bfloat16)
    value = row.dataclass()(student, teacher)
    assert value.dtype == jnp.float32
    np.testing.assert_array_equal(value, row.dataclass()(student.astype(jnp.float32), teacher.astype(jnp.float32)))
    exact = row.oracle(log_probs(student.astype(jnp.float32)), log_probs(teacher.astype(jnp.float32)))
    np.testing.assert_allclose(value.mean(), exact.mean(), rtol=1e-3)


@every_divergence
def test_float64_is_kept(row):
    with jax.enable_x64(True):
        student, teacher = jnp.asarray(np.float64(logits(19))), jnp.asarray(np.float64(logits(20)))
        value = row.dataclass()(student, teacher)
        assert value.dtype == jnp.float64
        np.testing.assert_allclose(value, row.oracle(log_probs(student), log_probs(teacher)), rtol=1e-12)


@every_divergence
def test_transforms_change_nothing(row):
    divergence, student, teacher = row.dataclass(), logits(21, (8, 16)), logits(22, (8, 16))
    eager = divergence(student, teacher)
    np.testing.assert_allclose(jax.jit(divergence)(student, teacher), eager, rtol=2e-6)
    np.testing.assert_allclose(jax.vmap(divergence)(student, teacher), eager, rtol=2e-6)
    loop = [divergence(*pair) for pair in zip(student, teacher, strict=True)]
    np.testing.assert_allclose(jnp.stack(loop), eager, rtol=2e-6)


@every_divergence
def test_eight_devices_change_nothing(row):
    divergence, student, teacher = row.dataclass(), logits(23, (8, 16)), logits(24, (8, 16))
    mesh = jax.make_mesh((2, 4), ("data", "tensor"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    placed = jax.device_put((student, teacher), NamedSharding(mesh, PartitionSpec("data", "tensor")))
    value, gradient = jax.jit(jax.value_and_grad(total(divergence)))(student, teacher)
    placed_value, placed_gradient = jax.jit(jax.value_and_grad(total(divergence)))(*placed)
    np.testing.assert_allclose(placed_value, value, rtol=2e-6)
    np.testing.assert_allclose(placed_gradient, gradient, rtol=1e-5, atol=1e-6)


@every_divergence
@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_cannot_be_compared(row):
    requirement = "leading shape" if row.function is losses.wasserstein_sorted else "shape"
    with pytest.raises(
        ValueError, match=rf"teacher_logits must have the {requirement} of student_logits, got \(5, 9\)"
    ):
        row.dataclass()(logits(0), logits(1, (5, 9)))
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=rf"temperature must be > 0, got {temperature}"):
            row.dataclass(temperature=temperature)(logits(0), logits(1))
    with pytest.raises(ValueError, match=r"gradient_to must be one of student, both, got 'teacher'"):
        row.dataclass(gradient_to="teacher")
