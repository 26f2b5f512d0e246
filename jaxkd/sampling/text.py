"""Generation of texts from lists of prompts: checks, batches and strings around the compiled sampler."""

import dataclasses
from collections.abc import Iterable, Sequence

import jax
import numpy as np

from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.sampling.decode import sample
from jaxkd.sampling.options import GREEDY, Sampling
from jaxkd.sampling.prompts import batches, check_example_ids, pad, row_parts
from jaxkd.sampling.records import Finish, Generated, Mixture, StopTable
from jaxkd.sampling.stop_strings import before_stop, stop_table
from jaxkd.tokenizers.pieces import token_bytes
from jaxkd.typing import Key


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text:
    """Generated text after one prompt."""

    tokens: tuple[int, ...]
    """Tokens, including the end token or the one that completes a stop string."""
    text: str
    """Text without special tokens, the stop string, and what the last token has behind it."""
    finish: Finish
    log_probs: tuple[float, ...]
    """Log-probabilities in nats under the model itself: its softmax at temperature 1, nothing excluded."""
    sampling_log_probs: tuple[float, ...]
    """Log-probabilities in nats under the sampling distribution; 0 at temperature 0."""


def generate(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    sampling: Sampling = GREEDY,
    end_tokens: Iterable[int] | None = None,
    stop: Sequence[str] = (),
    key: Key | None = None,
    example_ids: Sequence[int] | None = None,
    rows: int = 32,
    mixture: Mixture | None = None,
) -> list[Text]:
    """Generate a text after each prompt.

    It depends on the prompt's tokens, the key and its example id, not on the other prompts.

    Args:
        prompts: token ids of each prompt, of any lengths.
        max_new_tokens: maximum number of tokens of a text.
        sampling: how a token is chosen; by default the most probable one is.
        end_tokens: ids that end a text; by default `model.end_tokens`.
        stop: strings that end a text, across token boundaries.
        key: random key for the samples; required if the temperature is above 0.
        example_ids: folded into `key`, one per prompt; by default its index in `prompts`.
        rows: maximum number of prompts that run at a time.
        mixture: second model of the same tokens, with a share in the sampling distribution.

    Raises:
        ValueError: an empty prompt, a prompt with no room for `max_new_tokens`, an end token that the model does not
            have, an empty stop string, or a temperature without a key.
        TypeError: stop strings with a tokenizer whose tokens cannot be read, as `pieces.token_bytes`.
    """
    example_ids = range(len(prompts)) if example_ids is None else example_ids
    end_tokens = tuple(sorted(set(model.end_tokens if end_tokens is None else end_tokens)))
    readers = [model.config] if mixture is None else [model.config, mixture.config]
    positions = min(config.max_positions for config in readers)
    _check(model.config, prompts, max_new_tokens, sampling, end_tokens, key, rows, positions)
    check_example_ids(example_ids, len(prompts))
    table = _stop_table(model, stop)
    written: dict[int, Text] = {}
    for batch in batches(
        [len(prompt) for prompt in prompts],
        rows=rows,
        parts=row_parts(),
        limit=positions - max_new_tokens,
    ):
        generated = sample(
            model.config,
            model.params,
            pad(
                [prompts[index] for index in batch.indices],
                example_ids=[example_ids[index] for index in batch.indices],
                rows=batch.rows,
                length=batch.length,
            ),
            jax.random.key(0) if key is None else key,
            max_new_tokens=max_new_tokens,
            sampling=sampling,
            end_tokens=end_tokens,
            stop=table,
            mixture=mixture,
        )
        written |= zip(batch.indices, _texts(model, jax.device_get(generated), stop), strict=False)
    return [written[index] for index in range(len(prompts))]


def _check(
    config: DecoderConfig,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    sampling: Sampling,
    end_tokens: tuple[int, ...],
    key: Key | None,
    rows: int,
    positions: int,
) -> None:
    if max_new_tokens < 1 or rows < 1:
        raise ValueError(f"max_new_tokens and rows must be at least 1, got {max_new_tokens} and {rows}.")
    if sampling.temperature > 0 and key is None:
        raise ValueError(
            f"key must be given to sample at temperature {sampling.temperature}. Pass jax.random.key(seed)."
        )
    unknown = [token for token in end_tokens if not 0 <= token < config.vocab_size]
    if unknown:
        raise ValueError(
            f"end_tokens must be ids of the model's {config.vocab_size} tokens, got {unknown}. "
            "Take them from the model's own tokenizer."
        )
    room = positions - max_new_tokens
    for place, prompt in enumerate(prompts):
        if not len(prompt):
            raise ValueError(f"prompts must not be empty, prompt {place} is. Start it with the model's bos token.")
        if len(prompt) > room:
            raise ValueError(
                f"prompt {place} must leave room for max_new_tokens={max_new_tokens} in the model's "
                f"{positions} positions, got {len(prompt)} tokens. Shorten it to {max(room, 0)}."
            )


def _stop_table(model: LanguageModel, stop: Sequence[str]) -> StopTable | None:
    if not stop:
        return None
    table = stop_table(token_bytes(model.tokenizer), stop, vocab_size=model.config.vocab_size)
    # Moved to the device once, not with every batch; a NumPy array is the same on every process.
    return table if jax.process_count() > 1 else jax.device_put(table)


def _texts(model: LanguageModel, generated: Generated, stop: Sequence[str]) -> Iterable[Text]:
    """Texts of the rows of a batch, including those that only pad it."""
    for row, length in enumerate(np.asarray(generated.lengths).tolist()):
        tokens = generated.tokens[row, :length].tolist()
        text = str(model.tokenizer.decode(tokens, skip_special_tokens=True))
        finish = Finish(int(generated.finish[row]))
        yield Text(
            tokens=tuple(tokens),
            text=before_stop(text, stop) if finish == Finish.STOP_STRING else text,
            finish=finish,
            log_probs=tuple(generated.log_probs[row, :length].tolist()),
            sampling_log_probs=tuple(generated.sampling_log_probs[row, :length].tolist()),
        )
