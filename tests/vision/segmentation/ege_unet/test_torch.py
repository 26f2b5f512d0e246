"""Blocks and their gradients against the same formulas in torch, whose maps have their channels first."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.vision.segmentation.ege_unet import EGEUNet
from jaxkd.vision.segmentation.ege_unet.aggregation import DILATIONS, GroupAggregationBridge
from jaxkd.vision.segmentation.ege_unet.hadamard import HadamardAttention
from tests.vision.segmentation.modules import drawn
from tests.vision.segmentation.torch_oracle import assert_equal_with_gradients

pytestmark = pytest.mark.slow


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def normed(torch, x, layer):
    options = {"weight": layer["scale"], "bias": layer["bias"], "eps": 1e-6}
    return torch.nn.functional.layer_norm(x.movedim(1, -1), x.shape[1:2], **options).movedim(-1, 1)


def mixed(torch, x, layer):
    return torch.nn.functional.conv2d(x, layer["kernel"].T[:, :, None, None], layer["bias"])


def depthwise(torch, x, layer, dilation=1):
    kernel = layer["kernel"].permute(3, 2, 0, 1)
    options = {"padding": dilation, "dilation": dilation, "groups": x.shape[1]}
    return torch.nn.functional.conv2d(x, kernel, layer["bias"], **options)


def resized(torch, x, size):
    return torch.nn.functional.interpolate(x, size, mode="bilinear", align_corners=True)


def line(torch, length, layer):
    """Compute factors along one axis, [c, length], by 1-D convolutions."""
    features = layer["factors"].shape[-1]
    factors = layer["factors"].reshape(-1, features).T[None, None]
    factors = resized(torch, factors, (features, length))[0]
    kernel = layer["smooth"]["kernel"].reshape(3, features).T[:, None]
    smooth = torch.nn.functional.conv1d(factors, kernel, layer["smooth"]["bias"], padding=1, groups=features)
    return torch.nn.functional.conv1d(
        torch.nn.functional.gelu(smooth), layer["mix"]["kernel"].T[:, :, None], layer["mix"]["bias"]
    )[0]


def attention(torch, layer, images):
    gelu = torch.nn.functional.gelu
    first, second, third, fourth = normed(torch, images.permute(0, 3, 1, 2), layer["norm"]).chunk(4, dim=1)
    height, width = images.shape[1:3]
    plane = resized(torch, layer["plane"]["factors"].permute(0, 3, 1, 2), (height, width))
    first = first * mixed(torch, gelu(depthwise(torch, plane, layer["plane"]["smooth"])), layer["plane"]["mix"])
    second = second * line(torch, height, layer["rows"])[None, :, :, None]
    third = third * line(torch, width, layer["columns"])[None, :, None, :]
    fourth = depthwise(torch, gelu(mixed(torch, fourth, layer["local_mix"])), layer["local"])
    joint = normed(torch, torch.cat([first, second, third, fourth], dim=1), layer["joint_norm"])
    return mixed(torch, gelu(depthwise(torch, joint, layer["joint"])), layer["out"]).permute(0, 2, 3, 1)


def bridge(torch, layer, coarse, fine, mask):
    coarse, fine, mask = (one.permute(0, 3, 1, 2) for one in (coarse, fine, mask))
    above = resized(torch, mixed(torch, coarse, layer["project"]), fine.shape[2:])
    parts = []
    for place, (one, other) in enumerate(zip(above.chunk(4, dim=1), fine.chunk(4, dim=1), strict=True)):
        group = layer["groups"][f"group{place}"]
        masked = normed(torch, torch.cat([one, other, mask], dim=1), group["norm"])
        parts.append(depthwise(torch, masked, group["conv"], DILATIONS[place]))
    return mixed(torch, normed(torch, torch.cat(parts, dim=1), layer["joint_norm"]), layer["out"]).permute(0, 2, 3, 1)


@pytest.mark.parametrize("size", [(4, 6), (11, 9)])
def test_attention_by_hadamard_products(size):
    """Sizes below and above the 8 positions of the learnt factors."""
    module = drawn(lambda rngs: HadamardAttention(8, 5, positions=8, rngs=rngs))
    assert_equal_with_gradients(module, (values(2, *size, 8),), attention)


def test_a_bridge():
    module = drawn(lambda rngs: GroupAggregationBridge(6, 8, 2, rngs=rngs))
    inputs = (values(2, 3, 5, 6), values(2, 6, 10, 8), values(2, 6, 10, 2))
    assert_equal_with_gradients(module, inputs, bridge)


def network(torch, layer, images):
    """Compute logits and auxiliary ones, concatenated."""
    gelu, size = torch.nn.functional.gelu, images.shape[1:3]

    def transformed(x, stage):
        if "joint" in stage["transform"]:
            x = attention(torch, stage["transform"], x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        else:
            kernel = stage["transform"]["kernel"].permute(3, 2, 0, 1)
            x = torch.nn.functional.conv2d(x, kernel, stage["transform"]["bias"], padding=1)
        return torch.nn.functional.group_norm(x, 4, stage["norm"]["scale"], stage["norm"]["bias"])

    def last(x):
        return x.permute(0, 2, 3, 1)

    x, skips, auxiliary = images.permute(0, 3, 1, 2), [], []
    for place in range(5):
        x = gelu(torch.nn.functional.max_pool2d(transformed(x, layer["encoder"][f"stage{place}"]), 2))
        skips.append(x)
    x = gelu(attention(torch, layer["bottom"], last(x))).permute(0, 3, 1, 2)
    merged = x
    for place, skip in enumerate(reversed(skips)):
        stage = layer["decoder"][f"stage{place}"]
        x = gelu(resized(torch, transformed(x, stage), skip.shape[2:]))
        prediction = mixed(torch, x, stage["head"])
        merged = bridge(torch, stage["bridge"], last(merged), last(skip), last(prediction)).permute(0, 3, 1, 2)
        x = x + merged
        auxiliary.append(resized(torch, prediction, size))
    logits = resized(torch, mixed(torch, x, layer["head"]), size)
    return last(torch.cat([logits, *auxiliary], dim=1))


def test_the_network():
    """A gradient reaches every parameter, which the comparison requires of each."""
    tiny = EGEUNet(classes=2, widths=(8, 8, 8, 8, 8, 8), positions=2)

    def call(module, images):
        maps = module(images, train=False, rngs=None)
        return jnp.concatenate([maps.logits, *maps.auxiliary], axis=-1)

    assert_equal_with_gradients(drawn(tiny.module), (values(1, 64, 96, 3),), network, call=call)
