"""Modules and networks with random parameters, drawn by NumPy: JAX would compile a program for each shape."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxkd.typing import Params
from jaxkd.vision.network import ImageNetwork

M = TypeVar("M", bound=nnx.Module)


def drawn(make: Callable[[nnx.Rngs], M]) -> M:
    """Make a module with parameters from Normal(0, 0.5^2), so that none is 0 or 1."""
    definition, state = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))
    return nnx.merge(definition, _normal(state))


def drawn_params(network: ImageNetwork) -> Params:
    """Draw parameters from Normal(0, 0.5^2)."""
    return _normal(network.abstract()[0])


def call(module: nnx.Module, *inputs: Any) -> Any:
    """Call a module within one compiled program."""
    return jax.jit(lambda module, inputs: module(*inputs))(module, inputs)


def _normal(shapes: Any) -> Any:
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: jnp.asarray((0.5 * rng.normal(size=leaf.shape)).astype(leaf.dtype)), shapes)
