"""The plain U-Net: its counts, and any size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.vision.segmentation.unet import UNet


@pytest.mark.parametrize(
    ("widths", "count"), [((12, 24, 48, 96, 184), 1_064_513), ((6, 8, 12, 16, 20), 29_493), ((4,), 273)]
)
def test_counts_follow_from_the_widths(widths, count):
    params, _ = UNet(widths=widths).abstract()
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count
    assert UNet().widths == (12, 24, 48, 96, 184)


def test_any_sides_are_taken_and_statistics_move_in_training():
    network = UNet(widths=(3, 4), classes=2)
    params, state = network.init(jax.random.key(0))
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 7, 10, 3)), jnp.uint8)
    maps, kept = network.apply(params, state, images)
    assert maps.logits.shape == (2, 7, 10, 2)
    assert [one.shape[1:] for one in maps.features] == [(7, 10, 3), (4, 5, 4), (7, 10, 3)]
    jax.tree.map(np.testing.assert_array_equal, state, kept)
    _, moved = network.apply(params, state, images, train=True, key=jax.random.key(1))
    assert all(bool(jnp.any(old != new)) for old, new in zip(*map(jax.tree.leaves, (state, moved)), strict=True))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"widths": ()}, r"widths must be one or more positive numbers, got \(\)\."),
        ({"widths": (8, 0)}, r"widths must be one or more positive numbers, got"),
        ({"classes": 0}, r"classes must be 1 or more, got 0\."),
    ],
)
def test_values_outside_their_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        UNet(**fields)
