import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.sampling.threshold import keep_largest

keep = jax.jit(keep_largest, static_argnames="enough")


def by_sorting(values, weights, enough):
    kept = np.zeros(values.shape, bool)
    for row, (these, theirs) in enumerate(zip(values, weights, strict=True)):
        order = np.argsort(-these, kind="stable")
        short = np.cumsum(theirs[order]) < enough
        smallest = these[order[min(short.sum(), len(order) - 1)]]
        kept[row] = these >= smallest
    return kept


@pytest.mark.parametrize("enough", [1, 2, 7, 40])
def test_counting_keeps_what_a_sort_keeps(enough):
    values = np.random.default_rng(0).normal(size=(5, 40)).astype(np.float32)
    np.testing.assert_array_equal(
        keep(values, jnp.ones_like(values), enough=enough), by_sorting(values, np.ones(values.shape), enough)
    )


def test_weights_decide_and_values_order():
    random = np.random.default_rng(1)
    values = random.normal(size=(6, 50)).astype(np.float32) * 1e4
    weights = random.integers(0, 5, size=(6, 50)).astype(np.float32)
    for enough in (1, 10, 60):
        np.testing.assert_array_equal(keep(values, weights, enough=enough), by_sorting(values, weights, enough))


def test_values_of_every_kind_keep_their_order():
    tiny, huge = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max
    ordered = np.array([[-np.inf, -huge, -1.5, -1.0, -tiny, 0.0, tiny, 1.0, 1.5, huge, np.inf]], np.float32)
    for enough in range(1, 12):
        assert np.asarray(keep(ordered, jnp.ones_like(ordered), enough=enough)).sum() == enough


def test_equal_values_are_kept_together():
    values = jnp.array([[1.0, 2.0, 1.0, 0.0], [0.0, -0.0, -1.0, -2.0]])
    assert keep(values, jnp.ones((2, 4)), enough=2).tolist() == [[True, True, True, False], [True, True, False, False]]
    # Zeros of either sign are equal.
    assert keep(values, jnp.ones((2, 4)), enough=1).tolist()[1] == [True, True, False, False]


def test_too_little_weight_keeps_everything():
    values = jnp.array([[3.0, -jnp.inf, 2.0]])
    assert keep(values, jnp.full((1, 3), 0.1), enough=5.0).tolist() == [[True, True, True]]


def test_float64_is_compared_in_float64():
    with jax.enable_x64(True):
        values = jnp.array([[1.0, 1.0 + 1e-15, -1.0, -1.0 - 1e-15]], jnp.float64)
        for enough in range(1, 5):
            assert int(keep(values, jnp.ones_like(values), enough=enough).sum()) == enough
