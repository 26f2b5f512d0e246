"""A student with SmolLM2's architecture and GPT-2's tokens: enough for measurements between two vocabularies."""

import dataclasses
from pathlib import Path

from jaxkd.models import Pretrained


def with_gpt2_tokens(model: Pretrained, folder: Path) -> Pretrained:
    """Write the model's architecture with GPT-2's vocabulary and random weights to a new folder."""
    import jax

    from benchmarks.methods.packaged_tokenizers import gpt2
    from jaxkd.models.checkpoints import huggingface
    from jaxkd.models.transformer import decoder

    tokenizer = gpt2().tokenizer
    config = dataclasses.replace(model.config(), vocab_size=len(tokenizer))
    huggingface.save(folder, config, decoder.init(config, jax.random.key(0)), tokenizer=tokenizer)
    return Pretrained(path=str(folder))
