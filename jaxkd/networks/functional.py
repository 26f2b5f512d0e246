"""The one place where nnx modules and plain dicts meet.

Modules define networks; what travels is a nested dict of arrays.  `Functional` remembers the definition
of a module without its arrays, and calls it with whichever arrays it is given.  A module's
parameters name their logical axes in the metadata `axes`.
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
    """An nnx module taken apart: how it is made, and its definition."""

    make: Callable[[nnx.Rngs], nnx.Module]
    definition: nnx.GraphDef
    abstract: Params
    """`jax.ShapeDtypeStruct` of each parameter."""
    axes: Params
    """The same dict with the tuple of logical axis names of each parameter."""

    def init(self, key: Key) -> Params:
        """Fresh parameters."""
        return nnx.to_pure_dict(nnx.state(self.make(nnx.Rngs(params=key)), nnx.Param))

    def apply(self, params: Params, *args: Any, **kwargs: Any) -> Any:
        """Call the module with these parameters; quantised ones are made whole here, and nowhere else."""
        return nnx.merge(self.definition, dense(params))(*args, **kwargs)

    def observe(self, paths: Sequence[str], params: Params, *args: Any) -> tuple[Any, dict[str, Any]]:
        """`apply`, and the argument that each of these submodules was called with.

        Args:
            paths: dotted, such as "mlp.down"; each is called once.
        """
        module = nnx.merge(self.definition, dense(params))
        inputs: dict[str, Any] = {}
        for path in paths:
            *parents, name = path.split(".")
            parent = functools.reduce(getattr, parents, module)
            setattr(parent, name, _Observed(getattr(parent, name), path, inputs))
        return module(*args), inputs


class _Observed:
    """Calls a module, and leaves its argument in a dict."""

    def __init__(self, module: Any, path: str, inputs: dict[str, Any]):
        self._module, self._path, self._inputs = module, path, inputs

    def __call__(self, argument: Any) -> Any:
        self._inputs[self._path] = argument
        return self._module(argument)


def functional(make: Callable[[nnx.Rngs], nnx.Module]) -> Functional:
    """Take apart the module that `make` returns, without computing a single parameter."""
    definition, state = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))), nnx.Param)
    axes = jax.tree.map(lambda param: param.axes, state, is_leaf=lambda leaf: isinstance(leaf, nnx.Param))
    # Under an ambient mesh the abstract values name it, and what is made here outlives that mesh.
    abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), nnx.to_pure_dict(state))
    return Functional(make=make, definition=definition, abstract=abstract, axes=nnx.to_pure_dict(axes))
