"""The one place where nnx modules and plain dicts meet.

Modules define networks; what travels is a nested dict of arrays.  `Split` remembers the definition
of a module without its arrays, and calls it with whichever arrays it is given.  A module's
parameters name their logical axes in the metadata `axes`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from jaxkd.typing import Key, Params


@dataclasses.dataclass(frozen=True)
class Split:
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
        """Call the module with these parameters."""
        return nnx.merge(self.definition, params)(*args, **kwargs)


def split(make: Callable[[nnx.Rngs], nnx.Module]) -> Split:
    """Take apart the module that `make` returns, without computing a single parameter."""
    definition, state = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))), nnx.Param)
    axes = jax.tree.map(lambda param: param.axes, state, is_leaf=lambda leaf: isinstance(leaf, nnx.Param))
    # Under an ambient mesh the abstract values name it, and what is made here outlives that mesh.
    abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), nnx.to_pure_dict(state))
    return Split(make=make, definition=definition, abstract=abstract, axes=nnx.to_pure_dict(axes))
