"""Protocols of a model as text and vocabularies need it, without weights or networks."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ModelLimits(Protocol):
    """Sizes of a model that limit its data; `jaxkd.models.DecoderConfig` is one."""

    @property
    def vocab_size(self) -> int:
        """Rows of the prediction head, tokens or not."""
        ...

    @property
    def max_positions(self) -> int:
        """Longest sequence, in tokens."""
        ...


class Reader(Hashable, Protocol):
    """A model that reads text; `jaxkd.models.Pretrained` is one.  Hashable, because it is a key of caches."""

    @property
    def path(self) -> str:
        """Name of the model, for messages."""
        ...

    @property
    def planned(self) -> bool:
        """Whether only its sizes are known, because it has no local files."""
        ...

    def config(self) -> ModelLimits:
        """Sizes of the model."""
        ...

    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """Tokenizer of the model; the same object every time."""
        ...

    def fingerprint(self) -> str:
        """Hash of all that determines the hidden states: the key of a cache."""
        ...
