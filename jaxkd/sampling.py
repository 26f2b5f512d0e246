"""Text generation: the prompts of a batch are read at once, then one token a step with a key/value cache."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxkd.kernels import head_logits
from jaxkd.models import decoder
from jaxkd.models.config import DecoderConfig
from jaxkd.models.key_value_cache import extend, init_cache
from jaxkd.models.language_model import LanguageModel
from jaxkd.records import Hiddens
from jaxkd.typing import Key, Params, Scalar

PROMPT_BUCKET = 32
"""Prompts are padded to a multiple of this, so that few lengths are ever compiled."""


def generate(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    key: Key | None = None,
    example_ids: Sequence[int] | None = None,
    rows: int = 32,
) -> list[list[int]]:
    """The tokens that the model writes after each prompt, the end-of-sequence token included.

    A row stops at the tokenizer's `eos_token_id` or after `max_new_tokens`.  What a row becomes
    depends on its prompt, the key and its example id, not on the rows beside it.

    Args:
        prompts: token ids of each prompt, of any lengths.
        temperature: divides the logits (nats); 0 takes the most probable token.
        key: draws the samples; needed where `temperature` is above 0.
        example_ids: folded into `key`, one a prompt; by default its place in `prompts`.
        rows: how many prompts run at a time.

    Raises:
        ValueError: an empty prompt, a prompt with no room for `max_new_tokens`, a negative
            temperature, or a temperature without a key.
    """
    example_ids = range(len(prompts)) if example_ids is None else example_ids
    _check(model.config, prompts, max_new_tokens, temperature, key, example_ids, rows)
    eos = model.eos_token_id
    longest = max((len(prompt) for prompt in prompts), default=0)
    length = -(-longest // PROMPT_BUCKET) * PROMPT_BUCKET
    written = []
    for start in range(0, len(prompts), rows):
        here = range(start, min(start + rows, len(prompts)))
        # A last batch that is short is filled up with its first prompt: one more row costs less than one more compile.
        chosen = [*here, *[start] * (min(rows, len(prompts)) - len(here))]
        tokens, segment_ids = _left_padded([prompts[i] for i in chosen], length)
        new_tokens, counts = _decode(
            model.config,
            model.params,
            tokens,
            segment_ids,
            np.asarray([example_ids[i] for i in chosen], np.int32),
            jax.random.key(0) if key is None else key,
            np.float32(temperature),
            np.int32(-1 if eos is None else eos),
            max_new_tokens=max_new_tokens,
            greedy=temperature == 0,
        )
        new_tokens, counts = jax.device_get((new_tokens, counts))
        written += [new_tokens[row, : counts[row]].tolist() for row in range(len(here))]
    return written


def _check(
    config: DecoderConfig,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    temperature: float,
    key: Key | None,
    example_ids: Sequence[int],
    rows: int,
) -> None:
    if max_new_tokens < 1 or rows < 1:
        raise ValueError(f"max_new_tokens and rows must be at least 1, got {max_new_tokens} and {rows}.")
    if temperature < 0:
        raise ValueError(f"temperature must be at least 0, got {temperature}. 0 takes the most probable token.")
    if temperature > 0 and key is None:
        raise ValueError(f"key must be given to sample at temperature {temperature}. Pass jax.random.key(seed).")
    if len(example_ids) != len(prompts):
        raise ValueError(f"example_ids must name each prompt, got {len(example_ids)} for {len(prompts)} prompts.")
    room = config.max_positions - max_new_tokens
    for place, prompt in enumerate(prompts):
        if not len(prompt):
            raise ValueError(f"prompts must not be empty, prompt {place} is. Start it with the model's bos token.")
        if len(prompt) > room:
            raise ValueError(
                f"prompt {place} must leave room for max_new_tokens={max_new_tokens} in the model's "
                f"{config.max_positions} positions, got {len(prompt)} tokens. Shorten it to {max(room, 0)}."
            )


def _left_padded(prompts: Sequence[Sequence[int]], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and segment ids (0 on padding); every prompt ends in the last column."""
    tokens, segment_ids = np.zeros((2, len(prompts), length), np.int32)
    for row, prompt in enumerate(prompts):
        tokens[row, length - len(prompt) :] = prompt
        segment_ids[row, length - len(prompt) :] = 1
    return tokens, segment_ids


@functools.partial(jax.jit, static_argnames=("config", "max_new_tokens", "greedy"))
def _decode(
    config: DecoderConfig,
    params: Params,
    tokens: Int[Array, "b t"],
    segment_ids: Int[Array, "b t"],
    example_ids: Int[Array, " b"],
    key: Key,
    temperature: Scalar,
    eos: Int[Array, ""],
    *,
    max_new_tokens: int,
    greedy: bool,
) -> tuple[Int[Array, "b n"], Int[Array, " b"]]:
    """New tokens of each row, and how many of them count."""
    rows, length = tokens.shape
    row_keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, example_ids)

    def choose(hiddens: Float[Array, "b d"], step: Int[Array, ""]) -> Int[Array, " b"]:
        logits = head_logits(Hiddens(values=hiddens, head=decoder.head(config, params)))
        if greedy:
            return jnp.argmax(logits, axis=-1).astype(jnp.int32)
        step_keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(row_keys, step)
        return jax.vmap(jax.random.categorical)(step_keys, logits / temperature).astype(jnp.int32)

    positions = jnp.maximum(jnp.cumsum(segment_ids, axis=1) - 1, 0)
    cache = init_cache(config, rows, length + max_new_tokens, params["embedding"].dtype)
    hiddens, cache = extend(config, params, cache, tokens, positions=positions, segment_ids=segment_ids)
    first = choose(hiddens[:, -1], jnp.int32(0))
    new_tokens = jnp.zeros((rows, max_new_tokens), jnp.int32).at[:, 0].set(first)

    def unfinished(state: tuple) -> Bool[Array, ""]:
        _, _, _, done, place = state
        return (place < max_new_tokens) & ~done.all()

    def step(state: tuple) -> tuple:
        new_tokens, cache, counts, done, place = state
        last = jax.lax.dynamic_slice_in_dim(new_tokens, place - 1, 1, axis=1)
        hiddens, cache = extend(
            config, params, cache, last, positions=positions[:, -1:] + place, segment_ids=jnp.ones_like(last)
        )
        chosen = choose(hiddens[:, 0], place)
        new_tokens = jax.lax.dynamic_update_slice(new_tokens, chosen[:, None], (0, place))
        counts = jnp.where(done, counts, place + 1)
        return new_tokens, cache, counts, done | (chosen == eos), place + 1

    ones = jnp.ones(rows, jnp.int32)
    state = (new_tokens, cache, ones, first == eos, jnp.int32(1))
    new_tokens, _, counts, _, _ = jax.lax.while_loop(unfinished, step, state)
    return new_tokens, counts
