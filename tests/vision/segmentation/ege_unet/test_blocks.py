"""Blocks against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxkd.vision.layers import resize
from jaxkd.vision.segmentation.ege_unet.aggregation import GroupAggregationBridge
from jaxkd.vision.segmentation.ege_unet.hadamard import AxisMap, HadamardAttention
from tests.vision.segmentation.modules import call, drawn


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def test_a_map_of_factors_varies_along_its_own_axes():
    """Factors of the rows are one number for each row, whatever the number of columns."""
    module = drawn(lambda rngs: AxisMap(4, (8, 1), rngs=rngs))
    assert module.smooth.kernel[...].shape == (3, 1, 1, 4)
    assert module(5, 1).shape == (1, 5, 1, 4)


def test_initial_factors_are_1_and_one_dimensional_kernels_are_drawn_as_if_not_grouped():
    """Samples of 3 x 1024 numbers have standard deviations within 4 % of the distributions'."""
    module = AxisMap(1024, (1, 8), rngs=nnx.Rngs(0))
    assert bool(jnp.all(module.factors[...] == 1))
    np.testing.assert_allclose(module.smooth.kernel[...].std(), np.sqrt(2 / (3 * 1024)), rtol=0.04)
    assert 0.99 / np.sqrt(3) < float(jnp.max(jnp.abs(module.smooth.bias[...]))) <= 1 / np.sqrt(3)
    assert 0.99 / 32 < float(jnp.max(jnp.abs(module.mix.bias[...]))) <= 1 / 32


def test_quarters_are_multiplied_by_maps_of_plane_rows_and_columns():
    """The last depthwise convolution is made the identity but for its bias, and all else follows the formula."""
    module = drawn(lambda rngs: HadamardAttention(8, 5, positions=2, rngs=rngs))
    identity = np.zeros((3, 3, 1, 8), np.float32)
    identity[1, 1] = 1
    module.joint.kernel.set_value(jnp.asarray(identity))

    def expected(module, images):
        normed = module.norm(images)
        parts = [
            normed[..., 0:2] * module.plane(4, 6),
            normed[..., 2:4] * jnp.broadcast_to(module.rows(4, 1), (1, 4, 6, 2)),
            normed[..., 4:6] * jnp.broadcast_to(module.columns(1, 6), (1, 4, 6, 2)),
            module.local(jax.nn.gelu(module.local_mix(normed[..., 6:8]), approximate=False)),
        ]
        joint = module.joint_norm(jnp.concatenate(parts, axis=-1)) + module.joint.bias[...][None, None, None]
        return module.out(jax.nn.gelu(joint, approximate=False))

    values = images(2, 4, 6, 8)
    np.testing.assert_allclose(call(module, values), jax.jit(expected)(module, values), rtol=1e-5, atol=1e-5)


def test_a_bridge_pairs_quarters_under_the_mask():
    module = drawn(lambda rngs: GroupAggregationBridge(6, 8, 1, rngs=rngs))
    assert [module.groups[f"group{number}"].conv.dilation for number in range(4)] == [1, 2, 5, 7]

    def expected(module, coarse, fine, mask):
        above, parts = resize(module.project(coarse), (4, 6), align_corners=True), []
        for number in range(4):
            quarter = slice(2 * number, 2 * number + 2)
            group = jnp.concatenate([above[..., quarter], fine[..., quarter], mask], axis=-1)
            parts.append(module.groups[f"group{number}"](group))
        return module.out(module.joint_norm(jnp.concatenate(parts, axis=-1)))

    inputs = [images(1, *shape) for shape in ((2, 3, 6), (4, 6, 8), (4, 6, 1))]
    np.testing.assert_allclose(call(module, *inputs), jax.jit(expected)(module, *inputs), rtol=1e-5, atol=1e-5)
