"""The feature pyramid: what reaches which level."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxkd.vision.detection.modules.pyramid import FPN
from tests.vision.segmentation.modules import call, drawn

SHAPES = ((1, 5, 7, 2), (1, 3, 4, 3), (1, 2, 2, 4))


def maps(seed=0):
    rng = np.random.default_rng(seed)
    return tuple(jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in SHAPES)


def identities(levels):
    """A pyramid whose lateral convolutions add the channels up, and whose others copy each first pixel."""
    pyramid = drawn(lambda rngs: FPN((2, 3, 4), 1, levels=levels, rngs=rngs))
    for convolution in (*pyramid.lateral.values(), *pyramid.output.values()):
        kernel = np.zeros(convolution.kernel.shape, np.float32)
        kernel[kernel.shape[0] // 2, kernel.shape[1] // 2] = 1
        convolution.kernel.set_value(jnp.asarray(kernel))
        convolution.bias.set_value(jnp.zeros_like(convolution.bias[...]))
    return pyramid


def test_a_coarser_map_is_added_with_its_pixels_repeated():
    c3, c4, c5 = (np.asarray(one).sum(-1)[0] for one in maps())
    p4 = c4 + c5.repeat(2, 0).repeat(2, 1)[:3, :4]
    p3 = c3 + p4.repeat(2, 0).repeat(2, 1)[:5, :7]
    found = call(identities(5), maps())
    expected = (p3, p4, c5, c5[::2, ::2], c5[::2, ::2][::2, ::2])
    assert [one.shape for one in found] == [(1, *two.shape, 1) for two in expected]
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one[0, :, :, 0], two, rtol=1e-5, atol=1e-5)


def test_nothing_is_cut_off_between_the_convolutions_of_stride_2():
    """Negative values reach P7: there is no ReLU on the way."""
    negative = tuple(-jnp.abs(one) - 1 for one in maps())
    assert all(float(one.max()) < 0 for one in call(identities(5), negative))


@pytest.mark.parametrize("levels", [3, 6])
def test_the_number_of_levels(levels):
    pyramid = nnx.eval_shape(lambda: FPN((2, 3, 4), 8, levels=levels, rngs=nnx.Rngs(0)))
    given = tuple(jax.ShapeDtypeStruct((1, side, side, c), jnp.float32) for side, c in ((64, 2), (32, 3), (16, 4)))
    found = nnx.eval_shape(lambda module, given: module(given), pyramid, given)
    assert [one.shape for one in found] == [(1, 64 // 2**place, 64 // 2**place, 8) for place in range(levels)]
    with pytest.raises(ValueError, match=r"levels must be 3 or more, those of the backbone, got 2\."):
        FPN((2, 3, 4), 8, levels=2, rngs=nnx.Rngs(0))
