"""Blocks and their gradients against the same formulas in torch."""

import numpy as np
import pytest

from jaxkd.vision.segmentation.missformer.decoder import DecoderStage, PatchExpand
from jaxkd.vision.segmentation.missformer.encoder import EncoderStage, MixBlock
from tests.vision.segmentation.modules import drawn
from tests.vision.segmentation.torch_oracle import assert_equal_with_gradients

pytestmark = pytest.mark.slow


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def normed(torch, x, layer):
    """Normalise the channels of maps whose channels come last."""
    return torch.nn.functional.layer_norm(x, x.shape[-1:], layer["scale"], layer["bias"])


def affine(x, layer):
    return x @ layer["kernel"] + layer["bias"]


def convolved(torch, x, layer, **options):
    kernel = layer["kernel"].permute(3, 2, 0, 1)
    return torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), kernel, layer["bias"], **options).permute(0, 2, 3, 1)


def attended(torch, x, layer, heads):
    reduction = layer["reduce"]["kernel"].shape[0] if "reduce" in layer else 1
    context = x
    if reduction > 1:
        context = normed(torch, convolved(torch, x, layer["reduce"], stride=reduction), layer["norm"])
    core, width = layer["core"], x.shape[-1]
    query = affine(x, core["query"]).flatten(1, 2)
    key, value = affine(context, core["key_value"]).flatten(1, 2).split(width, dim=-1)
    query, key, value = (one.unflatten(-1, (heads, -1)).transpose(1, 2) for one in (query, key, value))
    read = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    return affine(read.transpose(1, 2).flatten(2).reshape(x.shape), core["out"])


def block(torch, x, layer, heads):
    x = x + attended(torch, normed(torch, x, layer["attention_norm"]), layer["attention"], heads)
    own = layer["feed_forward"]
    inner = affine(normed(torch, x, layer["feed_forward_norm"]), own["inner"])
    local = convolved(torch, inner, own["local"], padding=1, groups=inner.shape[-1])
    return x + affine(torch.nn.functional.gelu(normed(torch, local + inner, own["norm"])), own["out"])


def expanded(torch, x, layer, factor):
    """`pixel_shuffle` takes the channels of each result from neighbouring ones; the layer's are apart."""
    b, h, w, _ = x.shape
    wide = (x @ layer["linear"]["kernel"]).reshape(b, h, w, factor**2, -1).transpose(3, 4).flatten(3)
    pixels = torch.nn.functional.pixel_shuffle(wide.permute(0, 3, 1, 2), factor).permute(0, 2, 3, 1)
    return normed(torch, pixels, layer["norm"])


@pytest.mark.parametrize(("heads", "reduction"), [(2, 1), (1, 2), (3, 4)])
def test_a_block(heads, reduction):
    module = drawn(lambda rngs: MixBlock(6, heads, reduction, "fan_in", unused_layers=False, rngs=rngs))
    assert_equal_with_gradients(module, (values(2, 4, 8, 6),), lambda torch, layer, x: block(torch, x, layer, heads))


@pytest.mark.parametrize("factor", [2, 4])
def test_patch_expanding(factor):
    module = drawn(lambda rngs: PatchExpand(8, 4, factor, rngs=rngs))
    assert_equal_with_gradients(
        module, (values(2, 3, 5, 8),), lambda torch, layer, x: expanded(torch, x, layer, factor)
    )


@pytest.mark.parametrize("first", [True, False])
def test_a_stage_of_the_encoder(first):
    module = drawn(
        lambda rngs: EncoderStage(3, 4, first=first, depth=2, heads=2, reduction=2, unused_layers=False, rngs=rngs)
    )

    def stage(torch, layer, x):
        stride, padding = (4, 3) if first else (2, 1)
        x = normed(torch, convolved(torch, x, layer["patches"], stride=stride, padding=padding), layer["patch_norm"])
        for place in range(2):
            x = block(torch, x, layer["blocks"][f"block{place}"], 2)
        return normed(torch, x, layer["norm"])

    assert_equal_with_gradients(module, (values(2, 16, 24, 3),), stage)


def test_a_stage_of_the_decoder():
    module = drawn(
        lambda rngs: DecoderStage(10, 6, 3, factor=2, heads=2, reduction=2, merges=True, unused_layers=False, rngs=rngs)
    )

    def stage(torch, layer, x, skip):
        x = affine(torch.cat([x, skip], dim=-1), layer["merge"])
        for place in range(2):
            x = block(torch, x, layer["blocks"][f"block{place}"], 2)
        return expanded(torch, x, layer["expand"], 2)

    assert_equal_with_gradients(module, (values(2, 4, 6, 4), values(2, 4, 6, 6)), stage)
