"""Laws of every feature loss, driven by one table; what is special to each is in its own file."""

import dataclasses
import inspect
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxkd.losses import feature
from tests.losses.compiled import assert_equals_finite_differences, compiled
from tests.losses.feature import oracles
from tests.losses.feature.oracles import features

N = 8
"""Examples: one for each device."""
ROW_MASK = np.arange(N) % 3 != 1
KEY_MASK = np.random.default_rng(1).random((N, 3, 4)) < 0.7
KEY_MASK[1, 1] = False
PIXEL_MASK = np.random.default_rng(2).random((N, 3, 2)) < 0.7
PIXEL_MASK[1] = False
POSITION_MASK = np.arange(4 * N).reshape(N, 1, 4) % 7 != 6


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    function: Callable
    oracle: Callable
    student: tuple[int, ...]
    teacher: tuple[int, ...]
    arrays: dict = dataclasses.field(default_factory=dict)
    """Passed to the oracle as well."""
    options: dict = dataclasses.field(default_factory=dict)
    """Passed to the oracle as well; not traced."""
    choices: dict = dataclasses.field(default_factory=dict)
    """Passed to the function only: the oracle is of this choice."""
    scale_free: bool = True
    """The value does not change with the student's scale."""
    call: Callable | None = None
    """The function of student and teacher, where it takes them in another form."""

    def __call__(self, student, teacher, **arrays):
        arrays = {name: jnp.asarray(array) for name, array in (self.arrays | arrays).items()}
        return (self.call or self.function)(student, teacher, **arrays, **self.options, **self.choices)

    def compiled(self, student, teacher, **arrays):
        """The value of each example, or of all of them, and the gradients of its sum to both sides."""
        run = compiled(self.call or self.function, **self.options, **self.choices)
        return run(student, teacher, **self.arrays | arrays)

    def exact(self, student, teacher, **arrays):
        return self.oracle(student, teacher, **self.arrays | arrays, **self.options)

    def sides(self, seed, scale=1.0):
        return features(seed, self.student, scale), features(seed + 100, self.teacher, scale)


def reused_on_two_levels(student, teacher, *, kernel):
    """The first row of the maps, and the others; the head is a linear map."""
    split = [[maps[:, :1], maps[:, 1:]] for maps in (student, teacher)]
    return feature.head_reuse_kd(split[0], lambda kernel, maps, level: maps @ kernel, kernel, split[1])


def hidden(function, oracle, **choices):
    fixed = {"function": function, "oracle": oracle, "choices": choices, "scale_free": oracle is not oracles.mse}
    return {
        "": Row(**fixed, student=(N, 3, 4), teacher=(N, 3, 4)),
        ", projected": Row(**fixed, student=(N, 3), teacher=(N, 4), arrays={"projection": features(7, (3, 4))}),
    }


def attention(function, oracle, student, teacher, mask):
    shapes = {"student": (N, 2, *student), "teacher": (N, 2, *teacher)}
    other = {"student": (N, 2, *student), "teacher": (N, 3, *teacher)}
    fixed = {"function": function, "oracle": oracle, "scale_free": False}
    return {
        "": Row(**fixed, **shapes),
        ", masked": Row(**fixed, **shapes, arrays={"mask": mask}),
        ", mean heads": Row(**fixed, **other, arrays={"mask": mask}, options={"heads": "mean"}),
    }


def coupled(function, oracle, **choices):
    fixed = {"function": function, "oracle": oracle, "student": (N, 3), "teacher": (N, 4), "choices": choices}
    return {"": Row(**fixed), ", masked": Row(**fixed, arrays={"mask": ROW_MASK})}


GROUPS = {
    "hidden_mse": hidden(feature.hidden_mse, oracles.mse),
    "hidden_mse, l2": hidden(feature.hidden_mse, oracles.normalized_mse, normalization="l2"),
    "hidden_cosine": hidden(feature.hidden_cosine, oracles.cosine),
    "attention_transfer": {
        f", exponent {exponent}": Row(
            function=feature.attention_transfer,
            oracle=oracles.attention_transfer,
            student=(N, 3, 2, 4),
            teacher=(N, 3, 2, 5),
            options={"exponent": exponent},
        )
        for exponent in (1.0, 2.0, 3.5)
    },
    "channelwise_kd": {
        "": Row(
            function=feature.channelwise_kd,
            oracle=oracles.channelwise,
            student=(N, 3, 2, 4),
            teacher=(N, 3, 2, 4),
            scale_free=False,
        ),
        ", masked": Row(
            function=feature.channelwise_kd,
            oracle=oracles.channelwise,
            student=(N, 3, 2, 4),
            teacher=(N, 3, 2, 4),
            arrays={"mask": PIXEL_MASK},
            options={"temperature": 1.5},
            scale_free=False,
        ),
    },
    "head_reuse_kd": {
        "": Row(
            function=feature.head_reuse_kd,
            call=reused_on_two_levels,
            oracle=oracles.head_reuse,
            student=(N, 3, 2, 4),
            teacher=(N, 3, 2, 5),
            arrays={"kernel": features(7, (4, 5))},
            scale_free=False,
        )
    },
    "attention_mse": attention(feature.attention_mse, oracles.scores_mse, (3, 4), (3, 4), KEY_MASK),
    "attention_kl": attention(feature.attention_kl, oracles.scores_kl, (3, 4), (3, 4), KEY_MASK),
    "value_relation_kl": attention(feature.value_relation_kl, oracles.values_kl, (4, 3), (4, 5), POSITION_MASK),
    "rkd_distance": coupled(feature.rkd_distance, oracles.rkd_distance),
    "rkd_angle": coupled(feature.rkd_angle, oracles.rkd_angle),
    "similarity_preserving": coupled(feature.similarity_preserving, oracles.similarity_preserving),
    "cka_distance": coupled(feature.cka_distance, oracles.cka),
    "cka_distance, unbiased": coupled(feature.cka_distance, oracles.unbiased_cka, estimator="unbiased"),
    "info_nce": {
        "": Row(function=feature.info_nce, oracle=oracles.info_nce, student=(N, 4), teacher=(N, 4)),
        ", masked": Row(
            function=feature.info_nce,
            oracle=oracles.info_nce,
            student=(N, 4),
            teacher=(N, 4),
            arrays={"mask": ROW_MASK},
        ),
        ", all options": Row(
            function=feature.info_nce,
            oracle=oracles.info_nce,
            student=(N, 3),
            teacher=(N, 4),
            arrays={
                "projection": features(7, (3, 4)),
                "mask": ROW_MASK,
                "labels": np.array([0, 0, 1, 0, 2, 1, 1, 0]),
                "negatives": features(8, (5, 4)),
            },
            options={"temperature": 0.2},
        ),
    },
}
ROWS = {name + suffix: row for name, group in GROUPS.items() for suffix, row in group.items()}
PLAIN = {name: next(iter(group.values())) for name, group in GROUPS.items()}
FULLEST = {name: list(group.values())[-1] for name, group in GROUPS.items()}
COUPLED = {
    name: ROWS[f"{name}, masked"]
    for name in (
        "rkd_distance",
        "rkd_angle",
        "similarity_preserving",
        "cka_distance",
        "cka_distance, unbiased",
        "info_nce",
    )
}

every_loss = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
every_loss_in_full = pytest.mark.parametrize("row", FULLEST.values(), ids=FULLEST)
every_function = pytest.mark.parametrize("name", [name for name in GROUPS if "," not in name])
every_coupling_loss = pytest.mark.parametrize("row", COUPLED.values(), ids=COUPLED)


def test_the_table_is_complete():
    functions = {value for value in vars(feature).values() if inspect.isfunction(value)}
    assert functions == {row.function for row in ROWS.values()}
    assert {function.__name__ for function in functions} <= GROUPS.keys()


@every_loss
def test_equals_float64_numpy(row):
    student, teacher = row.sides(0)
    value, _ = row.compiled(student, teacher)
    np.testing.assert_allclose(value, row.exact(student, teacher), rtol=5e-6, atol=1e-6)


@every_loss
def test_gradient(row):
    student, teacher = row.sides(1)
    _, (to_student, to_teacher) = row.compiled(student, teacher)
    assert np.abs(to_student).max() > 1e-3
    np.testing.assert_array_equal(to_teacher, 0)
    assert_equals_finite_differences(row.compiled, student, teacher, rtol=2e-2, atol=2e-2, eps=1e-3)


@every_loss
@pytest.mark.parametrize("zero", ["student", "teacher", "both"])
def test_zeros_have_a_finite_gradient(row, zero):
    student, teacher = row.sides(2)
    student = student if zero == "teacher" else np.zeros_like(student)
    teacher = teacher if zero == "student" else np.zeros_like(teacher)
    value, (gradient, _) = row.compiled(student, teacher)
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()


@every_loss
@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_small_and_large_values_stay_accurate(row, scale):
    student, teacher = row.sides(3, scale)
    value, (gradient, _) = row.compiled(student, teacher)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(value.sum(), row.exact(student, teacher).sum(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.scale_free], ids=lambda row: row.function.__name__)
def test_the_scale_of_either_side_does_not_count(row):
    student, teacher = row.sides(4)
    value, _ = row.compiled(student, teacher)
    np.testing.assert_allclose(row.compiled(student * 8, teacher / 4)[0], value, rtol=1e-6, atol=1e-7)


@every_loss_in_full
def test_bfloat16_is_compared_in_float32(row):
    student, teacher = (side.astype(jnp.bfloat16) for side in row.sides(5))
    value, _ = row.compiled(student, teacher)
    assert value.dtype == np.float32
    exact = row.exact(student.astype(np.float32), teacher.astype(np.float32))
    np.testing.assert_allclose(value, exact, rtol=5e-6, atol=1e-6)


@every_loss_in_full
def test_float64_is_kept(row):
    student, teacher = (side.astype(np.float64) for side in row.sides(6))
    with jax.enable_x64(True):
        value, (gradient, _) = row.compiled(student, teacher)
        assert_equals_finite_differences(row.compiled, student, teacher, rtol=1e-7, atol=1e-9, eps=1e-5)
    assert value.dtype == gradient.dtype == np.float64
    np.testing.assert_allclose(value, row.exact(student, teacher), rtol=1e-11, atol=1e-14)


@every_loss
def test_nan_is_not_hidden(row):
    for broken in (0, 1):
        sides = row.sides(7)
        sides[broken].flat[0] = np.nan
        value, _ = row.compiled(*sides)
        assert np.isnan(value).any()


@every_function
def test_transforms_change_nothing(name):
    plain, fullest = PLAIN[name], FULLEST[name]
    student, teacher = plain.sides(8)
    eager = plain(jnp.asarray(student), jnp.asarray(teacher))
    np.testing.assert_allclose(plain.compiled(student, teacher)[0], eager, rtol=5e-6, atol=1e-6)
    batch = [fullest.sides(seed) for seed in (8, 9)]
    loop = np.stack([fullest.compiled(*sides)[0] for sides in batch])
    together = jax.jit(jax.vmap(fullest))(*(np.stack(side) for side in zip(*batch, strict=True)))
    np.testing.assert_allclose(together, loop, rtol=5e-6, atol=1e-6)


@every_coupling_loss
@pytest.mark.parametrize("junk", [1e4, np.nan])
def test_masked_rows_are_as_if_cut_off(row, junk):
    student, teacher = row.sides(12)
    value, (gradient, _) = row.compiled(student, teacher)
    cut = row.exact(student[ROW_MASK], teacher[ROW_MASK], mask=np.ones(ROW_MASK.sum(), bool))
    np.testing.assert_allclose(value[ROW_MASK] if value.ndim else value, cut, rtol=2e-6)
    student[~ROW_MASK], teacher[~ROW_MASK] = junk, junk
    padded_value, (padded_gradient, _) = row.compiled(student, teacher)
    np.testing.assert_array_equal(padded_value, value)
    np.testing.assert_allclose(padded_gradient[ROW_MASK], gradient[ROW_MASK], rtol=1e-5, atol=2e-6)
    np.testing.assert_array_equal(padded_gradient[~ROW_MASK], 0)


@every_coupling_loss
def test_no_rows_cost_nothing(row):
    student, teacher = row.sides(13)
    for mask in (np.zeros(N, bool), np.arange(N) == 2):
        value, (gradient, _) = row.compiled(student, teacher, mask=mask)
        np.testing.assert_allclose(value, 0, atol=1e-6)
        np.testing.assert_allclose(gradient, 0, atol=1e-6)


@every_coupling_loss
@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_are_not_rows(row):
    student, teacher = row.sides(14)
    with pytest.raises(ValueError, match=r"matrices with a row for each example, got \(8, \d\) and \(5, \d\). Flatten"):
        row(student, teacher[:5])
    with pytest.raises(ValueError, match=r"matrices with a row for each example, got \(8, \d, 1\) and \(8, \d\)"):
        row(student[..., None], teacher)
    with pytest.raises(ValueError, match=r"mask must have an entry for each row, shape \(8,\), got \(5,\)"):
        row(student, teacher, mask=np.ones(5, bool))


@every_function
def test_eight_devices_change_nothing(name):
    row = FULLEST[name]
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    student, teacher = row.sides(10)
    placed = jax.device_put((student, teacher), NamedSharding(mesh, PartitionSpec("data")))
    value, (gradient, _) = row.compiled(student, teacher)
    placed_value, (placed_gradient, _) = row.compiled(*placed)
    np.testing.assert_allclose(placed_value, value, rtol=5e-6)
    np.testing.assert_allclose(placed_gradient, gradient, rtol=1e-5, atol=1e-6)
