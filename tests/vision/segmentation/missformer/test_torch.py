"""Blocks and their gradients against the same formulas in torch."""

import numpy as np
import pytest

from jaxkd.vision.segmentation.missformer import MISSFormer
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


def read(torch, x, context, core, heads):
    """Attend from tokens to those of a context."""
    query = affine(x, core["query"])
    key, value = affine(context, core["key_value"]).split(x.shape[-1], dim=-1)
    query, key, value = (one.unflatten(-1, (heads, -1)).transpose(1, 2) for one in (query, key, value))
    return affine(
        torch.nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2), core["out"]
    )


def attended(torch, x, layer, heads):
    context = x
    if "reduce" in layer:
        reduction = layer["reduce"]["kernel"].shape[0]
        context = normed(torch, convolved(torch, x, layer["reduce"], stride=reduction), layer["norm"])
    return read(torch, x.flatten(1, 2), context.flatten(1, 2), layer["core"], heads).reshape(x.shape)


def fed_forward(torch, x, layer):
    inner = affine(x, layer["inner"])
    local = convolved(torch, inner, layer["local"], padding=1, groups=inner.shape[-1])
    return affine(torch.nn.functional.gelu(normed(torch, local + inner, layer["norm"])), layer["out"])


def block(torch, x, layer, heads):
    x = x + attended(torch, normed(torch, x, layer["attention_norm"]), layer["attention"], heads)
    return x + fed_forward(torch, normed(torch, x, layer["feed_forward_norm"]), layer["feed_forward"])


def bridged(torch, fine, coarse, layer):
    """Compute a layer of the bridge between a map of tokens' width, reduced by 2, and one that is not reduced."""
    width, count = fine.shape[-1], fine.shape[1] * fine.shape[2]
    tokens = torch.cat([fine.flatten(1, 2), coarse.reshape(coarse.shape[0], -1, width)], dim=1)
    own = normed(torch, tokens, layer["attention_norm"])
    small = convolved(torch, own[:, :count].reshape(fine.shape), layer["reduced"]["convs"]["stage0"], stride=2)
    context = normed(torch, torch.cat([small.flatten(1, 2), own[:, count:]], dim=1), layer["reduced"]["norm"])
    tokens = tokens + read(torch, own, context, layer["attention"], 1)
    own = normed(torch, tokens, layer["feed_forward_norm"])
    return [
        tokens[:, part].reshape(x.shape)
        + fed_forward(torch, own[:, part].reshape(x.shape), layer["feed_forwards"][f"stage{place}"])
        for place, (x, part) in enumerate(((fine, slice(count)), (coarse, slice(count, None))))
    ]


def encoded(torch, x, layer, heads, stride, padding):
    x = normed(torch, convolved(torch, x, layer["patches"], stride=stride, padding=padding), layer["patch_norm"])
    for place in range(len(layer["blocks"])):
        x = block(torch, x, layer["blocks"][f"block{place}"], heads)
    return normed(torch, x, layer["norm"])


def decoded(torch, x, skip, layer, heads, factor):
    x = affine(torch.cat([x, skip], dim=-1), layer["merge"])
    for place in range(2):
        x = block(torch, x, layer["blocks"][f"block{place}"], heads)
    return expanded(torch, x, layer["expand"], factor)


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

    stride, padding = (4, 3) if first else (2, 1)
    assert_equal_with_gradients(
        module, (values(2, 16, 24, 3),), lambda torch, layer, x: encoded(torch, x, layer, 2, stride, padding)
    )


def test_a_stage_of_the_decoder():
    module = drawn(
        lambda rngs: DecoderStage(10, 6, 3, factor=2, heads=2, reduction=2, merges=True, unused_layers=False, rngs=rngs)
    )

    assert_equal_with_gradients(
        module,
        (values(2, 4, 6, 4), values(2, 4, 6, 6)),
        lambda torch, layer, x, skip: decoded(torch, x, skip, layer, 2, 2),
    )


def test_the_network():
    tiny = MISSFormer(classes=2, widths=(4, 8), depths=(1, 2), heads=(1, 2), reductions=(2, 1), bridge_layers=2)

    def network(torch, layer, x):
        fine = encoded(torch, x, layer["encoder"]["stage0"], 1, 4, 3)
        coarse = encoded(torch, fine, layer["encoder"]["stage1"], 2, 2, 1)
        for place in range(2):
            fine, coarse = bridged(torch, fine, coarse, layer["bridge"]["layers"][f"layer{place}"])
        x = expanded(torch, coarse, layer["decoder"]["stage0"]["expand"], 2)
        return affine(decoded(torch, x, fine, layer["decoder"]["stage1"], 1, 4), layer["head"])

    assert_equal_with_gradients(
        drawn(tiny.module),
        (values(2, 16, 24, 3),),
        network,
        call=lambda module, images: module(images, train=False, rngs=None).logits,
    )
