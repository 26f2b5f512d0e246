"""Colours of a hand, its light, and the photographs behind it."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float32

from jaxkd.data.images.hand_scenes.drawing import WINDOW
from jaxkd.data.images.hand_scenes.mesh import HandMesh
from jaxkd.data.images.scenes.scenery import draw_scenery
from jaxkd.rendering import Light, skin_albedo
from jaxkd.typing import Split

_FROM_ABOVE = np.array([0.0, -0.7, -0.5], np.float32)
"""Usual direction of the light: from above and from behind the wearer."""
_SHININESS = 10.0


def draw_albedo(rng: np.random.Generator, hand: HandMesh) -> Array:
    """Draw the colours of a hand, from light to dark skin."""
    return _albedo(hand.vertices, np.float32(rng.uniform()), jax.random.key(int(rng.integers(2**31))))


def draw_light(rng: np.random.Generator) -> Light:
    """Draw the light of a scene, mostly from above; its direction is in the headset's frame."""
    tint = rng.uniform(0.8, 1, size=3)
    drawn = {
        "direction": rng.normal(size=3) + _FROM_ABOVE,
        "colour": tint * rng.uniform(0.4, 1.2),
        "ambient": tint * rng.uniform(0.15, 0.5),
        "specular": rng.uniform(0, 0.15),
        "shininess": _SHININESS,
    }
    fields: dict[str, Any] = {name: np.asarray(value, np.float32) for name, value in drawn.items()}
    return Light(**fields)


def draw_backdrop(rng: np.random.Generator, split: Split) -> Float32[np.ndarray, "w w 3"]:
    """Draw the light from behind a hand, from photographs of a split."""
    scenery = draw_scenery(rng, split, WINDOW, WINDOW, lowest_horizon=WINDOW, margin=0.0)
    return scenery.albedo(WINDOW, WINDOW) * np.float32(rng.uniform(0.3, 1.0))


_albedo = jax.jit(lambda vertices, tone, key: skin_albedo(vertices, tone=tone, key=key))
