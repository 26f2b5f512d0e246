"""A model together with its tokenizer."""

import dataclasses
from typing import TYPE_CHECKING

from jaxkd.models.checkpoints import huggingface
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.typing import Params

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclasses.dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """Model and tokenizer, for evaluation, generation and export."""

    config: DecoderConfig
    params: Params
    tokenizer: "PreTrainedTokenizerBase"
    source: Pretrained | None = None
    """Checkpoint that the model was made from, if any; an export copies its settings."""

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """Return the ids that end a text: the tokenizer's, and those of the checkpoint's generation_config.json."""
        own = self.tokenizer.eos_token_id
        others = () if self.source is None else huggingface.end_tokens(self.source.folder())
        return tuple(sorted({*others, *([own] if isinstance(own, int) else [])}))


def language_model(pretrained: Pretrained) -> LanguageModel:
    """Load a checkpoint on the ambient mesh."""
    return LanguageModel(
        config=pretrained.config(),
        params=pretrained.load_sharded(),
        tokenizer=pretrained.tokenizer(),
        source=pretrained,
    )
