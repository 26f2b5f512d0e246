"""Resizing against matrices of interpolation in NumPy, and its gradient against the transposed matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.vision.layers import repeat_pixels, resize

SIZES = [((3, 5), (6, 10)), ((4, 4), (8, 8)), ((5, 3), (7, 2)), ((1, 2), (2, 4)), ((6, 4), (3, 4)), ((4, 6), (1, 9))]


def interpolation(before, after, align_corners):
    """Matrix of linear interpolation, [after, before]: hat functions at the places of the results."""
    if align_corners:
        places = np.arange(after) * (before - 1) / max(after - 1, 1)
    else:
        places = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(before)))


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_values_and_gradients_are_those_of_the_matrices(before, after, align_corners):
    rows, columns = (interpolation(*sides, align_corners) for sides in zip(before, after, strict=True))
    generator = np.random.default_rng(0)
    images, gradient = generator.normal(size=(2, *before, 3)), generator.normal(size=(2, *after, 3))
    with jax.enable_x64(True):
        found, pull = jax.vjp(lambda images: resize(images, after, align_corners=align_corners), jnp.asarray(images))
        (pulled,) = pull(jnp.asarray(gradient))
    np.testing.assert_allclose(found, np.einsum("rh,bhwc,vw->brvc", rows, images, columns), atol=1e-12)
    np.testing.assert_allclose(pulled, np.einsum("rh,brvc,vw->bhwc", rows, gradient, columns), atol=1e-12)


def test_the_size_itself_changes_nothing():
    images = jnp.arange(12.0).reshape(1, 3, 4, 1)
    assert resize(images, (3, 4)) is images


def test_pixels_are_repeated_along_both_sides():
    images = jnp.arange(12.0).reshape(1, 2, 3, 2)
    expected = np.repeat(np.repeat(images, 4, axis=1), 4, axis=2)
    np.testing.assert_array_equal(repeat_pixels(images, 4), expected)
