"""A tiny model that is asked to go on, and the same without a cache."""

import types

import jax
import jax.numpy as jnp
import numpy as np

from jaxkd.models import LanguageModel
from tests.models import tiny

CONFIGS = {"llama": tiny.LLAMA, "gpt2": tiny.GPT2}
PROMPTS = [[5, 9, 33], [12], [7, 7, 21, 30, 4, 11, 3]]


def on_one_device(params):
    return jax.tree.map(jnp.asarray, params)


def language_model(config, *, eos=None, place=on_one_device):
    """A tiny model whose tokenizer knows which token ends a text, and spells tokens as numbers."""
    params = place(tiny.random_params(config))
    tokenizer = types.SimpleNamespace(
        eos_token_id=eos, decode=lambda tokens, skip_special_tokens: " ".join(map(str, tokens))
    )
    return LanguageModel(config=config, params=params, tokenizer=tokenizer)


def next_logits(model, text):
    """Float64 logits after each token of `text`, which is padded behind: one shape is compiled."""
    padded = np.zeros((1, 15), np.int32)
    padded[0, : len(text)] = text
    return np.asarray(tiny.logits(model.config, model.params, padded), np.float64)[0, : len(text)]


def log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
