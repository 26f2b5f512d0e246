"""Blocks against their formulas in NumPy, with float64 and loops."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxkd.vision.segmentation.missformer.attention import EfficientAttention
from jaxkd.vision.segmentation.missformer.bridge import BridgeLayer, ReducedTokens
from jaxkd.vision.segmentation.missformer.decoder import PatchExpand
from jaxkd.vision.segmentation.missformer.encoder import EnhancedMixFFN
from jaxkd.vision.segmentation.missformer.weights import depthwise, linear, strided
from tests.vision.segmentation.modules import call, drawn

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def numbers(module: nnx.Module) -> dict:
    """Return the parameters in float64."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), nnx.to_pure_dict(nnx.state(module, nnx.Param)))


def affine(x, layer):
    return x @ layer["kernel"] + layer.get("bias", 0)


def normed(x, layer):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * layer["scale"] + layer["bias"]


def gelu(x):
    return x * np.vectorize(lambda one: (1 + math.erf(one / math.sqrt(2))) / 2)(x)


def reduced(x, layer):
    """Convolve windows that do not overlap."""
    size = layer["kernel"].shape[0]
    b, h, w, c = x.shape
    windows = x.reshape(b, h // size, size, w // size, size, c)
    return np.einsum("bhiwjc,ijcd->bhwd", windows, layer["kernel"]) + layer["bias"]


def attended(tokens, context, layer, heads):
    keys, others = np.split(affine(context, layer["key_value"]), 2, axis=-1)
    queries, keys, others = (
        one.reshape(*one.shape[:2], heads, -1) for one in (affine(tokens, layer["query"]), keys, others)
    )
    scores = np.exp(np.einsum("bnhd,bmhd->bhnm", queries, keys) / np.sqrt(queries.shape[-1]))
    read = np.einsum("bhnm,bmhd->bnhd", scores / scores.sum(-1, keepdims=True), others)
    return affine(read.reshape(tokens.shape), layer["out"])


def fed_forward(x, layer):
    inner = affine(x, layer["inner"])
    padded = np.pad(inner, ((0, 0), (1, 1), (1, 1), (0, 0)))
    local = sum(
        padded[:, row : row + x.shape[1], column : column + x.shape[2]] * layer["local"]["kernel"][row, column, 0]
        for row in range(3)
        for column in range(3)
    )
    return affine(gelu(normed(local + layer["local"]["bias"] + inner, layer["norm"])), layer["out"])


@pytest.mark.parametrize("reduction", [1, 2])
def test_attention_is_to_a_map_of_reduced_resolution(reduction):
    module = drawn(lambda rngs: EfficientAttention(6, 3, reduction, "fan_in", rngs=rngs))
    x, layer = values(2, 4, 6, 6), numbers(module)
    context = x if reduction == 1 else normed(reduced(x, layer["reduce"]), layer["norm"])
    expected = attended(x.reshape(2, -1, 6), context.reshape(2, -1, 6), layer["core"], 3).reshape(x.shape)
    np.testing.assert_allclose(call(module, x), expected, **TOLERANCE)


def test_a_feed_forward_network_adds_its_convolution_to_what_it_convolves():
    module = drawn(lambda rngs: EnhancedMixFFN(3, "fan_in", unused_layers=False, rngs=rngs))
    x = values(2, 4, 5, 3)
    np.testing.assert_allclose(call(module, x), fed_forward(x, numbers(module)), **TOLERANCE)


def test_expanding_turns_channels_into_pixels():
    """Channels of a pixel are those of its row's pixels above, from left to right, then of those below."""
    module = drawn(lambda rngs: PatchExpand(8, 4, 2, rngs=rngs))
    x, layer = values(1, 2, 3, 8), numbers(module)
    wide, expected = affine(x, layer["linear"]), np.zeros((1, 4, 6, 4))
    for row in range(4):
        for column in range(6):
            start = 4 * (2 * (row % 2) + column % 2)
            expected[:, row, column] = wide[:, row // 2, column // 2, start : start + 4]
    np.testing.assert_allclose(call(module, x), normed(expected, layer["norm"]), **TOLERANCE)


def test_tokens_of_reduced_maps_are_those_of_channel_first_memory():
    """A map of k tokens a pixel is reshaped from [b, k c, h w] to [b, c, k h w]; one that is not reduced, as it is."""
    module = drawn(lambda rngs: ReducedTokens((4, 12, 8), (2, 1, 2), rngs=rngs))
    maps = [values(2, 4, 4, 4), values(2, 1, 2, 12), values(2, 2, 4, 8)]
    layer = numbers(module)
    first = reduced(maps[0], layer["convs"]["stage0"]).transpose(0, 3, 1, 2).reshape(2, 4, -1).transpose(0, 2, 1)
    last = reduced(maps[2], layer["convs"]["stage2"]).transpose(0, 3, 1, 2).reshape(2, 4, -1).transpose(0, 2, 1)
    expected = normed(np.concatenate([first, maps[1].reshape(2, -1, 4), last], axis=1), layer["norm"])
    found = np.asarray(call(module, maps))
    # The order of the tokens is of no consequence to attention: they are compared as sets.
    for one, other in zip(found, expected, strict=True):
        distances = np.abs(one[:, None] - other[None]).max(-1)
        assert sorted(distances.argmin(1)) == list(range(len(other)))
        assert distances.min(1).max() < 1e-5


def test_a_layer_of_the_bridge_attends_across_maps_and_feeds_each_forward_at_its_width():
    module = drawn(lambda rngs: BridgeLayer((2, 6), (2, 1), unused_layers=False, rngs=rngs))
    maps, layer = [values(2, 4, 6, 2), values(2, 2, 3, 6)], numbers(module)
    tokens = np.concatenate([one.reshape(2, -1, 2) for one in maps], axis=1).astype(np.float64)
    own = normed(tokens, layer["attention_norm"])
    pixels = [own[:, :24].reshape(maps[0].shape), own[:, 24:].reshape(maps[1].shape)]
    context = call(module.reduced, [one.astype(np.float32) for one in pixels])
    tokens += attended(own, np.asarray(context), layer["attention"], 1)
    own = normed(tokens, layer["feed_forward_norm"])
    expected = [
        tokens[:, part].reshape(one.shape)
        + fed_forward(own[:, part].reshape(one.shape), layer["feed_forwards"][f"stage{place}"])
        for place, (part, one) in enumerate(zip((slice(0, 24), slice(24, None)), maps, strict=True))
    ]
    for found, other in zip(call(module, maps), expected, strict=True):
        np.testing.assert_allclose(found, other, **TOLERANCE)


def test_weights_of_the_encoder_are_those_of_torch_and_of_the_decoder_those_of_glorot():
    """Bounds of the uniform distributions, which the largest of thousands of draws reaches to within 1 %."""
    rngs = nnx.Rngs(0)
    for layer, weight, bias in (
        (linear(100, 400, "fan_in", rngs=rngs), 0.1, 0.1),
        (strided(100, 400, 2, "fan_in", stride=2, rngs=rngs), 0.05, 0.05),
        (depthwise(2000, 3, "fan_in", rngs=rngs), 1 / 3, 1 / 3),
        (linear(100, 50, "xavier", rngs=rngs), 0.2, 0.0),
        (depthwise(2000, 3, "xavier", rngs=rngs), math.sqrt(6 / (9 + 9 * 2000)), 0.0),
    ):
        np.testing.assert_allclose(float(jnp.abs(layer.kernel[...]).max()), weight, rtol=0.01)
        np.testing.assert_allclose(float(jnp.abs(layer.bias[...]).max()), bias, rtol=0.02)
