"""Loading, token counts and fingerprints of tokenizers."""

import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from jaxkd.tokenizers.gguf import PRE_TOKENIZERS as PRE_TOKENIZERS
from jaxkd.tokenizers.gguf import from_gguf as from_gguf

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")

# The tokenizer of Gemma 3 is that of its multimodal models; its last token stands for an image, and text-only models
# have no row for it.
_WITHOUT_ROW = ("<image_soft_token>",)


def load(folder: Path | str) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a local folder; nothing is downloaded.

    Returns the same object while the folder's files are unchanged, because a rollout needs it in every step.  Do not
    modify it.

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
    stats = {path.name: path.stat() for path in folder.iterdir() if path.is_file()}
    return _load(folder, frozenset((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()))


@functools.lru_cache(maxsize=16)
def _load(folder: Path, files: frozenset[tuple[str, int, int]]) -> "PreTrainedTokenizerBase":
    del files  # only in the key
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoTokenizer

    try:
        # A folder's own code is not run, and nobody is asked whether it may.
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except StrictDataclassError as error:
        raise ValueError(f"config.json of {folder} must be one that transformers can read, got {error}") from error


def token_count(folder: Path | str) -> int | None:
    """Return the number of rows that a model needs for a folder's tokenizer: the highest id plus 1.

    Returns:
        The number, or None if the folder has no tokenizer.
    """
    folder = Path(folder)
    path = folder / "tokenizer.json"
    if path.is_file():
        stat = path.stat()
        return _token_count(path, stat.st_size, stat.st_mtime_ns)
    if any((folder / name).exists() for name in _FILES):
        return max(load(folder).get_vocab().values()) + 1
    return None


@functools.lru_cache
def _token_count(path: Path, size: int, modified_ns: int) -> int:
    """Read once per process while the file is unchanged: it can be tens of megabytes."""
    del size, modified_ns  # only in the key
    saved = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = saved["model"]["vocab"]
    ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else list(range(len(vocabulary)))
    ids += [token["id"] for token in saved["added_tokens"] if token["content"] not in _WITHOUT_ROW]
    return 1 + max(ids, default=-1)


def fingerprint(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Return the sha256 of all that determines the ids of a text or a chat.

    Equal for a tokenizer and its saved copy; independent of padding and truncation set by earlier calls.

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
