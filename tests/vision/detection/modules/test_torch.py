"""A ResNet, a pyramid, a head and a branch against torch with the same random weights: values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.networks.functional import stateful
from jaxkd.vision.detection.modules import resnet
from jaxkd.vision.detection.modules.gfl_head import GFLHead
from jaxkd.vision.detection.modules.pyramid import FPN
from jaxkd.vision.detection.modules.resnet import ResNet
from jaxkd.vision.detection.modules.weak_branch import WeakBranch

try:
    import torch
    from torch.nn import functional as F
except ImportError:  # the fast tests are collected without it
    torch = F = None

pytestmark = [pytest.mark.slow, pytest.mark.skipif(torch is None, reason="needs torch")]

TOLERANCE = 1e-8
"""Largest deviation, of outputs and gradients, relative to the largest element; both sides compute in float64."""


def convolution(p, x, stride=1):
    weight = p["kernel"].permute(3, 2, 0, 1)
    return F.conv2d(x, weight, p.get("bias"), stride=stride, padding=weight.shape[-1] // 2)


def normalised(p, s, x):
    """By running statistics where there are any, and else by groups of two channels, or by 32."""
    if s:
        return F.batch_norm(x, s["mean"], s["variance"], p["scale"], p["bias"])
    return F.group_norm(x, min(x.shape[1] // 2, 32), p["scale"], p["bias"])


def block(p, s, x, stride):
    names = ("first", "second", "third") if "third" in p else ("first", "second")
    strided = "second" if "third" in p else "first"
    y = x
    for name in names:
        y = convolution(p[name], y, stride if name == strided else 1)
        y = normalised(p[f"{name}_norm"], s.get(f"{name}_norm"), y)
        y = y if name == names[-1] else F.relu(y)
    if "shortcut" in p:
        x = convolution(p["shortcut"]["conv"], x, stride)
        x = normalised(p["shortcut"]["norm"], s.get("shortcut", {}).get("norm"), x)
    return F.relu(x + y)


def residual_network(p, s, x):
    x = F.relu(normalised(p["stem_norm"], s.get("stem_norm"), convolution(p["stem"], x, 2)))
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    maps = []
    for name, stage in p["stages"].items():
        for number, each in enumerate(stage[f"block{place}"] for place in range(len(stage))):
            stride = 2 if name != "c2" and not number else 1
            x = block(each, s.get("stages", {}).get(name, {}).get(f"block{number}", {}), x, stride)
        maps.append(x)
    return maps


def pyramid(p, s, *maps):
    sums = [convolution(p["lateral"][f"p{3 + place}"], one) for place, one in enumerate(maps)]
    for place in (1, 0):
        sums[place] = sums[place] + F.interpolate(sums[place + 1], size=sums[place].shape[2:], mode="nearest")
    outputs = [convolution(p["output"][f"p{3 + place}"], one) for place, one in enumerate(sums)]
    for place in (6, 7):
        outputs.append(convolution(p["output"][f"p{place}"], outputs[-1], 2))
    return outputs


def tower(p, x):
    for name in p["convs"]:
        norm = p["norms"][name]
        x = F.relu(F.group_norm(convolution(p["convs"][name], x), 2, norm["scale"], norm["bias"]))
    return x


def head(p, s, *maps):
    features = [tower(p["class_tower"], one) for one in maps]
    classes = [convolution(p["classifier"], one) for one in features]
    edges = [
        convolution(p["edges"], tower(p["box_tower"], one)) * p["scales"][f"level{place}"]
        for place, one in enumerate(maps)
    ]
    return [*classes, *edges, *features]


def branch(p, s, *maps):
    images, masks = [], []
    for place, x in enumerate(maps):
        x = convolution(p["project"][f"c{3 + place}"], x)
        images.append(x.mean((2, 3)) @ p["image"]["kernel"])
        x = convolution(p["cells"], x)
        x = F.batch_norm(x, None, None, p["cells_norm"]["scale"], p["cells_norm"]["bias"], training=True)
        x = convolution(p["smooth"], F.relu(x))
        masks.append(F.batch_norm(x, None, None, p["smooth_norm"]["scale"], p["smooth_norm"]["bias"], training=True))
    return [*images, *masks]


def last(x):
    return x if x.ndim == 2 else np.moveaxis(x, 1, -1)


def compare(make, call, oracle, shapes):
    """Compare the outputs, and the gradients of their product with random arrays."""
    rng = np.random.default_rng(0)
    made = stateful(make)
    params = jax.tree.map(lambda leaf: rng.normal(0.0, 0.4, leaf.shape), made.params)
    state = jax.tree.map(lambda leaf: rng.uniform(0.5, 1.5, leaf.shape), made.state)
    inputs = [rng.normal(size=shape) for shape in shapes]

    theirs = jax.tree.map(lambda leaf: torch.tensor(leaf, requires_grad=True), params)
    statistics = jax.tree.map(torch.tensor, state)
    given = [torch.tensor(np.moveaxis(one, -1, 1).copy(), requires_grad=True) for one in inputs]
    expected = oracle(theirs, statistics, *given)
    directions = [rng.normal(size=one.shape) for one in expected]
    torch.autograd.backward(expected, [torch.from_numpy(np.asarray(one)) for one in directions])

    with jax.enable_x64(True):
        given_state = jax.tree.map(jnp.asarray, state)

        def ours(params, inputs):
            outputs = call(lambda *args, **kwargs: made.apply(params, given_state, *args, **kwargs)[0], inputs)
            # The bins of an edge are channels side by side.
            return [one.reshape(*one.shape[:3], -1) if one.ndim == 5 else one for one in outputs]

        arguments = jax.tree.map(jnp.asarray, (params, inputs))
        found, pull = jax.jit(lambda params, inputs: jax.vjp(ours, params, inputs))(*arguments)
        by_params, by_inputs = pull([jnp.asarray(last(one)) for one in directions])

    def close(found, expected):
        expected = np.asarray(expected)
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * max(np.abs(expected).max(), 1e-3))

    for one, two in zip(found, expected, strict=True):
        close(one, last(two.detach().numpy()))
    for one, two in zip(by_inputs, given, strict=True):
        close(one, last(two.grad.numpy()))
    jax.tree.map(lambda one, two: close(one, two.grad.numpy()), by_params, theirs)


@pytest.mark.parametrize(("depth", "norm"), [(18, "running"), (50, "running"), (50, "group")])
def test_residual_networks(monkeypatch, depth, norm):
    """Backbone of one block in three stages and two in the other, so that every kind of block is there."""
    monkeypatch.setitem(resnet.BLOCKS, depth, (1, 2, 1, 1))
    compare(
        lambda rngs: ResNet(depth, width=4, norm=norm, rngs=rngs),
        lambda apply, inputs: apply(*inputs, train=True),
        residual_network,
        [(2, 37, 50, 3)],
    )


def test_pyramid():
    compare(
        lambda rngs: FPN((3, 4, 5), 4, levels=5, rngs=rngs),
        lambda apply, inputs: apply(tuple(inputs)),
        pyramid,
        [(2, 9, 7, 3), (2, 5, 4, 4), (2, 3, 2, 5)],
    )


def test_head():
    compare(
        lambda rngs: GFLHead(4, 6, classes=3, levels=2, stacked=2, groups=2, bins=3, rngs=rngs),
        lambda apply, inputs: [one for maps in apply(tuple(inputs)) for one in maps],
        head,
        [(2, 5, 4, 4), (2, 3, 2, 4)],
    )


def test_branch_for_weak_supervision():
    def call(apply, inputs):
        maps = apply(tuple(inputs), train=True)
        return [*maps.image_logits, *maps.mask_logits]

    def make(rngs):
        made = WeakBranch((3, 4, 5), 6, classes=2, rngs=rngs)
        made.scores = None  # no image reaches it
        return made

    compare(make, call, branch, [(2, 5, 4, 3), (2, 3, 2, 4), (2, 2, 1, 5)])
