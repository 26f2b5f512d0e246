"""What every divergence must satisfy, driven by one table; what is special to each is in its own file."""

import dataclasses
import inspect
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from jax.test_util import check_grads

from jaxkd import losses
from jaxkd.kernels import linear_divergence
from jaxkd.losses import divergence as divergences
from jaxkd.records import Head, Hiddens
from tests.losses.divergence.distributions import kl, log_probs, logits


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    function: Callable
    options: dict = dataclasses.field(default_factory=dict)
    oracle: Callable
    """(log q, log p) in float64 to a value per position, from the definition."""
    mirror: object | None = None
    """The divergence that gives the same value with the sides exchanged; None: one side alone splits head and tail."""
    bound: float = math.inf
    value_is_differentiated: bool = True
    """False where a factor of the value is gradient-stopped by definition: finite differences see it."""

    def dataclass(self, **options):
        names = {name.lower(): kind for name, kind in vars(divergences).items() if inspect.isclass(kind)}
        return names[self.function.__name__.replace("_", "")](**self.options, **options)


def jensen_shannon(beta):
    def oracle(q, p):
        mixture = np.logaddexp(p + np.log(beta), q + np.log1p(-beta))
        return beta * kl(p, mixture) + (1 - beta) * kl(q, mixture)

    return oracle


def skewed(a, b, skew):
    return kl(a, np.logaddexp(a + np.log(skew), b + np.log1p(-skew)))


def alpha_beta(alpha, beta):
    def oracle(q, p):
        total = alpha + beta
        summands = alpha / total * np.exp(total * p) + beta / total * np.exp(total * q) - np.exp(alpha * p + beta * q)
        return summands.sum(-1) / (alpha * beta)

    return oracle


def adaptive(q, p):
    values = []
    for student, teacher in zip(q, p, strict=True):
        order = np.argsort(np.exp(teacher), kind="stable")
        tail = order[np.cumsum(np.exp(teacher)[order]) <= 0.5]
        gaps = np.abs(np.exp(teacher) - np.exp(student))
        tail_share = gaps[tail].sum() / gaps.sum() if gaps.any() else 0.5
        values.append((1 - tail_share) * kl(teacher, student) + tail_share * kl(student, teacher))
    return np.array(values)


ROWS = {
    "forward_kl": Row(function=losses.forward_kl, oracle=lambda q, p: kl(p, q), mirror=losses.ReverseKL()),
    "reverse_kl": Row(function=losses.reverse_kl, oracle=lambda q, p: kl(q, p), mirror=losses.ForwardKL()),
    "symmetric_kl": Row(
        function=losses.symmetric_kl, oracle=lambda q, p: (kl(p, q) + kl(q, p)) / 2, mirror=losses.SymmetricKL()
    ),
    "jensen_shannon": Row(
        function=losses.jensen_shannon,
        oracle=jensen_shannon(0.5),
        mirror=losses.JensenShannon(),
        bound=math.log(2),
    ),
    "jensen_shannon, beta 0.1": Row(
        function=losses.jensen_shannon,
        options={"beta": 0.1},
        oracle=jensen_shannon(0.1),
        mirror=losses.JensenShannon(beta=0.9),
        bound=-0.1 * math.log(0.1) - 0.9 * math.log(0.9),
    ),
    "skew_forward_kl": Row(
        function=losses.skew_forward_kl,
        oracle=lambda q, p: skewed(p, q, 0.1),
        mirror=losses.SkewReverseKL(),
        bound=math.log(10),
    ),
    "skew_reverse_kl": Row(
        function=losses.skew_reverse_kl,
        oracle=lambda q, p: skewed(q, p, 0.1),
        mirror=losses.SkewForwardKL(),
        bound=math.log(10),
    ),
    "total_variation": Row(
        function=losses.total_variation,
        oracle=lambda q, p: np.abs(np.exp(p) - np.exp(q)).sum(-1) / 2,
        mirror=losses.TotalVariation(),
        bound=1.0,
    ),
    "wasserstein_sorted": Row(
        function=losses.wasserstein_sorted,
        oracle=lambda q, p: np.abs(np.sort(np.exp(p), -1) - np.sort(np.exp(q), -1)).sum(-1),
        mirror=losses.WassersteinSorted(),
        bound=2.0,
    ),
    "alpha_beta": Row(
        function=losses.alpha_beta, oracle=alpha_beta(0.2, 0.7), mirror=losses.AlphaBeta(alpha=0.7, beta=0.2)
    ),
    "alpha_beta, 0.5 and 1.5": Row(
        function=losses.alpha_beta,
        options={"alpha": 0.5, "beta": 1.5},
        oracle=alpha_beta(0.5, 1.5),
        mirror=losses.AlphaBeta(alpha=1.5, beta=0.5),
        bound=1 / 0.75,
    ),
    "adaptive_kl": Row(function=losses.adaptive_kl, oracle=adaptive, value_is_differentiated=False),
}

every_divergence = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def widened(array, fill):
    return jnp.pad(array, ((0, 0), (0, 3)), constant_values=fill)


def total(divergence):
    return lambda student, teacher: divergence(student, teacher).sum()


def test_the_table_is_complete():
    functions = {value for value in vars(divergences).values() if inspect.isfunction(value)}
    assert functions == {row.function for row in ROWS.values()}
    assert {value for value in vars(divergences).values() if inspect.isclass(value)} == {
        type(row.dataclass()) for row in ROWS.values()
    }


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


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.mirror], ids=lambda row: row.function.__name__)
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
def test_kernels_take_it(row):
    rng = np.random.default_rng(25)

    def hiddens(width):
        weight = jnp.asarray(rng.normal(size=(16, width)), jnp.float32)
        values = jnp.asarray(rng.normal(size=(3, 5, width)), jnp.float32)
        return Hiddens(values=values, head=Head(weight=weight, vocab_size=13))

    student, teacher = hiddens(4), hiddens(6)
    weights = jnp.asarray(rng.random((3, 5)), jnp.float32)

    def loss(student, implementation):
        return linear_divergence(
            student, teacher, weights=weights, divergence=row.dataclass(), implementation=implementation
        ).total

    by_chunks, whole = (
        jax.jit(jax.value_and_grad(loss), static_argnums=1)(student, name) for name in ("token_chunk", "reference")
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), by_chunks, whole)


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
