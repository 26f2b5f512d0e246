import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxkd.vision.layers import Depthwise, conv

CASES = [(3, 1, (2, 5, 7, 3)), (3, 7, (1, 9, 4, 2)), ((1, 5), 2, (2, 1, 6, 3))]
"""Size, dilation, and shape of the images, which may be smaller than the kernel's reach."""


def layer(size, dilation, features, **options) -> Depthwise:
    normal = nnx.initializers.normal(1.0)
    return Depthwise(features, size, dilation=dilation, bias_init=normal, **options, rngs=nnx.Rngs(0))


def grouped(images, kernel, dilation):
    """Return XLA's grouped convolution."""
    reach = [(dilation * (length // 2),) * 2 for length in kernel.shape[:2]]
    return jax.lax.conv_general_dilated(
        images,
        kernel,
        (1, 1),
        reach,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[-1],
    )


@pytest.mark.parametrize(("size", "dilation", "shape"), CASES)
def test_it_is_the_grouped_convolution(size, dilation, shape):
    module, images = layer(size, dilation, shape[-1]), jax.random.normal(jax.random.key(1), shape)
    expected = grouped(images, module.kernel[...], dilation) + module.bias[...][None, None, None]
    np.testing.assert_allclose(module(images), expected, atol=1e-5)


def test_gradients_are_those_of_the_grouped_convolution():
    size, dilation, shape = 3, 2, (2, 5, 6, 3)
    module, images = layer(size, dilation, shape[-1], bias=False), jax.random.normal(jax.random.key(1), shape)
    definition, params = nnx.split(module)
    kernel, cotangent = module.kernel[...], jax.random.normal(jax.random.key(2), shape)

    def shifted(images, kernel):
        return nnx.merge(definition, nnx.State({"kernel": params["kernel"].replace(kernel)}))(images)

    found = jax.vjp(shifted, images, kernel)[1](cotangent)
    expected = jax.vjp(lambda images, kernel: grouped(images, kernel, dilation), images, kernel)[1](cotangent)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_sums_of_low_precision_are_of_float32():
    """Nine products summed in bfloat16 would be off by more than the result's own rounding, 2^-8 of it."""
    images = jax.random.uniform(jax.random.key(1), (1, 8, 8, 4), minval=1.0, maxval=2.0).astype(jnp.bfloat16)
    module = layer(3, 1, 4, kernel_init=nnx.initializers.ones)
    found = module(images)
    assert found.dtype == jnp.bfloat16
    exact = np.asarray(module(images.astype(jnp.float32)))
    np.testing.assert_allclose(found.astype(jnp.float32), exact, rtol=2**-8)


def test_weights_are_drawn_as_those_of_conv():
    """Two samples of 9 x 4096 have standard deviations within 1 % of that drawn from, sqrt(2 / 9)."""
    kernels = [
        Depthwise(4096, 3, rngs=nnx.Rngs(0)).kernel[...],
        conv(4096, 4096, 3, groups=4096, rngs=nnx.Rngs(1)).kernel[...],
    ]
    assert kernels[0].shape == kernels[1].shape == (3, 3, 1, 4096)
    np.testing.assert_allclose([kernel.std() for kernel in kernels], np.sqrt(2 / 9), rtol=0.01)


@pytest.mark.parametrize("size", [2, (3, 4)])
def test_an_even_size_is_refused(size):
    with pytest.raises(ValueError, match=r"size must be odd, so that the kernel has a central weight, got"):
        Depthwise(3, size, rngs=nnx.Rngs(0))


@pytest.mark.slow
@pytest.mark.parametrize(("size", "dilation", "shape"), CASES)
def test_it_is_the_depthwise_convolution_of_torch(size, dilation, shape):
    torch = pytest.importorskip("torch")
    module, images = layer(size, dilation, shape[-1]), jax.random.normal(jax.random.key(1), shape)
    weight, bias = (
        torch.from_numpy(np.array(one)).requires_grad_()
        for one in (module.kernel[...].transpose(3, 2, 0, 1), module.bias[...])
    )
    values = torch.from_numpy(np.array(images.transpose(0, 3, 1, 2))).requires_grad_()
    padding = tuple(dilation * (length // 2) for length in weight.shape[2:])
    expected = torch.nn.functional.conv2d(
        values, weight, bias, padding=padding, dilation=dilation, groups=shape[-1]
    ).permute(0, 2, 3, 1)
    definition, params = nnx.split(module)
    found, pull = jax.vjp(lambda params, images: nnx.merge(definition, params)(images), params, images)
    np.testing.assert_allclose(found, expected.detach(), atol=1e-5)
    cotangent = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected.backward(torch.from_numpy(cotangent))
    by_params, by_images = pull(jnp.asarray(cotangent))
    np.testing.assert_allclose(by_images, values.grad.permute(0, 2, 3, 1), atol=1e-5)
    np.testing.assert_allclose(by_params["kernel"][...], weight.grad.permute(2, 3, 1, 0), atol=1e-4)
    np.testing.assert_allclose(by_params["bias"][...], bias.grad, atol=1e-4)
