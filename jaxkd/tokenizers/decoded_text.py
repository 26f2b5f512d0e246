"""Text that sampled tokens spell."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxkd.tokenizers import byte_spans, token_table
from jaxkd.tokenizers.byte_spans import Spans

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def spelled(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int]) -> tuple[str, Spans]:
    """Return the text of the longest prefix of the tokens that spells one, and each token's bytes in it.

    A model may sample half a character, or a row of its head that is no token.  Control tokens spell nothing.

    Args:
        tokenizer: the model's tokenizer, on the `tokenizers` library.
        ids: sampled tokens, without the one that ends the text.

    Returns:
        The text, and a span for each of its tokens: fewer than `ids` if the others spell none.

    Raises:
        TypeError: as `byte_spans.spans`.
    """
    count = _whole_characters(token_table.current(tokenizer).pieces, ids)
    while count:
        text = str(tokenizer.decode(ids[:count], skip_special_tokens=True, clean_up_tokenization_spaces=False))
        try:
            return text, byte_spans.spans(tokenizer, ids[:count], text)
        except ValueError:
            # A tokenizer that rewrites its input may have tokens whose text it never encodes.
            count -= 1
    return "", np.zeros((0, 2), np.int32)


def _whole_characters(token_bytes: Mapping[int, bytes], ids: Sequence[int]) -> int:
    """Count the tokens up to the last whole character before an unknown id or invalid bytes."""
    whole, rest = 0, b""
    for number, index in enumerate(ids, start=1):
        if index not in token_bytes:
            break
        rest += token_bytes[index]
        try:
            rest.decode()
        except UnicodeDecodeError as error:
            if error.end < len(rest) or error.reason != "unexpected end of data":
                break
            continue
        whole, rest = number, b""
    return whole
