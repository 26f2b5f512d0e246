"""Comparison of a module with a function in torch: outputs, and gradients by inputs and parameters."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

TOLERANCE = 1e-10
"""Largest deviation, of outputs relative to 1 and of each gradient relative to its largest element.

Both sides compute in float64: small gradients are differences of large terms, of which float32 leaves few digits.
"""


def assert_equal_with_gradients(
    module: nnx.Module,
    inputs: Sequence[np.ndarray],
    oracle: Callable[..., Any],
    *,
    call: Callable[..., jax.Array] = lambda module, *inputs: module(*inputs),
) -> None:
    """Compare outputs and gradients.

    Args:
        module: module to test.
        inputs: its arguments.
        oracle: function of torch, the nested dict of the module's parameters as tensors, and the inputs as tensors.
        call: call of the module with its arguments, as an array.
    """
    torch = pytest.importorskip("torch")
    definition, state = nnx.split(module, nnx.Param)
    arrays = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (nnx.to_pure_dict(state), tuple(inputs)))
    tensors = jax.tree.map(lambda leaf: torch.tensor(leaf, requires_grad=True), arrays)
    expected = oracle(torch, tensors[0], *tensors[1])
    weights = np.random.default_rng(2).normal(size=expected.shape)
    expected.backward(torch.from_numpy(weights))
    with jax.enable_x64(True):
        found, pull = jax.vjp(jax.jit(lambda params, inputs: call(nnx.merge(definition, params), *inputs)), *arrays)
        gradients = pull(jax.numpy.asarray(weights))
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=TOLERANCE, atol=TOLERANCE)
    for (path, gradient), tensor in zip(jax.tree.leaves_with_path(gradients), jax.tree.leaves(tensors), strict=True):
        name, scale = jax.tree_util.keystr(path), np.abs(gradient).max()
        assert scale > 0, name
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), atol=TOLERANCE * scale, rtol=0, err_msg=name)
