"""Tokenizers from the metadata of GGUF files, built without torch."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

MODELS = ("gpt2", "llama")
"""Tokenizer models that `from_gguf` supports, by their names in GGUF files: byte-level BPE, and the BPE of
SentencePiece."""

# Pattern of the published tokenizer.json of Qwen2 and later, and of Llama 3, which differ in the run of digits.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4  # values of tokenizer.ggml.token_type

_SPACE = "▁"
"""SentencePiece's mark for a space."""


def from_gguf(fields: Mapping[str, Any]) -> "PreTrainedTokenizerFast":
    """Build the tokenizer that a GGUF file's metadata describes.

    The reader in transformers needs torch, loses the rule that splits SmolLM2's digits, and loses
    Qwen's normalisation.

    Args:
        fields: metadata key to Python value, as `models.gguf.metadata` returns it.

    Raises:
        ValueError: a field is missing, or the kind of tokenizer is not supported.
    """
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    kind = _known(fields, "model", MODELS)
    texts: list[str] = _field(fields, "tokens")
    kinds: list[int] = _field(fields, "token_type")
    tokenizer = _byte_level(fields, texts) if kind == "gpt2" else _sentencepiece(fields, texts, kinds)
    special = (_CONTROL, _UNKNOWN) if kind == "llama" else (_CONTROL,)
    typed = list(zip(texts, kinds, strict=True))
    # They are already in the vocabulary and keep their ids.
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text, each in typed if each in special])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text, each in typed if each == _USER_DEFINED])

    named: dict[str, Any] = {}
    for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        index = fields.get(f"tokenizer.ggml.{theirs}_token_id")
        if index is not None:
            named[f"{ours}_token"] = texts[index]
    add_bos = bool(fields.get("tokenizer.ggml.add_bos_token", _adds_bos(fields)))
    add_eos = bool(fields.get("tokenizer.ggml.add_eos_token", False))
    for name, added in (("bos", add_bos), ("eos", add_eos)):
        if added and f"{name}_token" not in named:
            raise ValueError(
                f"tokenizer.ggml.{name}_token_id must be given where tokenizer.ggml.add_{name}_token is true, got "
                "none. Set either field with the gguf package's gguf-set-metadata."
            )
    context = fields.get(f"{fields.get('general.architecture')}.context_length")
    if context is not None:
        named["model_max_length"] = context
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=fields.get("tokenizer.chat_template"),
        add_bos_token=add_bos,
        add_eos_token=add_eos,
        clean_up_tokenization_spaces=False,  # decoding must return the exact bytes that were encoded
        **named,
    )


def _field(fields: Mapping[str, Any], name: str) -> Any:
    key = f"tokenizer.ggml.{name}"
    if key not in fields:
        raise ValueError(
            f"the metadata must hold {key}, got {', '.join(sorted(fields)) or 'nothing'}. "
            f"The file is no language model, or was written by a converter too old to be read."
        )
    return fields[key]


def _known(fields: Mapping[str, Any], name: str, known: Sequence[str]) -> str:
    value = _field(fields, name)
    if value not in known:
        raise ValueError(
            f"tokenizer.ggml.{name} must be one of {', '.join(known)}, got {value!r}. "
            f"Convert the model from its Hugging Face folder instead, which has a tokenizer.json."
        )
    return value


def _adds_bos(fields: Mapping[str, Any]) -> bool:
    """Whether a text begins with bos if the file does not state it.

    Source: llama.cpp's defaults, which older files rely on.
    """
    return fields["tokenizer.ggml.model"] == "llama" or fields.get("tokenizer.ggml.pre") == "llama-bpe"


def _byte_level(fields: Mapping[str, Any], texts: list[str]) -> "Tokenizer":
    """Build BPE over the bytes of words."""
    from tokenizers import Tokenizer, decoders, models

    pre = _known(fields, "pre", PRE_TOKENIZERS)
    tokenizer = Tokenizer(
        models.BPE(
            vocab={text: i for i, text in enumerate(texts)},
            merges=[tuple(merge.split(" ")) for merge in _field(fields, "merges")],
            # Llama 3's vocabulary has words that its merges do not produce.
            ignore_merges=pre == "llama-bpe",
        )
    )
    _PRE_TOKENIZERS[pre](tokenizer)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _gpt2(tokenizer: "Tokenizer") -> None:
    from tokenizers import pre_tokenizers

    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)


def _smollm(tokenizer: "Tokenizer") -> None:
    from tokenizers import pre_tokenizers

    # Every character of \p{N} is split off, before the byte-level split, so "  42" starts with
    # one token of two spaces: inside GPT-2's pattern the second space would go to the number.
    cuts = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cuts)


def _words(tokenizer: "Tokenizer", *, digits: str) -> None:
    from tokenizers import Regex, pre_tokenizers

    cuts = [
        pre_tokenizers.Split(Regex(_WORDS.format(digits=digits)), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cuts)


def _qwen2(tokenizer: "Tokenizer") -> None:
    from tokenizers import normalizers

    tokenizer.normalizer = normalizers.NFC()
    _words(tokenizer, digits="")


# Normalisation and splitting of text into the words within which BPE merges.
_PRE_TOKENIZERS: Mapping[str, Callable[["Tokenizer"], None]] = {
    "gpt-2": _gpt2,
    "smollm": _smollm,
    "qwen2": _qwen2,
    "llama-bpe": functools.partial(_words, digits="{1,3}"),
}

PRE_TOKENIZERS = tuple(_PRE_TOKENIZERS)
"""Rules for splitting text into words that `from_gguf` supports, by their names in GGUF files."""


def _sentencepiece(fields: Mapping[str, Any], texts: list[str], kinds: list[int]) -> "Tokenizer":
    """Build BPE over the characters of a text, with spaces as letters, and over the bytes of unknown ones."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(
        models.BPE(
            vocab={text: i for i, text in enumerate(texts)},
            merges=_merges(texts, kinds, _field(fields, "scores")),
            unk_token=texts[_field(fields, "unknown_token_id")],
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    steps: list[Any] = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    spaces: list[Any] = [normalizers.Replace(" ", _SPACE)]
    if fields.get("tokenizer.ggml.add_space_prefix", True):
        spaces.insert(0, normalizers.Prepend(_SPACE))
        steps.append(decoders.Strip(" ", 1, 0))
    tokenizer.normalizer = normalizers.Sequence(spaces)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(steps)
    return tokenizer


def _merges(texts: list[str], kinds: list[int], scores: Sequence[float]) -> list[tuple[str, str]]:
    """Return the merges that scores imply: SentencePiece joins the neighbours whose union scores highest."""
    ids = {text: i for i, text in enumerate(texts)}
    ranked = []
    for index, (text, kind) in enumerate(zip(texts, kinds, strict=True)):
        if kind != _NORMAL:
            continue
        for cut in range(1, len(text)):
            left, right = ids.get(text[:cut]), ids.get(text[cut:])
            if left is not None and right is not None:
                ranked.append((-scores[index], left, right))
    return [(texts[left], texts[right]) for _, left, right in sorted(ranked)]
