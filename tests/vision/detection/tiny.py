"""Tiny detectors and images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxkd.vision.detection import EarlyFusion, MediumFusion

FIELDS = {
    "depth": 10,
    "width": 4,
    "pyramid_width": 4,
    "levels": 3,
    "stacked": 1,
    "groups": 2,
    "bins": 3,
    "classes": 2,
}

IMAGES = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 32, 40, 4)), jnp.uint8)
"""Visible and thermal; the sides are 4 x 5 cells of the finest level, and 1 x 2 of the coarsest."""


def early(**changes):
    return EarlyFusion(**FIELDS | {"stem": "plain"} | changes)


def medium(**changes):
    return MediumFusion(**FIELDS | changes)


@functools.lru_cache(maxsize=32)
def forward(network):
    """The network's evaluation, compiled once."""
    return jax.jit(lambda params, images: network.apply(params, network.abstract()[1], images)[0])


def outputs_of(maps):
    return (*maps.class_logits, *maps.edge_logits, *maps.tower)


def assert_equal(found, expected):
    """Equal to the rounding of sums in another order, relative to each map's size."""
    for one, two in zip(outputs_of(found), outputs_of(expected), strict=True):
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-4 * float(jnp.abs(two).max()))


def paths(tree):
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in jax.tree.leaves_with_path(tree)]
