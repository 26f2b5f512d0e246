"""Frozen models among the variables: the whole model, or the part that is read beside cached hidden states."""

import dataclasses

from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.models.transformer import decoder
from jaxkd.typing import Params

TEACHER = "teacher"
"""Name of the teacher among the frozen parts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrozenModel:
    """Teacher or reference, as a frozen part of a recipe."""

    checkpoint: Pretrained
    cached: bool = False
    """Whether the hidden states come with the batch, so that only the head is loaded."""
    also: tuple[str, ...] = ()
    """Top-level names of further parameters to load besides the head, such as "embedding"."""

    def abstract(self) -> Params:
        """Shapes, dtypes and shardings of what `load` returns; loads no weights."""
        params = self.checkpoint.abstract_sharded()
        return params if not self.cached else {name: params[name] for name in self._read()}

    def load(self) -> Params:
        """Load the parameters, sharded under the ambient mesh."""
        return self.checkpoint.load_sharded(only=self._read() if self.cached else None)

    def _read(self) -> tuple[str, ...]:
        config = self.checkpoint.config()
        return tuple(dict.fromkeys((*decoder.head_params(config, decoder.abstract(config)), *self.also)))
