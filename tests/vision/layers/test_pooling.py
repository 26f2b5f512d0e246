"""Pooling against loops over windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.vision.layers import average_pool, max_pool, overlapping_max_pool


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


@pytest.mark.parametrize("sides", [(4, 7), (1, 2)])
def test_overlapping_windows_have_every_second_pixel_in_their_middle(sides):
    images = np.random.default_rng(0).normal(-9.0, 1.0, size=(2, *sides, 3)).astype(np.float32)
    starts = [range(0, side, 2) for side in sides]
    around = [
        [images[:, max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2].max((1, 2)) for c in starts[1]] for r in starts[0]
    ]
    expected = np.moveaxis(np.array(around), 2, 0)
    np.testing.assert_array_equal(overlapping_max_pool(jnp.asarray(images)), expected)
