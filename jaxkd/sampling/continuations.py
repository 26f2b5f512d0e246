"""Log-probabilities of given continuations of contexts: options of questions, references, windows of a text."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from jaxkd.kernels import linear_log_probs
from jaxkd.kernels.linear.log_probs import LogProbs
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.models.transformer import attention, decoder
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.records import Hiddens
from jaxkd.sampling.context_trees import TreeBatch, fill, grow
from jaxkd.sampling.prompts import row_parts
from jaxkd.sharding import constrain
from jaxkd.typing import Params


@dataclasses.dataclass(frozen=True, kw_only=True)
class Continuation:
    """Tokens to score, and those before them."""

    context: tuple[int, ...]
    """At least one token: without any, nothing predicts the first."""
    continuation: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """Log-probability of a continuation under the model: its softmax at temperature 1."""

    log_prob: float
    """Sum of `log_probs` in float64, in nats."""
    greedy: bool
    """Whether each token is the most probable one after those before it."""
    log_probs: tuple[float, ...]
    """Log-probability of each token in nats, computed in float32."""

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return len(self.log_probs)


def continuation_log_probs(
    model: LanguageModel,
    requests: Sequence[Continuation],
    *,
    rows: int = 8,
    max_length: int | None = None,
) -> list[Score]:
    """Score each continuation after its context.

    A context that several requests share is read once, and the head is applied only where a token is scored.  The
    result does not depend on the other requests, except for the rounding of sums.

    Args:
        model: the model; its rows run split over the ambient mesh.
        requests: the continuations, in any order.
        rows: maximum number of rows of 512 tokens that run at a time; of longer ones fewer do.
        max_length: maximum number of tokens that the model reads for a request, the last ones of context and
            continuation without the very last; by default the model's positions.

    Returns:
        One score a request, in their order.

    Raises:
        ValueError: an empty context or continuation, a token that the model does not have, a continuation longer than
            `max_length`, or one that exceeds the model's positions.
    """
    positions = model.config.max_positions
    max_length = positions if max_length is None else max_length
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}.")
    if not 1 <= max_length <= positions:
        raise ValueError(f"max_length must be between 1 and the model's {positions} positions, got {max_length}.")
    for place, request in enumerate(requests):
        _check(model.config, request, place, max_length)
    trees = grow([_kept(request, max_length) for request in requests])
    found: dict[int, Score] = {}
    for batch in fill(trees, rows=rows, parts=row_parts()):
        arrays = batch.arrays()
        scored = tree_log_probs(model.config, model.params, arrays)
        log_probs, argmax = jax.device_get((scored.values, scored.argmax))
        greedy = argmax == arrays.targets
        for row, held in enumerate(batch.trees):
            end = 0
            for tree in held:
                for index, branch in zip(tree.indices, tree.branches, strict=True):
                    here = np.s_[row, end : end + len(branch)]
                    end += len(branch)
                    values = np.asarray(log_probs[here], np.float64)
                    found[index] = Score(
                        log_prob=float(values.sum()), greedy=bool(greedy[here].all()), log_probs=tuple(values.tolist())
                    )
    return [found[index] for index in range(len(requests))]


@functools.partial(jax.jit, static_argnames=("config",))
def tree_log_probs(config: DecoderConfig, params: Params, batch: TreeBatch) -> LogProbs:
    """Return the log-probability of each target, and the most likely token in its place.

    Compiled once for each shape.  A token attends to its own tree's trunk and its own branch, up to itself.  The
    results are replicated on every process.
    """
    tokens, positions, columns, targets, mask = (
        constrain(jnp.asarray(leaf), "rows", None)
        for leaf in (batch.tokens, batch.positions, batch.columns, batch.targets, batch.mask)
    )
    seen, distance = _visible(batch)

    def attend(layer: decoder.Layer, queries: Array, keys: Array, values: Array, memory: None) -> tuple:
        near = (
            seen
            if isinstance(layer.window, int) and not layer.window
            else seen & ((distance < layer.window) | (layer.window == 0))
        )
        scores = attention.scores(queries, keys, near, softcap=config.attention_softcap, scale=config.score_scale)
        return attention.mix(scores, values), memory, None

    hiddens = decoder.run(config, params, tokens, positions=positions, attend=attend).final
    read = jnp.take_along_axis(hiddens, columns[..., None], axis=1)
    found = linear_log_probs(Hiddens(values=read, head=decoder.head(config, params)), targets, mask=mask)
    return jax.tree.map(lambda leaf: constrain(leaf, None, None), found)


def _visible(batch: TreeBatch) -> tuple[Bool[Array, "b t t"], Int[Array, "b t t"]]:
    """Mask of the columns that each column attends to, and the distances of their positions."""
    positions, trees, branches = (
        constrain(jnp.asarray(leaf), "rows", None) for leaf in (batch.positions, batch.trees, batch.branches)
    )
    columns = jnp.arange(positions.shape[1])
    earlier = (columns[:, None] >= columns[None, :])[None]
    one_tree = trees[:, :, None] == trees[:, None, :]
    on_the_way = (branches[:, None, :] == 0) | (branches[:, None, :] == branches[:, :, None])
    return earlier & one_tree & on_the_way, positions[:, :, None] - positions[:, None, :]


def _check(config: DecoderConfig, request: Continuation, place: int, max_length: int) -> None:
    tokens = config.tokens or config.vocab_size
    if not request.continuation:
        raise ValueError(f"continuation must have at least one token, that of request {place} has none.")
    if not request.context:
        raise ValueError(
            f"context must have at least one token, that of request {place} has none. "
            "Begin it with the tokenizer's bos token, or with the end token of a text before."
        )
    read = (*request.context, *request.continuation)
    if min(read) < 0 or max(read) >= tokens:
        unknown = [token for token in read if not 0 <= token < tokens]
        raise ValueError(
            f"context and continuation must be ids of the model's {tokens} tokens, got {unknown[:3]} in request "
            f"{place}. Encode them with the model's own tokenizer."
        )
    if len(request.continuation) > max_length:
        raise ValueError(
            f"continuation must have at most max_length={max_length} tokens, got {len(request.continuation)} in "
            f"request {place}. Score it in parts, each after the last tokens of the one before."
        )


def _kept(request: Continuation, max_length: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Cut the context from the left, so that `max_length` tokens are read."""
    return request.context[-(max_length - len(request.continuation) + 1) :], request.continuation
