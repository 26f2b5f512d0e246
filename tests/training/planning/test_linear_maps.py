"""Multiply-adds of linear maps, against hand counts."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jaxkd.training.planning.linear_maps import linear_multiply_adds

W, X = jax.ShapeDtypeStruct((4, 4), jnp.float32), jax.ShapeDtypeStruct((10, 4), jnp.float32)
MAP = 10 * 4 * 4


def scanned(w, x):
    """A body that applies what it carries: parameters in the first round, of the inputs later."""
    return lax.scan(lambda carry, _: (carry @ w, None), x, None, length=3)[0]


def carried(w, x):
    """The first round multiplies parameters alone; what is carried then depends on the inputs."""
    return lax.scan(lambda carry, _: ((x.T @ x) @ carry @ w, None), w, None, length=5)[0]


@pytest.mark.parametrize(
    ("function", "count"),
    [
        (lambda w, x: x @ w, MAP),
        (jax.jit(lambda w, x: x @ (2 * w.T)), MAP),
        (lambda w, x: (x @ w) @ x.T @ x, MAP),
        (lambda w, x: x @ (w @ w), MAP),
        (lambda w, x: x @ jnp.ones((4, 4)), 0),
        (lambda w, x: (x * jnp.sum(w)) @ x.T, 0),
        (scanned, 3 * MAP),
        (carried, 5 * 4 * 4 * 4),
        (lambda w, x: lax.cond(x[0, 0] > 0, lambda x: x @ w @ w, lambda x: x @ w, x), 2 * MAP),
        (jax.checkpoint(lambda w, x: jax.nn.gelu(x @ w)), MAP),
        (lambda w, x: jax.nn.relu(x @ w) @ w, 2 * MAP),
    ],
    ids=[
        "map", "jit", "attention", "parameters alone", "constant", "inputs alone", "scan", "carry", "cond",
        "checkpoint", "custom derivative",
    ],
)  # fmt: skip
def test_counts_are_those_by_hand(function, count):
    assert linear_multiply_adds(function, W, X) == count


def test_convolutions_count_their_kernels():
    kernel, images = jax.ShapeDtypeStruct((3, 3, 2, 5), jnp.float32), jax.ShapeDtypeStruct((1, 6, 6, 2), jnp.float32)

    def convolved(kernel, images):
        return lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    assert linear_multiply_adds(convolved, kernel, images) == 36 * 9 * 2 * 5


def test_an_unknown_number_of_rounds_is_refused():
    def loop(w, x):
        return lax.while_loop(lambda x: x[0, 0] > 0, lambda x: x @ w, x)

    with pytest.raises(ValueError, match=r"a loop of multiply-adds must have a known number of rounds, got a while"):
        linear_multiply_adds(loop, W, X)
