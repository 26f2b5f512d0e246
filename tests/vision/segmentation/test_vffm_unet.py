"""Counts of VFFM-UNet's parameters and operations by part, its sizes, and its parts that are shared."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.training.planning.linear_maps import linear_multiply_adds
from jaxkd.vision.segmentation.vffm_unet import VFFMUNet

TINY = VFFMUNet(widths=(4, 4, 4, 4, 4, 4), heads=2)


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.fixture(scope="module", params=["released", "intended"])
def params(request):
    return VFFMUNet(variant=request.param).abstract()[0]


def test_parameters_are_those_of_the_paper(params):
    assert size(params) == 351_052
    assert [size(params["encoder"][f"stage{place}"]) for place in range(6)] == [
        224, 1_168, 3_480, 16_741, 30_035, 119_615
    ]  # fmt: skip
    assert [size(params["decoder"][f"stage{place}"]) for place in range(5)] == [61_585, 30_019, 6_936, 3_472, 1_160]
    assert size(params["head"]) == 73
    assert [size(params["connections"][f"stage{place}"]) for place in range(5)] == [
        41_520, 18_464, 10_392, 4_624, 1_160
    ]  # fmt: skip
    assert [size(params["norms"][f"width{place}"]) for place in range(6)] == [16, 32, 48, 64, 96, 128]


@pytest.mark.parametrize(
    ("stage", "side", "block", "attention", "channel_fusion"),
    [
        ("stage3", "before", 9_797, 2_400, 636),
        ("stage4", "before", 16_163, 3_968, 1_104),
        ("stage5", "before", 33_889, 8_256, 2_424),
        ("stage5", "after", 58_014, 14_080, 4_256),
    ],
)
def test_parameters_of_a_block_are_those_of_the_paper(params, stage, side, block, attention, channel_fusion):
    found = params["encoder"][stage][side]
    fusion = found["fusion"]
    assert size(found) == block
    assert [size(fusion[name]) for name in ("pixel", "patch", "window")] == [attention] * 3
    assert size(fusion["channel"]) == channel_fusion
    assert size(fusion["spatial"]["select"]) == 297


def multiply_adds(network):
    images = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.uint8)
    return linear_multiply_adds(
        lambda params, state, images: network.apply(params, state, images)[0].logits, *network.abstract(), images
    )


def test_multiply_adds_are_those_of_the_paper():
    assert multiply_adds(VFFMUNet(attention="quadratic")) == pytest.approx(0.49336e9, abs=1e5)


@pytest.mark.slow
def test_the_closed_form_maps_one_vector_where_the_quadratic_one_maps_it_for_each_token():
    assert multiply_adds(VFFMUNet(variant="intended")) == pytest.approx(0.49336e9, abs=1e5)
    assert multiply_adds(VFFMUNet()) == 485_814_976


def test_any_multiples_of_32_are_taken():
    sides = (96, 64)
    params, state = TINY.abstract()
    images = jax.ShapeDtypeStruct((2, *sides, 3), jnp.uint8)
    maps, _ = jax.eval_shape(lambda *arguments: TINY.apply(*arguments), params, state, images)
    assert maps.logits.shape == (2, *sides, 1)
    stages = [sides[0] >> place for place in (0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0)]
    assert [one.shape[1] for one in maps.features] == stages
    assert maps.auxiliary == ()


@pytest.mark.parametrize(
    ("sides", "near"), [((100, 64), "96 x 64"), ((16, 32), "32 x 32"), ((0, 32), "32 x 32"), ((80, 40), "64 x 32")]
)
def test_other_sides_are_refused(sides, near):
    with pytest.raises(
        ValueError,
        match=rf"images must have sides that are multiples of 32, got {sides[0]} x {sides[1]}\. "
        rf"Resize or pad them, for instance to {near}\.",
    ):
        TINY.apply({}, {}, jnp.zeros((1, *sides, 3), jnp.uint8))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variant": "other"}, r"variant must be one of released, intended, got 'other'\."),
        ({"attention": "other"}, r"attention must be one of closed, quadratic, got 'other'\."),
        ({"widths": (8, 16)}, r"widths must be 6 positive multiples of 4, got \(8, 16\)\."),
        ({"widths": (8, 16, 24, 32, 48, 66)}, r"widths must be 6 positive multiples of 4, got"),
        ({"heads": 0}, r"heads must be 1 or more, got 0\."),
        ({"classes": 0}, r"classes must be 1 or more, got 0\."),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, got 1\.0\."),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_values_outside_their_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        VFFMUNet(**fields)


@pytest.mark.slow
def test_both_forms_agree_and_norms_are_shared():
    """Scaling the GroupNorm of a width changes the encoder's stage and the decoder's."""
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 32, 64, 3)), jnp.uint8)
    params, state = TINY.init(jax.random.key(0))

    def apply(params, attention):
        network = VFFMUNet(widths=TINY.widths, heads=2, attention=attention)
        return network.apply(params, state, images)[0]

    apply = jax.jit(apply, static_argnums=1)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)
        closed, quadratic = apply(wide, "closed"), apply(wide, "quadratic")
        np.testing.assert_allclose(closed.logits, quadratic.logits, atol=1e-12)
    before = apply(params, "closed")
    params["norms"]["width2"] = jax.tree.map(lambda leaf: 2 * leaf, params["norms"]["width2"])
    after = apply(params, "closed")
    changed = [bool(jnp.any(one != other)) for one, other in zip(before.features, after.features, strict=True)]
    assert changed == [False, False, *[True] * 9]


@pytest.mark.slow
def test_training_moves_the_statistics_and_reaches_every_parameter():
    """All but the bias before a normalisation by the batch, and the weights of maps that have a single token."""
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)), jnp.uint8)
    params, state = TINY.init(jax.random.key(0))

    @jax.jit
    def step(params, state, key):
        def loss(params):
            maps, after = TINY.apply(params, state, images, train=True, key=key)
            return jnp.mean(jnp.square(maps.logits - 1)), after

        return jax.value_and_grad(loss, has_aux=True)(params)

    (value, moved), gradient = step(params, state, jax.random.key(1))
    (other, _), _ = step(params, state, jax.random.key(2))
    assert float(value) != float(other)
    assert all(bool(jnp.any(old != new)) for old, new in zip(*map(jax.tree.leaves, (state, moved)), strict=True))
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        assert np.all(np.isfinite(leaf))
        if name.endswith("channel/squeeze/bias"):
            assert float(jnp.max(jnp.abs(leaf))) < 1e-6
        elif not re.search(r"(patch|window)/(query|key)/", name):
            assert float(jnp.max(jnp.abs(leaf))) > 0, name
