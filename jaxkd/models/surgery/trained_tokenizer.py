"""Tokenizers trained on some text, of the two kinds that most language models have."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TokenizerKind: TypeAlias = Literal["byte_level", "sentencepiece"]
"""BPE over bytes, as GPT-2 has it, or over characters with a mark for spaces and bytes for what is unknown, as Llama 2
and Mistral have it."""

_END_OF_TEXT = "<|endoftext|>"
_SPECIAL = ("<unk>", "<s>", "</s>")
_BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))


def train_tokenizer(texts: Iterable[str], *, kind: TokenizerKind, size: int) -> "PreTrainedTokenizerBase":
    """Train a tokenizer of at most `size` tokens that can read every text.

    It adds no special token to a text.  Short texts may have fewer pairs to merge than `size` asks for.

    Args:
        texts: texts to train on.
        kind: byte-level BPE, or the BPE of SentencePiece, which puts a space in front of a text.
        size: maximum number of tokens: special ones, all 256 bytes, and those that are learnt.

    Raises:
        ValueError: another kind, a size that leaves no token to be learnt, or texts without a character.

    Source: Sennrich et al., arXiv 1508.07909, section 3.2, by the `tokenizers` library.  Deviation: none.

    Example:
        >>> tokenizer = train_tokenizer(["low low lower lowest"], kind="byte_level", size=260)
        >>> tokenizer.tokenize("lower")
        ['low', 'e', 'r']
    """
    if kind not in get_args(TokenizerKind):
        raise ValueError(f"kind must be one of {', '.join(get_args(TokenizerKind))}, got {kind!r}.")
    always = len(_BYTES) + (1 if kind == "byte_level" else len(_SPECIAL))
    if size <= always:
        raise ValueError(f"size must be more than {always}, the bytes and special tokens, got {size}.")
    present = [text for text in texts if text.strip()]
    if not present:
        raise ValueError("texts must have a character that is not a space, got none. Train on the text of the models.")
    return _byte_level(present, size) if kind == "byte_level" else _sentencepiece(present, size - always)


def _byte_level(texts: list[str], size: int) -> "PreTrainedTokenizerBase":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[_END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=trained, eos_token=_END_OF_TEXT, clean_up_tokenization_spaces=False)


def _sentencepiece(texts: list[str], learnt: int) -> "PreTrainedTokenizerBase":
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    marked = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trained = Tokenizer(models.BPE())
    trained.normalizer = marked
    # A word with the spaces in front of it; a line break is a byte, as in Llama's vocabulary.
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "removed"), pre_tokenizers.Split(Regex("▁*[^▁]*"), "isolated")]
    )
    # Rare characters are left to the bytes: half of the tokens are for merges at least.
    trainer = trainers.BpeTrainer(vocab_size=learnt, limit_alphabet=(learnt + 1) // 2, show_progress=False)
    trained.train_from_iterator(texts, trainer)
    found = json.loads(trained.to_str())["model"]
    pieces = [*_SPECIAL, *_BYTES, *sorted(found["vocab"], key=found["vocab"].get)]
    model = models.BPE(
        vocab={piece: index for index, piece in enumerate(pieces)},
        merges=[tuple(pair) for pair in found["merges"]],
        unk_token=_SPECIAL[0],
        fuse_unk=True,
        byte_fallback=True,
    )
    backend = Tokenizer(model)
    backend.normalizer = marked
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    unknown, start, end = _SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token=unknown,
        bos_token=start,
        eos_token=end,
        clean_up_tokenization_spaces=False,
    )
