"""The fusion of the three granularities against its formula, and without its parts."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxkd.networks.functional import stateful
from jaxkd.vision.segmentation.granularity_fusion import (
    ChannelFusion,
    FastformerBlock,
    GranularityFusion,
    SpatialFusion,
)

FEATURES = 8


def fusion(rngs, *, spatial=True, channel=True, rate=0.0):
    return GranularityFusion(
        FEATURES,
        heads=2,
        variant="released",
        form="closed",
        rate=rate,
        spatial=spatial,
        channel=channel,
        rngs=rngs,
    )


def maps(count, sides=(5, 3)):
    generator = np.random.default_rng(0)
    return [jnp.asarray(generator.normal(size=(2, *sides, FEATURES)), jnp.float32) for _ in range(count)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_channel_fusion_mixes_by_channels():
    module = ChannelFusion(FEATURES, rngs=nnx.Rngs(0))
    first, second = maps(2)
    hidden = np.asarray(first + second).mean((1, 2)) @ np.asarray(module.squeeze.kernel[...])
    hidden = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-5)
    weights = sigmoid(np.maximum(hidden, 0) @ np.asarray(module.excite.kernel[...]))[:, None, None]
    np.testing.assert_allclose(module(first, second, train=True), weights * first + (1 - weights) * second, atol=1e-5)


def test_spatial_fusion_adds_up_by_pixels():
    module = SpatialFusion(FEATURES, rngs=nnx.Rngs(0))
    given = maps(3)
    reduced = [np.asarray(one) @ np.asarray(module.reduce.kernel[...]) for one in given]
    joined = np.concatenate(reduced, axis=-1)
    selected = jnp.asarray(np.stack([joined.mean(-1), joined.max(-1)], axis=-1))
    masks = sigmoid(np.asarray(module.select(selected)))
    expected = sum(masks[..., place, None] * one for place, one in enumerate(reduced))
    np.testing.assert_allclose(module(*given), expected @ np.asarray(module.expand.kernel[...]), atol=1e-4)


def test_the_three_attentions_form_a_cascade():
    """Coarser maps come from the output of the finer attention, and odd sides are cropped."""
    sides = (5, 3)
    module = fusion(nnx.Rngs(0))
    (images,) = maps(1, sides)

    def pooled(some):
        rows, columns = (np.add.reduceat(np.eye(side), range(0, side, 2), axis=0) for side in some.shape[1:3])
        rows, columns = (one / one.sum(1, keepdims=True) for one in (rows, columns))
        return jnp.einsum("rh,bhwc,vw->brvc", rows.astype(np.float32), some, columns.astype(np.float32))

    def enlarged(some, factor):
        return jnp.repeat(jnp.repeat(some, factor, axis=1), factor, axis=2)[:, : sides[0], : sides[1]]

    pixel = module.pixel(images)
    coarse = module.patch(pooled(pixel))
    patch, window = enlarged(coarse, 2), enlarged(module.window(pooled(coarse)), 4)
    expected = module.spatial(pixel, patch, window) * images + module.channel(patch, window, train=False)
    np.testing.assert_allclose(module(images, train=False, rngs=None), expected, rtol=1e-5, atol=1e-6)


def test_parts_can_be_left_out():
    (images,) = maps(1)
    whole = fusion(nnx.Rngs(0))
    terms = []
    for spatial, channel in ((True, False), (False, True), (False, False)):
        part = fusion(nnx.Rngs(0), spatial=spatial, channel=channel)
        assert [name for name in ("patch", "window", "spatial", "channel") if getattr(part, name) is not None] == (
            (["patch", "window"] if spatial or channel else []) + ["spatial"] * spatial + ["channel"] * channel
        )
        for name in ("pixel", "patch", "window", "spatial", "channel"):
            if getattr(part, name) is not None:
                setattr(part, name, getattr(whole, name))
        terms.append(part(images, train=False, rngs=None))
    np.testing.assert_allclose(whole(images, train=False, rngs=None), terms[0] + terms[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(terms[2], whole.pixel(images))


def test_masks_are_drawn_for_all_attentions_at_once():
    module = fusion(nnx.Rngs(0), rate=0.5)
    masks = module._masks((2, 5, 3, FEATURES), nnx.Rngs(dropout=0))
    assert [one.shape for pair in masks for one in pair] == [
        (2, 15, 2), (2, 15, FEATURES), (2, 6, 2), (2, 6, FEATURES), (2, 2, 2), (2, 2, FEATURES)
    ]  # fmt: skip
    (images,) = maps(1)
    draws = [module(images, train=True, rngs=nnx.Rngs(dropout=seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert float(jnp.max(jnp.abs(draws[0] - draws[2]))) > 1e-3


def test_a_block_normalises_twice_with_one_set_of_parameters():
    made = stateful(lambda rngs: FastformerBlock(FEATURES, fusion=fusion(rngs), rngs=rngs))
    assert made.params["norm"]["scale"].shape == (FEATURES,)
    module = FastformerBlock(FEATURES, fusion=fusion(nnx.Rngs(0)), rngs=nnx.Rngs(1))
    module.norm.scale[...], module.norm.bias[...] = jnp.arange(1.0, 9.0), jnp.arange(8.0)

    def normalised(x):
        return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5) * jnp.arange(
            1.0, 9.0
        ).reshape(1, 1, 1, 8) + jnp.arange(8.0).reshape(1, 1, 1, 8)

    (images,) = maps(1)
    u = normalised(images)
    z = normalised(u + module.fusion(u, train=False, rngs=None))
    expected = z + module.down(jax.nn.gelu(module.up(z), approximate=False))
    np.testing.assert_allclose(module(images, train=False, rngs=None), expected, rtol=1e-4, atol=1e-4)
