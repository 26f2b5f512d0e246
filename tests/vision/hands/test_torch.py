"""The regressor and the query decoder against torch with the same random weights: values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.vision.hands import HandRegressor, QueryDecoder
from tests.vision.hands.tiny import DECODER, TOKENS, drawn_decoder
from tests.vision.segmentation.modules import drawn_params

try:
    import torch
    from torch.nn import functional as F
except ImportError:  # the fast tests are collected without it
    torch = F = None

pytestmark = [pytest.mark.slow, pytest.mark.skipif(torch is None, reason="needs torch")]

TOLERANCE = 1e-4
"""Largest deviation, of outputs and gradients, relative to the largest element of each; both sides compute in float32,
with weights from Normal(0, 0.5^2), which rounding grows through."""


def tensors(tree):
    return jax.tree.map(lambda leaf: torch.tensor(np.asarray(leaf)).requires_grad_(), tree)


def assert_close(found, expected):
    for (path, one), two in zip(jax.tree.leaves_with_path(found), jax.tree.leaves(expected), strict=True):
        two = np.asarray(two.detach())
        deviation = np.abs(np.asarray(one) - two).max()
        # Gradients that are 0 but for rounding, of biases of the keys, are compared with 1.
        assert deviation <= TOLERANCE * max(np.abs(two).max(), 1), jax.tree_util.keystr(path)


def normed(p, x):
    return F.relu(F.group_norm(x, x.shape[1] // 8, p["scale"], p["bias"]))


def convolved(p, x, stride=1):
    # The padding of torch, 1 on each side, for even sides too.
    return F.conv2d(x, p["kernel"].permute(3, 2, 0, 1), stride=stride, padding=1)


def regressed(p, images, size, wrist):
    x = (torch.tensor(np.asarray(images), dtype=torch.float32) / 127.5 - 1).permute(0, 3, 1, 2)
    for stage in p["stages"].values():
        x = normed(stage["norm"], convolved(stage["conv"], x, 2))
        for block in stage.get("blocks", {}).values():
            norm = block["second_norm"]
            y = convolved(block["second"], normed(block["first_norm"], convolved(block["first"], x)))
            x = F.relu(x + F.group_norm(y, y.shape[1] // 8, norm["scale"], norm["bias"]))
    x = F.relu(x.permute(0, 2, 3, 1) @ p["reduce"]["kernel"] + p["reduce"]["bias"]).flatten(1)
    x = x @ p["head"]["kernel"] + p["head"]["bias"]
    joints = (x.shape[1] - 1) // 5
    pixels = (size - 1) / 2 + size / 4 * x[:, : 2 * joints].reshape(-1, joints, 2)
    points = 0.05 * x[:, 2 * joints : 5 * joints].reshape(-1, joints, 3)
    return [pixels, points - points[:, wrist : wrist + 1], 0.5 * torch.exp(x[:, -1])]


def test_a_regressor_is_torchs():
    network = HandRegressor(size=16, widths=(8, 16), blocks=(0, 1), reduced=3, joints=4, wrist=2)
    params = drawn_params(network)
    params["head"] = jax.tree.map(lambda leaf: 0.1 * leaf, params["head"])  # so that no depth is of e^10 metres
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)

    def total(params):
        found, _ = network.apply(params, {}, jnp.asarray(images))
        outputs = [found.pixels, found.points, found.root_depth]
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in outputs), outputs

    gradients, outputs = jax.jit(jax.grad(total, has_aux=True))(params)
    p = tensors(params)
    expected = regressed(p, images, 16, 2)
    assert_close(outputs, expected)
    sum(torch.sin(leaf).sum() for leaf in expected).backward()
    assert_close(gradients, jax.tree.map(lambda leaf: leaf.grad, p))


def torch_layer(p, width, heads):
    """torch's own layer, with these weights."""
    hidden = p["up"]["kernel"].shape[1]
    layer = torch.nn.TransformerDecoderLayer(width, heads, hidden, dropout=0.0, norm_first=True, batch_first=True)
    names = {"self_attn": "self_attention", "multihead_attn": "cross_attention"}
    weights = {}
    for theirs, ours in names.items():
        parts = [p[ours][name] for name in ("query", "key", "value")]
        weights[f"{theirs}.in_proj_weight"] = torch.cat([part["kernel"].T for part in parts])
        weights[f"{theirs}.in_proj_bias"] = torch.cat([part["bias"] for part in parts])
        weights[f"{theirs}.out_proj.weight"] = p[ours]["out"]["kernel"].T
        weights[f"{theirs}.out_proj.bias"] = p[ours]["out"]["bias"]
    for theirs, ours in {"norm1": "self_norm", "norm2": "cross_norm", "norm3": "feed_norm"}.items():
        weights |= {f"{theirs}.weight": p[ours]["scale"], f"{theirs}.bias": p[ours]["bias"]}
    for theirs, ours in {"linear1": "up", "linear2": "down"}.items():
        weights |= {f"{theirs}.weight": p[ours]["kernel"].T, f"{theirs}.bias": p[ours]["bias"]}
    return lambda queries, memory: torch.func.functional_call(layer, weights, (queries, memory))


def test_a_decoder_is_torchs_pre_norm_layers():
    decoder = QueryDecoder(**DECODER | {"positions": 6})
    params = drawn_decoder(decoder)

    def total(params):
        found = decoder.apply(params, TOKENS)
        return jnp.sum(jnp.sin(found.queries)), found.queries

    gradients, queries = jax.jit(jax.grad(total, has_aux=True))(params)
    p = tensors(params)
    memory = torch.tensor(np.asarray(TOKENS)) @ p["embed"]["kernel"] + p["embed"]["bias"] + p["encoding"]
    expected = p["queries"].expand(2, -1, -1)
    for layer in p["layers"].values():
        expected = torch_layer(layer, decoder.width, decoder.heads)(expected, memory)
    expected = F.layer_norm(expected, (decoder.width,), p["norm"]["scale"], p["norm"]["bias"])
    assert_close([queries], [expected])
    torch.sin(expected).sum().backward()
    heads = gradients.pop("heads"), p.pop("heads")
    assert not any(leaf.any() for leaf in jax.tree.leaves(heads[0]))
    assert_close(gradients, jax.tree.map(lambda leaf: leaf.grad, p))
