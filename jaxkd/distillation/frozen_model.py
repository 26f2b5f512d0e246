"""A frozen model among the variables: the whole of it, or what is read of it beside a cache of its hidden states."""

import dataclasses

from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.models.transformer import decoder
from jaxkd.typing import Params

TEACHER = "teacher"
"""Name of the teacher among the frozen parts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrozenModel:
    """A teacher or a reference, as a part of a recipe."""

    checkpoint: Pretrained
    cached: bool = False
    """Its hidden states come with the batch: only its head is loaded."""
    also: tuple[str, ...] = ()
    """Top-level names of parameters that are read besides the head: "embedding"."""

    def abstract(self) -> Params:
        """Shapes, dtypes and shardings of what `load` returns; loads no weights."""
        params = self.checkpoint.abstract_sharded()
        return params if not self.cached else {name: params[name] for name in self._read()}

    def load(self) -> Params:
        """Parameters, sharded under the ambient mesh."""
        return self.checkpoint.load_sharded(only=self._read() if self.cached else None)

    def _read(self) -> tuple[str, ...]:
        config = self.checkpoint.config()
        return tuple(dict.fromkeys((*decoder.head_params(config, decoder.abstract(config)), *self.also)))
