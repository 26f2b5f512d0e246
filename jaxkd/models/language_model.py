"""A model together with what turns text into its tokens."""

import dataclasses
from typing import TYPE_CHECKING

from jaxkd.models.config import DecoderConfig
from jaxkd.models.pretrained import Pretrained
from jaxkd.typing import Params

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclasses.dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """What evaluation, generation and export take."""

    config: DecoderConfig
    params: Params
    tokenizer: "PreTrainedTokenizerBase"
    source: Pretrained | None = None
    """The checkpoint that it was made from, where there is one: an export takes its settings over."""

    @property
    def eos_token_id(self) -> int | None:
        """The token that ends a text; None where the tokenizer has none."""
        token = self.tokenizer.eos_token_id
        return token if isinstance(token, int) else None
