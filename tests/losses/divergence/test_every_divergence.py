"""Laws of every divergence, driven by one table; what is special to each is in its own file."""

import dataclasses
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxkd import losses
from jaxkd.losses import divergence as divergences
from tests.losses.compiled import assert_equals_finite_differences, compiled
from tests.losses.divergence.distributions import host_logits as logits
from tests.losses.divergence.distributions import log_probs
from tests.losses.divergence.rows import ROWS, SEPARABLE, WHOLE, every_divergence, every_separable_divergence

every_function = pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if not row.options], ids=lambda row: row.function.__name__
)
every_differentiated_divergence = pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if row.value_is_differentiated], ids=lambda row: row.function.__name__
)
every_mirrored_divergence = pytest.mark.parametrize(
    "row", [row for row in ROWS.values() if row.mirror], ids=lambda row: row.function.__name__
)


def lacking(array, fill):
    """The last three tokens are filled: of -inf on both sides, they do not exist."""
    array = array.copy()
    array[..., -3:] = fill
    return array


def test_the_table_is_complete():
    functions = {value for value in vars(divergences).values() if inspect.isfunction(value)}
    assert functions == {row.function for row in ROWS.values() if not row.options}
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
    divergence, sides = row.dataclass(), [logits(seed, dtype=np.float64) for seed in (26, 27)]
    with jax.enable_x64(True):
        value, _ = compiled(divergence)(*sides)
        summands, _ = compiled(divergence.summands)(*map(log_probs, sides))
        forward, reverse = (compiled(kl)(*sides)[0] for kl in (losses.ForwardKL(), losses.ReverseKL()))
    np.testing.assert_allclose(summands.sum(-1), value, rtol=1e-12)
    if divergence.kl_shares is not None:
        forward_share, reverse_share = divergence.kl_shares
        np.testing.assert_allclose(forward_share * forward + reverse_share * reverse, value, rtol=1e-12)


@every_separable_divergence
def test_summands_of_a_token_that_does_not_exist_are_zero_with_gradient_zero(row):
    sides = (log_probs(lacking(logits(seed), -np.inf)) for seed in (28, 29))
    with jax.enable_x64(True):
        summands, gradients = compiled(row.dataclass().summands)(*sides)
    for array in (summands, *gradients):
        np.testing.assert_array_equal(array[:, -3:], 0)
        assert np.isfinite(array).all()


@every_divergence
def test_equals_float64_numpy(row):
    student, teacher = logits(0), logits(1)

    @jax.jit
    def values(*sides):
        temperatures = (0.5, 1.0, 2.0)
        functions = [row.function(*sides, temperature=temperature, **row.options) for temperature in temperatures]
        return temperatures, functions, [row.dataclass(temperature=one)(*sides) for one in temperatures]

    for temperature, value, same in zip(*jax.device_get(values(student, teacher)), strict=True):
        exact = row.oracle(log_probs(student, temperature), log_probs(teacher, temperature))
        np.testing.assert_allclose(value, exact, rtol=5e-6)
        np.testing.assert_array_equal(same, value)


@every_divergence
def test_options_of_function_and_dataclass_have_the_same_defaults(row):
    parameters = list(inspect.signature(row.function).parameters.values())[2:]
    assert {field.name: field.default for field in dataclasses.fields(row.dataclass())} == {
        parameter.name: parameter.default for parameter in parameters
    }
    assert hash(row.dataclass()) == hash(row.dataclass())


@every_divergence
def test_is_zero_between_equals_and_ignores_a_constant(row):
    run, student, teacher = compiled(row.dataclass()), logits(3), logits(4)
    np.testing.assert_allclose(run(student, student + 7)[0], 0, atol=2e-6)
    _, (gradient, _) = run(student, student)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    value, _ = run(student, teacher)
    assert (value > 0.01).all()
    np.testing.assert_allclose(run(student + 5, teacher)[0], value, rtol=1e-5)


@every_mirrored_divergence
def test_exchanged_sides_are_the_mirror(row):
    student, teacher = logits(4), logits(5)
    mirrored, _ = compiled(row.mirror)(teacher, student)
    np.testing.assert_allclose(compiled(row.dataclass())(student, teacher)[0], mirrored, rtol=5e-6)


@every_divergence
def test_stays_below_its_bound_where_nothing_is_shared(row):
    first, others = np.arange(12) == 0, np.arange(12) % 4 > 1
    apart = [np.broadcast_to(np.where(held, np.float32(0), -np.inf), (8, 12)) for held in (first, others)]
    value, _ = compiled(row.dataclass())(*apart)
    assert (value <= row.bound * (1 + 1e-6)).all()
    value, _ = compiled(row.dataclass())(logits(6, scale=30.0), logits(7, scale=30.0))
    assert (value <= row.bound * (1 + 1e-6)).all()
    assert (value > 0).all()


@every_divergence
def test_gradient(row):
    run, sides = compiled(row.dataclass()), [logits(seed, scale=1.0, dtype=np.float64) for seed in (8, 9)]
    with jax.enable_x64(True):
        _, (to_student, to_teacher) = run(*sides)
        if row.value_is_differentiated:
            assert_equals_finite_differences(run, *sides, rtol=1e-7, atol=1e-9, eps=1e-5)
    assert (np.abs(to_student).max(-1) > 1e-3).all()
    np.testing.assert_allclose(to_student.sum(-1), 0, atol=1e-14)  # a constant changes nothing
    np.testing.assert_array_equal(to_teacher, 0)
    _, (narrow, to_teacher) = run(*map(np.float32, sides))
    np.testing.assert_allclose(narrow, to_student, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(to_teacher, 0)


@every_mirrored_divergence
def test_gradient_to_both_gives_the_teacher_the_gradient_of_the_mirror(row):
    student, teacher = logits(30), logits(31)
    _, both = compiled(row.dataclass(gradient_to="both"))(student, teacher)
    _, (to_student, _) = compiled(row.dataclass())(student, teacher)
    _, (to_teacher, _) = compiled(row.mirror)(teacher, student)
    for found, expected in zip(both, (to_student, to_teacher), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@every_differentiated_divergence
def test_second_derivatives_equal_finite_differences(row):
    divergence = row.dataclass(gradient_to="both")
    sides = np.stack([logits(seed, (7,), scale=1.0, dtype=np.float64) for seed in (32, 33)])

    @jax.jit
    def derivatives(sides):
        def value(sides):
            return divergence(sides[0], sides[1])

        return jax.grad(value)(sides), jax.hessian(value)(sides)

    direction = np.random.default_rng(34).normal(size=sides.shape)
    step = 1e-5 * direction
    with jax.enable_x64(True):
        for here in (sides, lacking(sides, -np.inf)):
            _, hessian = jax.device_get(derivatives(here))
            ahead, behind = (np.asarray(derivatives(moved)[0]) for moved in (here + step, here - step))
            np.testing.assert_allclose((hessian * direction).sum((2, 3)), (ahead - behind) / 2e-5, rtol=1e-7, atol=1e-9)
            np.testing.assert_allclose(hessian, hessian.transpose(2, 3, 0, 1), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(hessian[:, -3:], 0)
    np.testing.assert_array_equal(hessian[..., -3:], 0)


@every_divergence
def test_minus_infinity_on_both_sides_is_a_token_that_does_not_exist(row):
    run, student, teacher = compiled(row.dataclass()), logits(10, (8, 9)), logits(11, (8, 9))
    padded = [np.pad(side, ((0, 0), (0, 3)), constant_values=-np.inf) for side in (student, teacher)]
    value, (gradient, _) = run(student, teacher)
    padded_value, (padded_gradient, _) = run(*padded)
    np.testing.assert_allclose(padded_value, value, rtol=2e-6)
    np.testing.assert_allclose(padded_gradient[:, :9], gradient, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(padded_gradient[:, 9:], 0)


@every_divergence
@pytest.mark.parametrize("impossible_for", ["student", "teacher"])
def test_minus_infinity_on_one_side_is_a_probability_of_zero(row, impossible_for):
    student, teacher = [
        lacking(logits(seed), -np.inf if side == impossible_for else 0.0)
        for seed, side in ((12, "student"), (13, "teacher"))
    ]
    exact = row.oracle(log_probs(student), log_probs(teacher))
    value, (gradient, _) = compiled(row.dataclass())(student, teacher)
    np.testing.assert_allclose(value, exact, rtol=5e-6)
    if np.isfinite(value).all():
        assert np.isfinite(gradient).all()


@every_divergence
def test_nan_is_not_hidden(row):
    run, whole, broken = compiled(row.dataclass()), logits(14), logits(15)
    broken[0, 0] = np.nan
    for sides in ((broken, whole), (whole, broken), (broken, broken)):
        value, _ = run(*sides)
        np.testing.assert_array_equal(np.isnan(value), np.arange(8) == 0)


@every_divergence
@pytest.mark.parametrize(
    ("student_shift", "teacher_shift", "scale"), [(1e4, -1e4, 1.0), (-1e4, -1e4, 1.0), (0, 0, 1e4)]
)
def test_large_logits_stay_finite(row, student_shift, teacher_shift, scale):
    student, teacher = logits(16) * scale + student_shift, logits(17) * scale + teacher_shift
    value, (gradient, _) = compiled(row.dataclass())(student, teacher)
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    exact = row.oracle(log_probs(student), log_probs(teacher))
    np.testing.assert_allclose(value, exact, rtol=1e-5, atol=1e-6)


@every_function
def test_bfloat16_logits_are_compared_in_float32(row):
    run, teacher = compiled(row.dataclass()), logits(18).astype(jnp.bfloat16)
    student = (teacher.astype(np.float32) * 1.03).astype(jnp.bfloat16)
    value, _ = run(student, teacher)
    assert value.dtype == np.float32
    wide = [side.astype(np.float32) for side in (student, teacher)]
    np.testing.assert_array_equal(value, run(*wide)[0])
    exact = row.oracle(*map(log_probs, wide))
    np.testing.assert_allclose(value.mean(), exact.mean(), rtol=1e-3)


@every_divergence
def test_float64_is_kept(row):
    student, teacher = (logits(seed, dtype=np.float64) for seed in (19, 20))
    with jax.enable_x64(True):
        value, (gradient, _) = compiled(row.dataclass())(student, teacher)
    assert value.dtype == gradient.dtype == np.float64
    np.testing.assert_allclose(value, row.oracle(log_probs(student), log_probs(teacher)), rtol=1e-12)


@every_function
def test_transforms_change_nothing(row):
    divergence, student, teacher = row.dataclass(), logits(21), logits(22)
    value, _ = compiled(divergence)(student, teacher)
    np.testing.assert_allclose(divergence(jnp.asarray(student), jnp.asarray(teacher)), value, rtol=2e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(divergence))(student, teacher), value, rtol=2e-6)


@every_function
def test_eight_devices_change_nothing(row):
    run, sides = compiled(row.dataclass()), [logits(seed, dtype=np.float64) for seed in (23, 24)]
    mesh = jax.make_mesh((2, 4), ("data", "tensor"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    with jax.enable_x64(True):
        placed = jax.device_put(sides, NamedSharding(mesh, PartitionSpec("data", "tensor")))
        value, (gradient, _) = run(*sides)
        placed_value, (placed_gradient, _) = run(*placed)
    np.testing.assert_allclose(placed_value, value, rtol=1e-12)
    np.testing.assert_allclose(placed_gradient, gradient, rtol=1e-12, atol=1e-14)


@every_divergence
@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_cannot_be_compared(row):
    requirement = "leading shape" if row.function is losses.wasserstein_sorted else "shape"
    with pytest.raises(
        ValueError, match=rf"teacher_logits must have the {requirement} of student_logits, got \(5, 9\)"
    ):
        compiled(row.dataclass())(logits(0), logits(1, (5, 9)))
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=rf"temperature must be > 0, got {temperature}"):
            row.dataclass(temperature=temperature)
    with pytest.raises(ValueError, match=r"gradient_to must be one of student, both, got 'teacher'"):
        row.dataclass(gradient_to="teacher")
