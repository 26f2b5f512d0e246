"""Comparison of a module with a function in torch: outputs, and gradients by inputs and parameters."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx


def assert_equal_with_gradients(
    module: nnx.Module, inputs: Sequence[np.ndarray], oracle: Callable[..., Any], *, tolerance: float
) -> None:
    """Compare in float32.

    Args:
        module: module to test.
        inputs: its arguments.
        oracle: function of torch, the nested dict of the module's parameters as tensors, and the inputs as tensors.
        tolerance: largest deviation, of the outputs relative to 1 and of each gradient relative to its largest element.
    """
    torch = pytest.importorskip("torch")
    definition, state = nnx.split(module, nnx.Param)
    params = nnx.to_pure_dict(state)

    def call(params, inputs):
        return nnx.merge(definition, params)(*inputs)

    tensors = jax.tree.map(lambda leaf: torch.tensor(np.array(leaf), requires_grad=True), (params, tuple(inputs)))
    expected = oracle(torch, tensors[0], *tensors[1])
    weights = np.random.default_rng(2).normal(size=expected.shape).astype(np.float32)
    expected.backward(torch.from_numpy(weights))
    found, pull = jax.vjp(jax.jit(call), params, tuple(inputs))
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    for (path, gradient), tensor in zip(
        jax.tree.leaves_with_path(pull(weights)), jax.tree.leaves(tensors), strict=True
    ):
        scale = np.abs(gradient).max()
        assert scale > 0, jax.tree_util.keystr(path)
        np.testing.assert_allclose(
            gradient, tensor.grad.numpy(), atol=tolerance * scale, rtol=0, err_msg=jax.tree_util.keystr(path)
        )
