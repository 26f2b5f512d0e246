"""Tokenizers: loaded from a folder, built from the metadata of a GGUF file, and told apart."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

PRE_TOKENIZERS = ("smollm", "qwen2")
"""The rules for cutting text into words that `from_gguf` knows, by their names in GGUF files."""

_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")

# The pattern of the published tokenizer.json of Qwen2 and later.
_QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)

_CONTROL, _USER_DEFINED = 3, 4  # values of tokenizer.ggml.token_type


def load(folder: Path | str) -> "PreTrainedTokenizerBase":
    """The tokenizer that a local folder holds; nothing is downloaded.

    Raises:
        FileNotFoundError: the folder holds no tokenizer.
    """
    folder = Path(folder)
    if not any((folder / name).exists() for name in _FILES):
        present = ", ".join(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else "no such folder"
        raise FileNotFoundError(
            f"folder must hold a tokenizer ({' or '.join(_FILES)}), got {folder}: {present or 'empty'}. "
            f"Copy the tokenizer's files beside the weights, or save one there with tokenizer.save_pretrained."
        )
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def from_gguf(fields: Mapping[str, Any]) -> "PreTrainedTokenizerFast":
    """The byte-level BPE tokenizer that a GGUF file's metadata describes.

    transformers' own reader of these files needs torch, loses the rule that SmolLM2's digits stand
    alone, and loses Qwen's normalisation.

    Args:
        fields: metadata key to Python value, as `models.gguf.metadata` returns it.

    Raises:
        ValueError: a field is missing, or the kind of tokenizer is not one of those known here.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    for name, known in (("model", ("gpt2",)), ("pre", PRE_TOKENIZERS)):
        if (value := _field(fields, name)) not in known:
            raise ValueError(
                f"tokenizer.ggml.{name} must be one of {', '.join(known)}, got {value!r}. "
                f"Convert the model from its Hugging Face folder instead, which has a tokenizer.json."
            )
    texts: list[str] = _field(fields, "tokens")
    merges = [tuple(merge.split(" ")) for merge in _field(fields, "merges")]
    tokenizer = Tokenizer(models.BPE(vocab={text: i for i, text in enumerate(texts)}, merges=merges))
    _set_words(tokenizer, _field(fields, "pre"))
    tokenizer.decoder = decoders.ByteLevel()
    kinds: list[int] = _field(fields, "token_type")
    # In order of their ids; they are in the vocabulary already and keep the ids that they have there.
    for text, kind in zip(texts, kinds, strict=True):
        if kind == _CONTROL:
            tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False)])
        elif kind == _USER_DEFINED:
            tokenizer.add_tokens([AddedToken(text, special=False, normalized=False)])

    named = {}
    for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        index = fields.get(f"tokenizer.ggml.{theirs}_token_id")
        if index is not None:
            named[f"{ours}_token"] = texts[index]
    add_bos = bool(fields.get("tokenizer.ggml.add_bos_token", False))
    if add_bos and "bos_token" not in named:
        raise ValueError(
            "tokenizer.ggml.bos_token_id must be given where tokenizer.ggml.add_bos_token is true, got none. "
            "Set either field with the gguf package's gguf-set-metadata."
        )
    context = fields.get(f"{fields.get('general.architecture')}.context_length")
    if context is not None:
        named["model_max_length"] = context
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=fields.get("tokenizer.chat_template"),
        add_bos_token=add_bos,
        clean_up_tokenization_spaces=False,  # decoding must give back the very bytes that were encoded
        **named,
    )


def fingerprint(tokenizer: "PreTrainedTokenizerBase") -> str:
    """The sha256 of everything that decides which ids a text or a chat gets.

    Equal for a tokenizer and its saved copy; unmoved by padding and truncation that calls left behind.

    Raises:
        TypeError: the tokenizer does not run on the `tokenizers` library.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise TypeError(
            f"tokenizer must run on the tokenizers library (have a tokenizer.json), got {type(tokenizer).__name__}. "
            f"Load it with AutoTokenizer, which converts it, and save that with save_pretrained."
        )
    state = json.loads(backend.to_str()) | {"padding": None, "truncation": None}
    rest = {"chat_template": tokenizer.chat_template, "special": tokenizer.special_tokens_map}
    return hashlib.sha256(json.dumps([state, rest], sort_keys=True).encode()).hexdigest()


def _field(fields: Mapping[str, Any], name: str) -> Any:
    key = f"tokenizer.ggml.{name}"
    if key not in fields:
        raise ValueError(
            f"the metadata must hold {key}, got {', '.join(sorted(fields)) or 'nothing'}. "
            f"The file is no language model, or was written by a converter too old to be read."
        )
    return fields[key]


def _set_words(tokenizer: Any, pre: str) -> None:
    """Set how text is normalised and cut into the words inside which BPE merges."""
    from tokenizers import Regex, normalizers, pre_tokenizers

    if pre == "smollm":
        # Every character of \p{N} stands alone, and before the byte-level cut, so "  42" starts with
        # one token of two spaces: inside GPT-2's pattern the second space would go to the number.
        cuts = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    else:
        tokenizer.normalizer = normalizers.NFC()
        cuts = [
            pre_tokenizers.Split(Regex(_QWEN2_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cuts)
