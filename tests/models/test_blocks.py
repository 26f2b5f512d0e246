import jax
import jax.numpy as jnp
import numpy as np

from jaxkd.models import blocks


def draw(*shapes):
    random = np.random.default_rng(0)
    return [jnp.asarray(random.normal(size=shape), jnp.float32) for shape in shapes]


def test_attention_equals_its_formula_in_float64():
    queries, keys, values = draw((2, 5, 4, 6), (2, 7, 2, 6), (2, 7, 2, 6))
    mask = np.random.default_rng(1).random((2, 5, 7)) < 0.6
    mask[:, :, 0] = True
    wide = [np.asarray(array, np.float64) for array in (queries, keys, values)]
    expected = np.empty((2, 5, 4, 6))
    for row, query, head in np.ndindex(2, 5, 4):
        scores = wide[1][row, :, head // 2] @ wide[0][row, query, head] / np.sqrt(6)
        probs = np.exp(scores) * mask[row, query]
        expected[row, query, head] = probs / probs.sum() @ wide[2][row, :, head // 2]
    np.testing.assert_allclose(blocks.attention(queries, keys, values, jnp.asarray(mask)), expected, atol=1e-6)


def test_a_query_that_sees_nothing_gets_the_mean_and_a_finite_gradient():
    queries, keys, values = draw((1, 1, 1, 2), (1, 3, 1, 2), (1, 3, 1, 2))
    mask = jnp.zeros((1, 1, 3), bool)
    np.testing.assert_allclose(blocks.attention(queries, keys, values, mask)[0, 0, 0], values[0].mean(0)[0], rtol=1e-5)
    grads = jax.grad(lambda *arrays: blocks.attention(*arrays, mask).sum(), argnums=(0, 1, 2))(queries, keys, values)
    assert all(jnp.isfinite(grad).all() for grad in grads)


def test_large_scores_in_bfloat16_stay_finite_and_choose_the_largest():
    queries = jnp.full((1, 1, 1, 4), 100.0, jnp.bfloat16)
    keys = jnp.array([1.0, 2.0, 1.9], jnp.bfloat16)[None, :, None, None] * jnp.full((1, 1, 1, 4), 100.0, jnp.bfloat16)
    values = jnp.array([5.0, 6.0, 7.0], jnp.bfloat16)[None, :, None, None] * jnp.ones((1, 1, 1, 4), jnp.bfloat16)
    mixed = blocks.attention(queries, keys, values, jnp.ones((1, 1, 3), bool))
    assert mixed.dtype == jnp.bfloat16
    np.testing.assert_array_equal(mixed.astype(jnp.float32).ravel(), [6, 6, 6, 6])
