"""Layers against torch's: values, gradients and running statistics to 1e-6."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxkd.vision.layers import BatchNorm, GroupNorm, average_pool, conv, gelu, max_pool, overlapping_max_pool, resize

try:
    import torch
except ImportError:  # the fast tests are collected without it
    torch = None

pytestmark = [pytest.mark.slow, pytest.mark.skipif(torch is None, reason="needs torch")]

SHAPE = (3, 6, 8, 8)


@pytest.fixture(autouse=True)
def _float64():
    """In float32, sums of a few terms differ by more than the bound, in whichever order they are taken."""
    with jax.enable_x64(True):
        yield


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def first(x):
    """Channels first."""
    return torch.from_numpy(np.moveaxis(x, -1, 1).copy()).requires_grad_()


def last(x):
    return np.moveaxis(x.detach().numpy(), 1, -1)


def compare(ours, theirs, x):
    """Compare values, and gradients by a random vector."""
    given = first(x)
    expected = theirs(given)
    found, pull = jax.vjp(ours, jnp.asarray(x))
    gradient = normal(*found.shape, seed=1)
    expected.backward(first(gradient).detach())
    np.testing.assert_allclose(found, last(expected), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(pull(jnp.asarray(gradient))[0], last(given.grad), rtol=1e-6, atol=1e-6)


def test_gelu_by_the_error_function():
    compare(gelu, torch.nn.functional.gelu, normal(*SHAPE))


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(12, 16), (5, 3), (7, 21)])
def test_bilinear_resizing(align_corners, size):
    def theirs(x):
        return torch.nn.functional.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)

    compare(lambda x: resize(x, size, align_corners=align_corners), theirs, normal(*SHAPE))


@pytest.mark.parametrize(
    ("ours", "name"),
    [(average_pool, "avg_pool2d"), (max_pool, "max_pool2d")],
)
@pytest.mark.parametrize("sides", [(6, 8), (5, 7)])
def test_pooling(ours, name, sides):
    """Torch drops windows at the end that are not full, or takes those that have fewer pixels, by `ceil_mode`."""
    theirs = getattr(torch.nn.functional, name)
    compare(lambda x: ours(x, 2), lambda x: theirs(x, 2, ceil_mode=True), normal(2, *sides, 3))


@pytest.mark.parametrize("sides", [(6, 8), (5, 7), (1, 2)])
def test_overlapping_max_pool(sides):
    theirs = torch.nn.functional.max_pool2d
    compare(overlapping_max_pool, lambda x: theirs(x, 3, stride=2, padding=1), normal(2, *sides, 3))


def test_group_norm():
    theirs = torch.nn.GroupNorm(4, 8, dtype=torch.float64)
    ours = GroupNorm(8, 4)
    for name, mine in (("weight", ours.scale), ("bias", ours.bias)):
        value = normal(8, seed=len(name))
        getattr(theirs, name).data = torch.from_numpy(value)
        mine[...] = jnp.asarray(value)
    definition, params = nnx.split(ours)
    x = 3 * normal(*SHAPE) + 1
    compare(ours, theirs, x)
    gradient = jax.grad(lambda params: jnp.sum(jnp.sin(nnx.merge(definition, params)(jnp.asarray(x)))))(params)
    theirs.zero_grad()
    torch.sin(theirs(first(x))).sum().backward()
    np.testing.assert_allclose(gradient["scale"][...], theirs.weight.grad, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradient["bias"][...], theirs.bias.grad, rtol=1e-6, atol=1e-6)


def test_batch_norm_over_several_steps_and_in_evaluation():
    theirs, ours = torch.nn.BatchNorm2d(8, dtype=torch.float64), BatchNorm(8)
    theirs.weight.data, ours.scale[...] = torch.from_numpy(normal(8, seed=3)), jnp.asarray(normal(8, seed=3))
    definition, *state = nnx.split(ours, nnx.Param, nnx.BatchStat)
    params, statistics = map(nnx.to_pure_dict, state)
    for step in range(4):
        x = (step + 1) * normal(*SHAPE, seed=step) + step

        def ours_in_training(x, statistics=statistics):
            module = nnx.merge(definition, params, statistics)
            return module(x, train=True), nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))

        compare(lambda x, ours=ours_in_training: ours(x)[0], theirs, x)
        _, statistics = ours_in_training(jnp.asarray(x))
        np.testing.assert_allclose(statistics["mean"], theirs.running_mean, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(statistics["variance"], theirs.running_var, rtol=1e-6, atol=1e-6)
    theirs.eval()
    compare(lambda x: nnx.merge(definition, params, statistics)(x, train=False), theirs, normal(*SHAPE, seed=9))


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"dilation": 3}, {"groups": 4}, {"padding": 0}])
def test_convolution(options):
    ours = conv(8, 12, 3, rngs=nnx.Rngs(0), **options)
    padding = options.get("padding", options.get("dilation", 1))
    theirs = torch.nn.Conv2d(8, 12, 3, **{"padding": padding, "dtype": torch.float64} | options)
    theirs.weight.data = torch.from_numpy(np.asarray(ours.kernel[...], float).transpose(3, 2, 0, 1).copy())
    theirs.bias.data = torch.zeros(12, dtype=torch.float64)
    compare(ours, theirs, normal(2, 9, 7, 8))
