"""A block of VFFM-UNet against its formulas in torch: values and gradients to 1e-5."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.networks.functional import stateful
from jaxkd.vision.segmentation.vffm_unet import VFFMUNet

try:
    import torch
    from torch.nn import functional as F
except ImportError:  # the fast tests are collected without it
    torch = F = None

pytestmark = [pytest.mark.slow, pytest.mark.skipif(torch is None, reason="needs torch")]

C, HEADS, H, W = 24, 12, 8, 16


def linear(p, x):
    return x @ p["kernel"] + p.get("bias", 0.0)


def layer_norm(p, x):
    return F.layer_norm(x, (C,), p["scale"], p["bias"])


def channelwise(p, x):
    """A convolution of size 1 on [b, c, h, w]."""
    return F.conv2d(x, p["kernel"].T[:, :, None, None], p["bias"])


def attention(p, x):
    b, c, h, w = x.shape
    tokens = x.reshape(b, h * w, c)
    queries = linear(p["query"], tokens)[..., None]
    q = (torch.softmax(queries, dim=-1) * queries).sum(2)
    z = F.gelu(layer_norm(p["norm"], linear(p["transform"], tokens)))
    products = q * linear(p["key"], z)
    beta = torch.ones_like(products)
    pooled = [F.avg_pool1d(one.transpose(1, 2), 2) for one in (beta, products)]
    scores = pooled[0][..., :, None] * pooled[1][..., None, :]
    scores = F.interpolate(scores, scale_factor=2, mode="bilinear", align_corners=False)
    weights = torch.softmax((c // HEADS) ** -0.5 * scores, dim=-1).sum(1)
    return linear(p["project"], weights @ linear(p["value"], z)).reshape(b, c, h, w)


def channel_fusion(p, a, b):
    squeezed = linear(p["squeeze"], (a + b).mean((2, 3)))
    squeezed = F.batch_norm(squeezed, None, None, p["norm"]["scale"], p["norm"]["bias"], training=True)
    g = torch.sigmoid(linear(p["excite"], F.relu(squeezed)))[..., None, None]
    return g * a + (1 - g) * b


def spatial_fusion(p, maps):
    reduced = [channelwise(p["reduce"], one) for one in maps]
    joined = torch.cat(reduced, 1)
    statistics = torch.cat([joined.mean(1, keepdim=True), joined.max(1, keepdim=True).values], 1)
    kernel = p["select"]["kernel"].permute(3, 2, 0, 1)
    masks = torch.sigmoid(F.conv2d(statistics, kernel, p["select"]["bias"], padding=3))
    return channelwise(p["expand"], sum(masks[:, i : i + 1] * one for i, one in enumerate(reduced)))


def block(p, x):
    def normalised(x):
        return layer_norm(p["norm"], x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    fusion = p["fusion"]
    u = normalised(x)
    a1 = attention(fusion["pixel"], u)
    coarse = attention(fusion["patch"], F.avg_pool2d(a1, 2))
    a2 = F.interpolate(coarse, scale_factor=2, mode="nearest")
    a3 = F.interpolate(attention(fusion["window"], F.avg_pool2d(coarse, 2)), scale_factor=4, mode="nearest")
    y = u + spatial_fusion(fusion["spatial"], (a1, a2, a3)) * u + channel_fusion(fusion["channel"], a2, a3)
    z = normalised(y)
    return z + channelwise(p["down"], F.gelu(channelwise(p["up"], z)))


@pytest.mark.parametrize("form", ["closed", "quadratic"])
def test_a_released_block(form):
    generator = np.random.default_rng(0)
    network = VFFMUNet(attention=form, dropout=0.0)
    made = stateful(lambda rngs: network.block(C, rngs))
    # Weights of size 0.3, of which no term of the block is negligible.
    params = jax.tree.map(lambda leaf: generator.normal(0, 0.3, leaf.shape), made.params)
    x, gradient = generator.normal(size=(3, H, W, C)), generator.normal(size=(3, H, W, C))
    with jax.enable_x64(True):
        state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), made.state)

        def ours(params, x):
            return made.apply(params, state, x, train=True, rngs=None)[0]

        found, pull = jax.jit(lambda params, x: jax.vjp(ours, params, x))(*jax.tree.map(jnp.asarray, (params, x)))
        by_params, by_x = pull(jnp.asarray(gradient))

    theirs = jax.tree.map(lambda leaf: torch.from_numpy(leaf).requires_grad_(), params)
    given = torch.from_numpy(np.moveaxis(x, -1, 1).copy()).requires_grad_()
    expected = block(theirs, given)
    expected.backward(torch.from_numpy(np.moveaxis(gradient, -1, 1).copy()))

    def close(found, expected):
        """The bias before a normalisation by the batch has the gradient 0, where rounding is all there is."""
        expected = expected.detach().numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max() + 1e-9)

    close(np.moveaxis(found, -1, 1), expected)
    close(np.moveaxis(by_x, -1, 1), given.grad)
    jax.tree.map(lambda found, leaf: close(found, leaf.grad), by_params, theirs)
