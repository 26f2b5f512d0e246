"""A teacher among the frozen variables: the whole model, or what is read of it beside a cache of its hidden states."""

from collections.abc import Collection

from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.models.transformer import decoder
from jaxkd.typing import Params

TEACHER = "teacher"


def abstract(checkpoint: Pretrained, *, cached: bool, also: Collection[str] = ()) -> Params:
    """Shapes, dtypes and shardings of what `load` returns."""
    params = checkpoint.abstract_placed()
    return {TEACHER: params if not cached else {name: params[name] for name in _read(checkpoint, also)}}


def load(checkpoint: Pretrained, *, cached: bool, also: Collection[str] = ()) -> Params:
    """`{"teacher": parameters}`, placed under the ambient mesh.

    Args:
        checkpoint: the teacher.
        cached: its hidden states come with the batch: only its head is loaded.
        also: top-level names of parameters that are read besides the head: "embedding".
    """
    return {TEACHER: checkpoint.load_placed(only=_read(checkpoint, also) if cached else None)}


def _read(checkpoint: Pretrained, also: Collection[str]) -> tuple[str, ...]:
    config = checkpoint.config()
    return tuple(dict.fromkeys((*decoder.head_params(config, decoder.abstract(config)), *also)))
