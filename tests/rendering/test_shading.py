"""Radiance against hand values, and its gradient."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.rendering import Light, shade
from tests.losses.compiled import jitted

LIGHT = Light(
    direction=np.float32([0.0, -3.0, -3.0]),
    colour=np.float32([0.5, 1.0]),
    ambient=np.float32([0.1, 0.2]),
    specular=np.float32(0.25),
    shininess=np.float32(4.0),
)
AHEAD = np.float32([[0.0, 0.0, 2.0]])


def radiance(normal, *, light=LIGHT):
    return jitted(shade)(np.float32([normal]), AHEAD, np.float32([[0.5, 1]]), light=light)[0]


def test_hand_values():
    # The light stands 45 degrees above the camera: n.l = sqrt(1/2), and n.h = cos(22.5 degrees).
    facing, highlight = 0.5**0.5, 0.25 * np.cos(np.pi / 8) ** 4
    expected = [0.05 + (0.5 * facing + highlight) * 0.5, 0.2 + facing + highlight]
    np.testing.assert_allclose(radiance([0.0, 0.0, -5.0]), expected, rtol=1e-5)
    # Straight at the light; half way to it the highlight is greatest.
    np.testing.assert_allclose(radiance([0.0, -1.0, -1.0])[1], 1.2 + highlight, rtol=1e-5)
    np.testing.assert_allclose(
        radiance([0.0, -np.sin(np.pi / 8), -np.cos(np.pi / 8)])[1], 0.2 + np.cos(np.pi / 8) + 0.25, rtol=1e-5
    )


def test_what_is_turned_away_has_ambient_light_alone():
    for normal in ([0.0, 1.0, 1.0], [0.0, 1.0, 0.9], [0.0, 0.0, 0.0]):
        np.testing.assert_allclose(radiance(normal), [0.05, 0.2], rtol=1e-6)


def test_radiance_is_linear_in_the_light():
    double = dataclasses.replace(LIGHT, colour=2 * LIGHT.colour, ambient=2 * LIGHT.ambient)
    np.testing.assert_allclose(radiance([0.3, -0.2, -1.0], light=double), 2 * radiance([0.3, -0.2, -1.0]), rtol=1e-6)
    longer = dataclasses.replace(LIGHT, direction=7 * LIGHT.direction)
    np.testing.assert_allclose(radiance([0.3, -0.2, -1.0], light=longer), radiance([0.3, -0.2, -1.0]), rtol=1e-6)


def test_gradients_are_finite():
    def total(normals, positions, light):
        return jnp.sum(shade(normals, positions, jnp.ones((1, 2)), light=light))

    gradient = jitted(jax.grad(total, argnums=(0, 1, 2)))
    for normal in ([0, 0, 0], [0, 1, -1], [0, 0, 1], [0.3, -0.2, -1]):
        gradients = gradient(np.float32([normal]), 0 * AHEAD, LIGHT)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


@pytest.mark.usefixtures("unchecked_shapes")
def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"normals, positions and albedo must be \[\.\.\., 3\], \[\.\.\., 3\] and"):
        shade(AHEAD[:, :2], AHEAD, np.ones((1, 2)), light=LIGHT)
    with pytest.raises(
        ValueError, match=r"light must have a direction of \[3\] and a colour and ambient light of \[3\]"
    ):
        shade(AHEAD, AHEAD, np.ones((1, 3)), light=LIGHT)
