"""From lists of prompts to lists of texts: checks, batches and strings around the compiled sampler."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import jax
import numpy as np

from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.sampling.decode import sample
from jaxkd.sampling.options import GREEDY, Sampling
from jaxkd.sampling.prompts import batches, check_example_ids, pad
from jaxkd.sampling.records import Finish, Generated, Mixture, StopTable
from jaxkd.sampling.stop_strings import before_stop, stop_table
from jaxkd.sharding import ROWS
from jaxkd.tokenizers.vocabulary import token_bytes
from jaxkd.typing import Key


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text:
    """What a model wrote after one prompt."""

    tokens: tuple[int, ...]
    """With the end token, or the token that completes a stop string."""
    text: str
    """Without special tokens, and without the stop string and what the last token has behind it."""
    finish: Finish
    log_probs: tuple[float, ...]
    """Nats of each token under the model itself: its softmax at temperature 1, nothing left out."""
    sampling_log_probs: tuple[float, ...]
    """Nats of each token under the distribution that it was drawn from; 0 at temperature 0."""


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
    """What the model writes after each prompt.

    What a prompt becomes depends on its tokens, the key and its example id, not on the prompts beside it.

    Args:
        prompts: token ids of each prompt, of any lengths.
        max_new_tokens: a text that has this many tokens ends.
        sampling: how a token is chosen; by default the most probable one is.
        end_tokens: ids that end a text; by default `model.end_tokens`.
        stop: strings that end a text, wherever the tokens cut them.
        key: draws the samples; needed where the temperature is above 0.
        example_ids: folded into `key`, one a prompt; by default its place in `prompts`.
        rows: most prompts that run at a time.
        mixture: a second model of the same tokens, which has a share in what is drawn.

    Raises:
        ValueError: an empty prompt, a prompt with no room for `max_new_tokens`, an end token that the model does not
            have, an empty stop string, or a temperature without a key.
        TypeError: stop strings and a tokenizer whose tokens cannot be read, as `data.vocabulary.token_bytes`.
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
        parts=_row_parts(),
        limit=positions - max_new_tokens,
    ):
        generated = sample(
            model.config,
            model.params,
            pad(
                [prompts[place] for place in batch.places],
                example_ids=[example_ids[place] for place in batch.places],
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
        written |= zip(batch.places, _texts(model, jax.device_get(generated), stop), strict=False)
    return [written[place] for place in range(len(prompts))]


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


def _row_parts() -> int:
    """Over how many devices the ambient mesh splits rows."""
    mesh = jax.sharding.get_abstract_mesh()
    return 1 if mesh.empty else math.prod(mesh.shape[name] for name in ROWS)


def _texts(model: LanguageModel, generated: Generated, stop: Sequence[str]) -> Iterable[Text]:
    """The rows of a batch, those that only fill it included."""
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
