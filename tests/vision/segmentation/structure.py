"""Properties of networks that are read off without computing anything."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from jaxkd.vision.layers import Depthwise
from jaxkd.vision.network import ImageNetwork


def multiply_adds(network: ImageNetwork, side: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Count those of convolutions and linear maps for one image: a product for each result and weight behind it."""
    counts = []

    def counted(call):
        def calls(self, inputs):
            outputs = call(self, inputs)
            kernel = self.kernel[...]
            counts.append(outputs.size * kernel.size // kernel.shape[-1])
            return outputs

        return calls

    for layer in (nnx.Linear, nnx.Conv, Depthwise):
        monkeypatch.setattr(layer, "__call__", counted(layer.__call__))
    jax.eval_shape(functools.partial(network.apply, state={}), network.abstract()[0], images=_image(side))
    return sum(counts)


def parameters_without_effect(
    network: ImageNetwork,
    side: int,
    *,
    channels: int = 3,
    outputs: Callable[[Any], Any] = lambda maps: maps.logits,
) -> list[str]:
    """Paths of the parameters from which no operation leads to the outputs, which are the logits by default."""
    params, state = network.abstract()

    def chosen(params, images):
        return outputs(network.apply(params, state, images)[0])

    jaxpr = jax.make_jaxpr(chosen)(params, _image(side, channels)).jaxpr
    needed = {id(variable) for variable in jaxpr.outvars}
    for equation in reversed(jaxpr.eqns):
        if any(id(variable) in needed for variable in equation.outvars):
            needed |= {id(variable) for variable in equation.invars}
    paths = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree.leaves_with_path(params)]
    return [path for path, variable in zip(paths, jaxpr.invars, strict=False) if id(variable) not in needed]


def _image(side: int, channels: int = 3) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((1, side, side, channels), jnp.uint8)
