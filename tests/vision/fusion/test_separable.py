import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxkd.vision.fusion.separable import separable_filter

VERTICAL, HORIZONTAL = (0.5, 0.0, -2.0, 1.0, 3.0), (1.0, -0.25, 0.0)


@pytest.mark.parametrize(("padding", "mode"), [("edge", "nearest"), ("reflect", "mirror")])
def test_it_is_the_correlation_with_the_outer_product(padding, mode):
    images = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(np.float32)
    found = separable_filter(jnp.asarray(images), VERTICAL, HORIZONTAL, padding=padding)
    kernel = np.outer(VERTICAL, HORIZONTAL)[None, None]
    expected = ndimage.correlate(images.astype(np.float64), kernel, mode=mode)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_it_is_a_sum_of_shifted_products_without_a_convolution():
    images = jnp.ones((2, 8, 8))
    run = jax.grad(lambda images: separable_filter(images, VERTICAL, HORIZONTAL, padding="edge").sum())
    names = {equation.primitive.name for equation in jax.make_jaxpr(run)(images).eqns}
    assert "mul" in names
    assert not {name for name in names if name.startswith("conv_general") or name == "scatter-add"}
