"""The interface between nnx modules and plain dicts of parameters.

Modules define networks; the rest of the library passes nested dicts of arrays.  `Functional` stores the definition of a
module without its arrays, and calls it with given arrays.  A module's parameters name their logical axes in the
metadata `axes`.  `Stateful` is the same for a module that also has running statistics, and names no axes.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx

from jaxkd.networks.quantized import dense
from jaxkd.typing import Key, Params


@dataclasses.dataclass(frozen=True)
class Functional:
    """An nnx module split from its arrays: its constructor and its definition."""

    make: Callable[[nnx.Rngs], nnx.Module]
    definition: nnx.GraphDef
    abstract: Params
    """`jax.ShapeDtypeStruct` of each parameter."""
    axes: Params
    """The same dict with the tuple of logical axis names of each parameter."""

    def init(self, key: Key) -> Params:
        """Initialise parameters."""
        return nnx.to_pure_dict(nnx.state(self.make(nnx.Rngs(params=key)), nnx.Param))

    def apply(self, params: Params, *args: Any, **kwargs: Any) -> Any:
        """Call the module with these parameters; quantised ones are dequantised here, and nowhere else."""
        return nnx.merge(self.definition, dense(params))(*args, **kwargs)

    def observe(self, paths: Sequence[str], params: Params, *args: Any) -> tuple[Any, dict[str, Any]]:
        """Call `apply`, and return the argument of each of these submodules too.

        Args:
            paths: dotted paths, such as "mlp.down"; each is called once.
        """
        module = nnx.merge(self.definition, dense(params))
        inputs: dict[str, Any] = {}
        for path in paths:
            *parents, name = path.split(".")
            parent = functools.reduce(getattr, parents, module)
            setattr(parent, name, _Observed(getattr(parent, name), path, inputs))
        return module(*args), inputs


class _Observed:
    """Wrapper that calls a module and stores its argument in a dict."""

    def __init__(self, module: Any, path: str, inputs: dict[str, Any]):
        self._module, self._path, self._inputs = module, path, inputs

    def __call__(self, argument: Any) -> Any:
        self._inputs[self._path] = argument
        return self._module(argument)


def functional(make: Callable[[nnx.Rngs], nnx.Module]) -> Functional:
    """Split the module that `make` returns from its arrays, without computing any parameter."""
    definition, state = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))), nnx.Param)
    axes = jax.tree.map(lambda param: param.axes, state, is_leaf=lambda leaf: isinstance(leaf, nnx.Param))
    # Under an ambient mesh the abstract values refer to it, and this object outlives that mesh.
    abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), nnx.to_pure_dict(state))
    return Functional(make=make, definition=definition, abstract=abstract, axes=nnx.to_pure_dict(axes))


@dataclasses.dataclass(frozen=True)
class Stateful:
    """An nnx module split from its parameters and its running statistics: its constructor and its definition."""

    make: Callable[[nnx.Rngs], nnx.Module]
    definition: nnx.GraphDef
    params: Params
    """`jax.ShapeDtypeStruct` of each parameter."""
    state: Params
    """`jax.ShapeDtypeStruct` of each running statistic; an empty dict if there are none."""

    def init(self, key: Key) -> tuple[Params, Params]:
        """Initialise parameters and running statistics."""
        module = self.make(nnx.Rngs(params=key))
        return nnx.to_pure_dict(nnx.state(module, nnx.Param)), nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))

    def apply(self, params: Params, state: Params, *args: Any, **kwargs: Any) -> tuple[Any, Params]:
        """Call the module with these arrays, and return its outputs and the running statistics after the call."""
        module = nnx.merge(self.definition, params, state)
        return module(*args, **kwargs), nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))


def stateful(make: Callable[[nnx.Rngs], nnx.Module]) -> Stateful:
    """Split the module that `make` returns from its arrays, without computing any of them."""
    definition, *parts = nnx.split(nnx.eval_shape(lambda: make(_ShapesOnly())), nnx.Param, nnx.BatchStat)
    # Under an ambient mesh the abstract values refer to it, and this object outlives that mesh.
    params, state = (
        jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), nnx.to_pure_dict(part))
        for part in parts
    )
    return Stateful(make=make, definition=definition, params=params, state=state)


class _EqualKeys(nnx.RngStream):
    """Stream of equal keys."""

    def __call__(self) -> jax.Array:
        return self.key[...]


class _ShapesOnly(nnx.Rngs):
    """Keys for a module whose shapes alone are wanted: flax takes a time quadratic in the keys to trace their count."""

    def __init__(self):
        self.default = _EqualKeys(jax.random.key(0), tag="default")
