"""A model together with its tokenizer."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from jaxkd.models.checkpoints import huggingface
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.typing import Params

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@runtime_checkable
class Checkpoint(Protocol):
    """Files of a language model; `jaxkd.models.Pretrained` names them."""

    @property
    def layers(self) -> tuple[int, ...] | None:
        """Layers kept, in this order; None keeps all."""
        ...

    def folder(self) -> Path:
        """Hugging Face folder of the files."""
        ...

    def reference(self) -> str:
        """Identifier of the same weights for other programs."""
        ...

    def config(self) -> DecoderConfig:
        """Architecture of the layers that are kept."""
        ...

    def load_sharded(self) -> Params:
        """Parameters of `config()`, on the ambient mesh."""
        ...

    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """Tokenizer of the model."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """Model and tokenizer, for evaluation, generation and export."""

    config: DecoderConfig
    params: Params
    tokenizer: "PreTrainedTokenizerBase"
    source: Checkpoint | None = None
    """Checkpoint that the model was made from, if any; an export copies its settings."""

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """Return the ids that end a text: the tokenizer's, and those of the checkpoint's generation_config.json."""
        own = self.tokenizer.eos_token_id
        others = () if self.source is None else huggingface.end_tokens(self.source.folder())
        return tuple(sorted({*others, *([own] if isinstance(own, int) else [])}))


def language_model(checkpoint: Checkpoint) -> LanguageModel:
    """Load a checkpoint on the ambient mesh."""
    return LanguageModel(
        config=checkpoint.config(),
        params=checkpoint.load_sharded(),
        tokenizer=checkpoint.tokenizer(),
        source=checkpoint,
    )
