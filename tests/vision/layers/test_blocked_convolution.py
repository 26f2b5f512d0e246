import functools

import jax
import numpy as np
import pytest

from jaxkd.vision.layers import blocked_convolution

SHAPES = [((1, 4, 4, 1), (3, 3, 1, 1)), ((2, 9, 6, 2), (5, 5, 2, 3)), ((1, 3, 2, 4), (7, 7, 4, 2))]
"""Images, which may be smaller than a block or than the kernel, and kernels."""


def drawn(shapes):
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=shape).astype(np.float32) for shape in shapes)


def plain(images, kernel):
    reach = kernel.shape[0] // 2
    return jax.lax.conv_general_dilated(
        images, kernel, (1, 1), [(reach, reach)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@functools.partial(jax.jit, static_argnums=0)
def value_and_grad(convolution, images, kernel):
    def loss(images, kernel):
        outputs = convolution(images, kernel)
        return (outputs * outputs).sum(), outputs

    (_, outputs), gradients = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(images, kernel)
    return outputs, gradients


@pytest.mark.parametrize("shapes", SHAPES)
def test_equals_a_convolution_of_one_output_at_a_time(shapes):
    given = drawn(shapes)
    found, expected = (value_and_grad(one, *given) for one in (blocked_convolution, plain))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.shape == other.shape
        # Sums of at most 7 * 7 * 4 products in another order, of a gradient whose terms are such sums.
        bound = 200 * np.finfo(np.float32).eps * np.abs(other).max()
        np.testing.assert_allclose(one, other, atol=bound)


def test_refusals():
    images, kernel = drawn(SHAPES[1])
    even = np.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0)))
    for wrong in (even, kernel[:, :, :1]):
        with pytest.raises(
            ValueError, match=r"kernel must be of an odd size and of 2 input channels, those of the images"
        ):
            blocked_convolution(jax.numpy.asarray(images), jax.numpy.asarray(wrong))
