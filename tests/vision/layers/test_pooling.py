"""Pooling against loops over windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.vision.layers import average_pool, max_pool


@pytest.mark.parametrize(("pool", "reduce"), [(average_pool, np.mean), (max_pool, np.max)])
@pytest.mark.parametrize("sides", [(4, 6), (5, 3), (1, 1)])
def test_windows_at_the_end_have_the_pixels_that_are_left(pool, reduce, sides):
    images = np.random.default_rng(0).normal(size=(2, *sides, 3)).astype(np.float32)
    starts = [range(0, side, 2) for side in sides]
    expected = [[reduce(images[:, r : r + 2, c : c + 2], axis=(1, 2)) for c in starts[1]] for r in starts[0]]
    found = pool(jnp.asarray(images), 2)
    np.testing.assert_allclose(found, np.moveaxis(np.array(expected), 2, 0), rtol=1e-6)
    gradient = jax.grad(lambda images: jnp.sum(pool(images, 2)))(jnp.asarray(images))
    assert float(jnp.sum(gradient)) == pytest.approx(found.size, rel=1e-6)
