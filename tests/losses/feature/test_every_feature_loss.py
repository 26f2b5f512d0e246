"""What every feature loss must satisfy, driven by one table; what is special to each is in its own file."""

import dataclasses
import inspect
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from jax.test_util import check_grads

from jaxkd.losses import feature
from tests.losses.feature import oracles
from tests.losses.feature.oracles import features

ROW_MASK = jnp.array([True, False, True, True, True, True])
KEY_MASK = jnp.array([[[True, False, True, True]] * 3, [[True, True, False, False], [False] * 4, [True] * 4]])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    function: Callable
    oracle: Callable
    student: tuple[int, ...]
    teacher: tuple[int, ...]
    options: dict = dataclasses.field(default_factory=dict)
    """Passed to the oracle as well."""
    choices: dict = dataclasses.field(default_factory=dict)
    """Passed to the function only: the oracle is of this choice."""
    scale_free: bool = True
    """The value does not change with the student's scale."""

    def __call__(self, student, teacher):
        return self.function(student, teacher, **self.options, **self.choices)

    def total(self, student, teacher):
        return self(student, teacher).sum()

    def exact(self, student, teacher):
        return self.oracle(student, teacher, **self.options)

    def sides(self, seed, scale=1.0):
        return features(seed, self.student, scale), features(seed + 100, self.teacher, scale)


def hidden(function, oracle, **choices):
    return {
        "": Row(
            function=function,
            oracle=oracle,
            student=(2, 3, 4),
            teacher=(2, 3, 4),
            choices=choices,
            scale_free=oracle is not oracles.mse,
        ),
        ", projected": Row(
            function=function,
            oracle=oracle,
            student=(6, 3),
            teacher=(6, 4),
            options={"projection": features(7, (3, 4))},
            choices=choices,
            scale_free=oracle is not oracles.mse,
        ),
    }


def attention(function, oracle, student, teacher, mask):
    shapes = {"student": (2, 2, *student), "teacher": (2, 2, *teacher)}
    other = {"student": (2, 2, *student), "teacher": (2, 3, *teacher)}
    fixed = {"function": function, "oracle": oracle, "scale_free": False}
    return {
        "": Row(**fixed, **shapes),
        ", masked": Row(**fixed, **shapes, options={"mask": mask}),
        ", mean heads": Row(**fixed, **other, options={"mask": mask, "heads": "mean"}),
    }


def coupled(function, oracle, **choices):
    fixed = {"function": function, "oracle": oracle, "student": (6, 3), "teacher": (6, 4), "choices": choices}
    return {"": Row(**fixed), ", masked": Row(**fixed, options={"mask": ROW_MASK})}


GROUPS = {
    "hidden_mse": hidden(feature.hidden_mse, oracles.mse),
    "hidden_mse, l2": hidden(feature.hidden_mse, oracles.normalized_mse, normalization="l2"),
    "hidden_cosine": hidden(feature.hidden_cosine, oracles.cosine),
    "attention_transfer": {
        f", exponent {exponent}": Row(
            function=feature.attention_transfer,
            oracle=oracles.attention_transfer,
            student=(2, 3, 2, 4),
            teacher=(2, 3, 2, 5),
            options={"exponent": exponent},
        )
        for exponent in (1.0, 2.0, 3.5)
    },
    "attention_mse": attention(feature.attention_mse, oracles.scores_mse, (3, 4), (3, 4), KEY_MASK),
    "attention_kl": attention(feature.attention_kl, oracles.scores_kl, (3, 4), (3, 4), KEY_MASK),
    "value_relation_kl": attention(
        feature.value_relation_kl,
        oracles.values_kl,
        (4, 3),
        (4, 5),
        jnp.array([[[True] * 4], [[True, True, False, True]]]),
    ),
    "rkd_distance": coupled(feature.rkd_distance, oracles.rkd_distance),
    "rkd_angle": coupled(feature.rkd_angle, oracles.rkd_angle),
    "similarity_preserving": coupled(feature.similarity_preserving, oracles.similarity_preserving),
    "cka_distance": coupled(feature.cka_distance, oracles.cka),
    "cka_distance, unbiased": coupled(feature.cka_distance, oracles.unbiased_cka, estimator="unbiased"),
    "info_nce": {
        "": Row(function=feature.info_nce, oracle=oracles.info_nce, student=(6, 4), teacher=(6, 4)),
        ", all options": Row(
            function=feature.info_nce,
            oracle=oracles.info_nce,
            student=(6, 3),
            teacher=(6, 4),
            options={
                "projection": features(7, (3, 4)),
                "temperature": 0.2,
                "mask": ROW_MASK,
                "labels": jnp.array([0, 0, 1, 0, 2, 1]),
                "negatives": features(8, (5, 4)),
            },
        ),
    },
}
ROWS = {name + suffix: row for name, group in GROUPS.items() for suffix, row in group.items()}

every_loss = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def test_the_table_is_complete():
    functions = {value for value in vars(feature).values() if inspect.isfunction(value)}
    assert functions == {row.function for row in ROWS.values()}


@every_loss
def test_equals_float64_numpy(row):
    student, teacher = row.sides(0)
    np.testing.assert_allclose(row(student, teacher), row.exact(student, teacher), rtol=5e-6, atol=1e-6)


@every_loss
def test_gradient(row):
    student, teacher = row.sides(1)
    to_student, to_teacher = jax.jit(jax.grad(row.total, (0, 1)))(student, teacher)
    assert jnp.abs(to_student).max() > 1e-3
    np.testing.assert_array_equal(to_teacher, 0)
    check_grads(
        jax.jit(lambda s: row.total(s, teacher)), (student,), order=1, modes=["rev"], rtol=2e-2, atol=2e-2, eps=1e-3
    )


@every_loss
@pytest.mark.parametrize("zero", ["student", "teacher", "both"])
def test_zeros_have_a_finite_gradient(row, zero):
    student, teacher = row.sides(2)
    student = student if zero == "teacher" else jnp.zeros_like(student)
    teacher = teacher if zero == "student" else jnp.zeros_like(teacher)
    value, gradient = jax.jit(jax.value_and_grad(row.total))(student, teacher)
    assert jnp.isfinite(value)
    assert jnp.isfinite(gradient).all()


@every_loss
@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_small_and_large_values_stay_accurate(row, scale):
    student, teacher = row.sides(3, scale)
    value, gradient = jax.jit(jax.value_and_grad(row.total))(student, teacher)
    assert jnp.isfinite(gradient).all()
    np.testing.assert_allclose(value, row.exact(student, teacher).sum(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.scale_free], ids=lambda row: row.function.__name__)
def test_the_scale_of_either_side_does_not_count(row):
    student, teacher = row.sides(4)
    np.testing.assert_allclose(row(student * 8, teacher / 4), row(student, teacher), rtol=1e-6, atol=1e-7)


@every_loss
def test_bfloat16_is_compared_in_float32(row):
    student, teacher = (side.astype(jnp.bfloat16) for side in row.sides(5))
    value = row(student, teacher)
    assert value.dtype == jnp.float32
    exact = row.exact(student.astype(jnp.float32), teacher.astype(jnp.float32))
    np.testing.assert_allclose(value, exact, rtol=5e-6, atol=1e-6)


@every_loss
def test_float64_is_kept(row):
    with jax.enable_x64(True):
        student, teacher = (jnp.asarray(np.float64(side)) for side in row.sides(6))
        value = row(student, teacher)
        assert value.dtype == jnp.float64
        np.testing.assert_allclose(value, row.exact(student, teacher), rtol=1e-11, atol=1e-14)


@every_loss
def test_nan_is_not_hidden(row):
    student, teacher = row.sides(7)
    for sides in (
        (student.at[(0,) * student.ndim].set(jnp.nan), teacher),
        (student, teacher.at[(0,) * teacher.ndim].set(jnp.nan)),
    ):
        assert jnp.isnan(row.total(*sides))


@every_loss
def test_transforms_change_nothing(row):
    batch = [row.sides(seed) for seed in (8, 9)]
    loop = jnp.stack([row(*sides) for sides in batch])
    student, teacher = (jnp.stack(side) for side in zip(*batch, strict=True))
    np.testing.assert_allclose(jax.jit(row)(*batch[0]), loop[0], rtol=5e-6, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(row)(student, teacher), loop, rtol=5e-6, atol=1e-6)


COUPLED = {
    name: ROWS[name]
    for name in (
        "rkd_distance",
        "rkd_angle",
        "similarity_preserving",
        "cka_distance",
        "cka_distance, unbiased",
        "info_nce",
    )
}
every_coupling_loss = pytest.mark.parametrize("row", COUPLED.values(), ids=COUPLED)


@every_coupling_loss
@pytest.mark.parametrize("junk", [1e4, jnp.nan])
def test_masked_rows_are_as_if_cut_off(row, junk):
    student, teacher = row.sides(12)

    def total(student, teacher, mask):
        return row.function(student, teacher, mask=mask, **row.choices).sum()

    at = jnp.array([0, 1, 3, 4, 5, 7])
    mask = jnp.zeros(8, bool).at[at].set(True)
    padded = [jnp.full((8, side.shape[1]), junk, jnp.float32).at[at].set(side) for side in (student, teacher)]
    value, gradient = jax.value_and_grad(total)(student, teacher, jnp.ones(6, bool))
    padded_value, padded_gradient = jax.jit(jax.value_and_grad(total))(*padded, mask)
    np.testing.assert_allclose(padded_value, value, rtol=2e-6)
    np.testing.assert_allclose(padded_gradient[at], gradient, rtol=1e-5, atol=2e-6)
    np.testing.assert_array_equal(padded_gradient[~mask], 0)


@every_coupling_loss
def test_no_rows_cost_nothing(row):
    student, teacher = row.sides(13)
    for mask in (jnp.zeros(6, bool), jnp.arange(6) == 2):
        value, gradient = jax.value_and_grad(lambda s, m: row.function(s, teacher, mask=m, **row.choices).sum())(
            student, mask
        )
        np.testing.assert_allclose(value, 0, atol=1e-6)
        np.testing.assert_allclose(gradient, 0, atol=1e-6)


@every_coupling_loss
@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_are_not_rows(row):
    student, teacher = row.sides(14)
    with pytest.raises(ValueError, match=r"matrices with a row for each example, got \(6, \d\) and \(5, \d\). Flatten"):
        row(student, teacher[:5])
    with pytest.raises(ValueError, match=r"matrices with a row for each example, got \(6, \d, 1\) and \(6, \d\)"):
        row(student[..., None], teacher)
    with pytest.raises(ValueError, match=r"mask must have an entry for each row, shape \(6,\), got \(5,\)"):
        row.function(student, teacher, mask=jnp.ones(5, bool))


@pytest.mark.parametrize("name", [name for name in GROUPS if name not in ("hidden_mse, l2", "cka_distance, unbiased")])
def test_eight_devices_change_nothing(name):
    row = dataclasses.replace(next(iter(GROUPS[name].values())), options={})
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    student, teacher = (features(seed, (8, *shape[1:])) for seed, shape in ((10, row.student), (11, row.teacher)))
    placed = jax.device_put((student, teacher), NamedSharding(mesh, PartitionSpec("data")))
    value, gradient = jax.jit(jax.value_and_grad(row.total))(student, teacher)
    placed_value, placed_gradient = jax.jit(jax.value_and_grad(row.total))(*placed)
    np.testing.assert_allclose(placed_value, value, rtol=5e-6)
    np.testing.assert_allclose(placed_gradient, gradient, rtol=1e-5, atol=1e-6)
