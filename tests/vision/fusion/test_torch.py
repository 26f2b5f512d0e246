"""The functions of the fusion in torch, with its paddings: values and gradients to 1e-6."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.vision.fusion import shape_weights, sobel_magnitude, ssim_map

try:
    import torch
except ImportError:  # the fast tests are collected without it
    torch = None

pytestmark = [pytest.mark.slow, pytest.mark.skipif(torch is None, reason="needs torch")]


@pytest.fixture(autouse=True)
def _float64():
    """In float32, sums of a few terms differ by more than the bound, in whichever order they are taken."""
    with jax.enable_x64(True):
        yield


def convolve(x, kernel, mode):
    """Correlate single channels, with a padding of torch's."""
    reach = kernel.shape[-1] // 2
    return torch.nn.functional.conv2d(torch.nn.functional.pad(x, (reach,) * 4, mode=mode), kernel[None, None])


def torch_edges(x):
    """Magnitude of images [b, h, w, c], as [b, 1, h, w]."""
    grey = x.mean(-1)[:, None]
    sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], dtype=torch.float64) / 8
    return torch.sqrt(convolve(grey, sobel, "replicate") ** 2 + convolve(grey, sobel.T, "replicate") ** 2 + 1e-6)


def torch_ssim(first, second, data_range=1.0):
    line = torch.exp(-((torch.arange(7, dtype=torch.float64) - 3) ** 2) / (2 * 1.5**2))
    kernel = torch.outer(line, line) / line.sum() ** 2
    mean_1, mean_2, square_1, square_2, product = (
        convolve(one, kernel, "reflect") for one in (first, second, first**2, second**2, first * second)
    )
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    alike = (2 * mean_1 * mean_2 + c1) * (2 * (product - mean_1 * mean_2) + c2)
    size = (mean_1**2 + mean_2**2 + c1) * (square_1 - mean_1**2 + square_2 - mean_2**2 + c2)
    return alike / (size + 1e-12)


def torch_weights(visible, thermal, edge_norm):
    edges = [torch_edges(images) for images in (visible, thermal)]
    both = torch.nn.functional.max_pool2d(torch.maximum(*edges), 3, stride=1, padding=1)
    if edge_norm == "l2":
        both, *edges = (torch.nn.functional.normalize(one, p=2.0, dim=(2, 3), eps=1e-12) for one in (both, *edges))
    elif edge_norm == "max":
        both, *edges = (one / one.amax((2, 3), keepdim=True) for one in (both, *edges))
    return torch.softmax(torch.cat([torch_ssim(both, one) for one in edges], dim=1), dim=1).permute(0, 2, 3, 1)


def compare(ours, theirs, *arrays):
    """Compare values, and gradients by a random vector."""
    given = [torch.from_numpy(one).requires_grad_() for one in arrays]
    expected = theirs(*given)
    found, pull = jax.vjp(jax.jit(ours), *map(jnp.asarray, arrays))
    np.testing.assert_allclose(found, expected.detach(), rtol=1e-6, atol=1e-6)
    cotangent = np.random.default_rng(9).normal(size=found.shape)
    expected.backward(torch.from_numpy(cotangent))
    for gradient, one in zip(pull(jnp.asarray(cotangent)), given, strict=True):
        np.testing.assert_allclose(gradient, one.grad, rtol=1e-6, atol=1e-6)


def images(seed, *shape):
    return np.random.default_rng(seed).random(shape)


@pytest.mark.parametrize("sides", [(8, 11), (4, 5), (1, 2)])
def test_edges(sides):
    compare(sobel_magnitude, lambda x: torch_edges(x)[:, 0], images(0, 2, *sides, 3))


@pytest.mark.parametrize("sides", [(8, 11), (4, 5)])
@pytest.mark.parametrize("data_range", [1.0, 2.0])
def test_similarity(sides, data_range):
    compare(
        lambda *pair: ssim_map(*pair, data_range=data_range),
        lambda *pair: torch_ssim(*(one[:, None] for one in pair), data_range=data_range)[:, 0],
        *(images(seed, 2, *sides) for seed in (1, 2)),
    )


@pytest.mark.parametrize("sides", [(8, 11), (4, 5)])
@pytest.mark.parametrize("edge_norm", ["l2", "none", "max"])
def test_weights(sides, edge_norm):
    compare(
        lambda *pair: shape_weights(*pair, edge_norm=edge_norm),
        lambda *pair: torch_weights(*pair, edge_norm=edge_norm),
        images(3, 2, *sides, 3),
        images(4, 2, *sides, 1),
    )
