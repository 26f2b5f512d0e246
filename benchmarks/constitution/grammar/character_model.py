"""A decoder of characters with random weights, as a folder that the stages of a study read."""

import string
from pathlib import Path
from typing import TYPE_CHECKING

from jaxkd.models import Pretrained

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHARACTERS = string.ascii_letters + " .,:;!?()'-"
END, USER, ASSISTANT = "<|end|>", "<|user|>", "<|assistant|>"
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def character_tokenizer() -> "PreTrainedTokenizerBase":
    """Return a tokenizer whose tokens are characters, the end of a turn, and the two roles."""
    from tokenizers import AddedToken, Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    special = (END, USER, ASSISTANT)
    vocabulary = {token: index for index, token in enumerate((*special, *CHARACTERS))}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=END, pad_token=END, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def write_character_model(
    folder: Path, *, seed: int, width: int = 64, depth: int = 2, positions: int = 512
) -> Pretrained:
    """Write a decoder with random weights and its tokenizer to a new folder.

    Args:
        folder: folder that does not exist.
        seed: seed of the weights.
        width: width of the residual stream, a multiple of 32.
        depth: number of blocks.
        positions: longest conversation in tokens.
    """
    import jax

    from jaxkd.models.checkpoints import huggingface
    from jaxkd.models.transformer import decoder
    from jaxkd.models.transformer.architecture import DecoderConfig

    tokenizer = character_tokenizer()
    config = DecoderConfig(
        vocab_size=len(tokenizer),
        width=width,
        depth=depth,
        heads=width // 16,
        kv_heads=width // 16,
        head_dim=16,
        mlp_width=3 * width,
        max_positions=positions,
        tied=True,
    )
    huggingface.save(folder, config, decoder.init(config, jax.random.key(seed)), tokenizer=tokenizer)
    return Pretrained(path=str(folder))
