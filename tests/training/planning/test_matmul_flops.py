"""Operations of a program, against hand counts, and those of a decoder against its formula."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from jaxkd.models.transformer import decoder
from jaxkd.training.planning.matmul_flops import matmul_flops
from tests.models import tiny

A, B = jax.ShapeDtypeStruct((4, 5), jnp.float32), jax.ShapeDtypeStruct((5, 6), jnp.float32)
SQUARE = jax.ShapeDtypeStruct((8, 8), jnp.float32)
PRODUCT = 2 * 4 * 5 * 6
POWER = 2 * 8**3


def scanned(x, length):
    return lax.scan(lambda carry, _: (carry @ carry, None), x, None, length=length)[0]


@pytest.mark.parametrize(
    ("function", "arguments", "count"),
    [
        (jnp.matmul, (A, B), PRODUCT),
        (jax.jit(jnp.matmul), (A, B), PRODUCT),
        (lambda a, b: jnp.sin(a) @ b + 1, (A, B), PRODUCT),
        (jax.vmap(jnp.matmul, in_axes=(None, 0)), (A, jax.ShapeDtypeStruct((3, 5, 6), jnp.float32)), 3 * PRODUCT),
        (jax.grad(lambda a, b: jnp.sum((a @ b) ** 2), argnums=(0, 1)), (A, B), 3 * PRODUCT),
        (lambda x: scanned(x, 7), (SQUARE,), 7 * POWER),
        (lambda x: lax.scan(lambda c, _: (scanned(c, 3), None), x, None, length=5)[0], (SQUARE,), 15 * POWER),
        (jax.grad(lambda x: jnp.sum(jax.checkpoint(lambda y: jnp.sin(y @ y) @ y)(x))), (SQUARE,), 7 * POWER),
        (lambda x: lax.cond(x[0, 0] > 0, lambda y: y @ y @ y, lambda y: y @ y, x), (SQUARE,), 2 * POWER),
        (lambda x: lax.while_loop(lambda y: y[0, 0] > 0, lambda y: y @ y, x), (SQUARE,), POWER),
        (lambda x: x + x, (SQUARE,), 0),
        (
            lambda image, kernel: lax.conv(image, kernel, (1, 1), "VALID"),
            (jax.ShapeDtypeStruct((2, 3, 9, 9), jnp.float32), jax.ShapeDtypeStruct((4, 3, 2, 2), jnp.float32)),
            2 * (2 * 4 * 8 * 8) * (3 * 2 * 2),
        ),
    ],
    ids=[
        "product", "jit", "element-wise", "vmap", "gradient", "scan", "scan of scans", "checkpoint", "cond", "while",
        "none", "convolution",
    ],
)  # fmt: skip
def test_counts_are_those_by_hand(function, arguments, count):
    assert matmul_flops(jax.make_jaxpr(function)(*arguments).jaxpr) == count


def test_the_parts_of_a_product_are_counted_on_all_devices():
    mesh = jax.make_mesh((2, 2), ("data", "tensor"), (AxisType.Auto,) * 2, devices=jax.devices()[:4])
    halves = jax.shard_map(
        jnp.matmul, mesh=mesh, in_specs=(P("data"), P(None, "tensor")), out_specs=P("data", "tensor")
    )
    assert matmul_flops(jax.make_jaxpr(halves)(A, B).jaxpr) == PRODUCT


def test_a_decoder_needs_what_its_formula_says():
    """Two operations for each weight and token, and the scores and mixtures of attention."""
    config, rows, length = tiny.golden_config("llama"), 2, 16
    params = jax.eval_shape(lambda: tiny.random_params(config))
    tokens = jax.ShapeDtypeStruct((rows, length), jnp.int32)

    def hiddens(params, tokens):
        positions = jnp.broadcast_to(jnp.arange(length), tokens.shape)
        return decoder.hidden_states(config, params, tokens, positions=positions, segment_ids=None)

    matrices = sum(leaf.size for leaf in jax.tree.leaves(params["blocks"]) if leaf.ndim > 2)
    attention = config.depth * 2 * config.heads * config.head_dim * length  # scores and mixtures, a token
    expected = 2 * rows * length * (matrices + attention)
    assert matmul_flops(jax.make_jaxpr(hiddens)(params, tokens).jaxpr) == expected
