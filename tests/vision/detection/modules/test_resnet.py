"""Residual networks: shapes, blocks that begin as identities, and their normalisations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxkd.vision.detection.modules.normalization import GroupedNorm, RunningNorm, normalization
from jaxkd.vision.detection.modules.resnet import BasicBlock, Bottleneck, ResNet, stage_channels
from jaxkd.vision.layers import BatchNorm, GroupNorm

IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 5, 8)), jnp.float32)


def test_maps_are_rounded_up():
    depth, sides = 18, (33, 1)
    backbone = nnx.eval_shape(lambda: ResNet(depth, width=8, rngs=nnx.Rngs(0)))
    images = jax.ShapeDtypeStruct((2, *sides, 3), jnp.float32)
    maps = nnx.eval_shape(lambda module, images: module(images, train=False), backbone, images)
    cells = [tuple(-(-side // stride) for side in sides) for stride in (4, 8, 16, 32)]
    channels = stage_channels(depth, 8)
    assert [one.shape for one in maps] == [(2, *each, c) for each, c in zip(cells, channels, strict=True)]
    assert backbone.channels == channels


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_a_block_begins_as_its_shortcut(block):
    @jax.jit
    def initial():
        same = block(8, 8, stride=1, norm="group", rngs=nnx.Rngs(0))
        halved = block(8, 12, stride=2, norm="group", rngs=nnx.Rngs(0))
        return same(IMAGES, train=True), halved(IMAGES, train=True), halved.shortcut(IMAGES, train=True)

    same, halved, shortcut = initial()
    np.testing.assert_array_equal(same, np.maximum(IMAGES, 0))
    assert halved.shape == (2, 2, 3, 12)
    # Within one program, XLA may round the two differently.
    np.testing.assert_allclose(halved, np.maximum(shortcut, 0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("depth", "count", "norm", "kind"),
    [(10, 12, "group", GroupedNorm), (10, 12, "batch", BatchNorm), (50, 53, "running", RunningNorm)],
)
def test_every_normalisation_is_of_one_kind(depth, count, norm, kind):
    backbone = nnx.eval_shape(lambda: ResNet(depth, width=8, norm=norm, rngs=nnx.Rngs(0)))
    kinds = [type(module) for _, module in nnx.iter_modules(backbone) if isinstance(module, BatchNorm | GroupNorm)]
    assert kinds == [kind] * count


@pytest.mark.parametrize(("features", "groups"), [(64, 32), (256, 32), (48, 8), (8, 4), (6, 1), (2, 1), (1, 1)])
def test_groups_have_at_least_two_channels(features, groups):
    assert GroupedNorm(features).groups == groups


def test_running_statistics_stay_in_training_and_those_of_the_batch_move():
    for norm, moves in (("running", False), ("batch", True)):
        layer = normalization(8, norm)
        layer.mean.set_value(jnp.arange(8.0))
        layer.variance.set_value(jnp.arange(1.0, 9.0))
        evaluated = layer(IMAGES, train=False)
        expected = (np.asarray(IMAGES) - np.arange(8)) / np.sqrt(np.arange(1, 9) + 1e-5)
        np.testing.assert_allclose(evaluated, expected, rtol=1e-5, atol=1e-5)
        trained = layer(IMAGES, train=True)
        assert bool(jnp.any(trained != evaluated)) == moves
        assert bool(jnp.any(layer.mean[...] != jnp.arange(8.0))) == moves
        assert bool(jnp.any(layer.variance[...] != jnp.arange(1.0, 9.0))) == moves


def test_a_scale_of_0_lets_nothing_pass():
    for norm in ("group", "batch", "running"):
        assert not normalization(8, norm, zero=True)(IMAGES, train=True).any()
        assert normalization(8, norm)(IMAGES, train=True).any()
