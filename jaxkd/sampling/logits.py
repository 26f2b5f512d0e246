"""Transformations of the model's logits into those of the sampling distribution.

Every function takes logits of one position per row and returns logits, -inf for excluded tokens.  Those that look
back take `tokens` and `mask`, the columns of prompt and text so far: True for tokens that count.  In each row these
are consecutive.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxkd.losses.divergence.log_space import log_mixture
from jaxkd.sampling.options import Sampling
from jaxkd.sampling.threshold import keep_largest


def repetition_penalty(
    logits: Float[Array, "b v"], tokens: Int[Array, "b s"], mask: Bool[Array, "b s"], *, penalty: float
) -> Float[Array, "b v"]:
    """Divide the positive logits of tokens that already occur by `penalty`, and multiply the negative ones.

    Source: Keskar et al., arXiv 1909.05858, section 4.1, with the negative logits of transformers 5.23
    `RepetitionPenaltyLogitsProcessor`.  Deviation: padding does not count.

    Example:
        >>> import jax.numpy as jnp
        >>> mask = jnp.array([[False, True, True]])
        >>> repetition_penalty(jnp.array([[1.0, 1.0, -1.0]]), jnp.array([[0, 1, 2]]), mask, penalty=2.0).tolist()
        [[1.0, 0.5, -2.0]]
    """
    penalized = jnp.where(logits > 0, logits / penalty, logits * penalty)
    return jnp.where(_marked(logits, tokens, mask), penalized, logits)


def no_repeat_ngram(
    logits: Float[Array, "b v"],
    tokens: Int[Array, "b s"],
    mask: Bool[Array, "b s"],
    end: Int[Array, ""],
    *,
    size: int,
) -> Float[Array, "b v"]:
    """Exclude the tokens that would complete a sequence of `size` tokens that already occurs.

    Args:
        end: number of filled columns; the next token goes there.

    Source: Paulus et al., arXiv 1705.04304, section 2.5; transformers 5.23 `NoRepeatNGramLogitsProcessor`.
    Deviation: padding is not part of a sequence, and a row that would lose every token keeps them all.

    Example:
        >>> import jax.numpy as jnp
        >>> tokens, mask = jnp.array([[1, 2, 1]]), jnp.ones((1, 3), bool)
        >>> no_repeat_ngram(jnp.zeros((1, 3)), tokens, mask, jnp.array(3), size=2).tolist()
        [[0.0, 0.0, -inf]]
    """
    windows = tokens.shape[1] - size + 1
    if windows < 1:
        return logits
    # If fewer columns are filled, the slice holds masked ones, and nothing repeats.
    last = jax.lax.dynamic_slice_in_dim(tokens, end - (size - 1), size - 1, axis=1)
    repeats = jax.lax.dynamic_slice_in_dim(mask, end - (size - 1), size - 1, axis=1).all(axis=1)[:, None]
    for offset in range(size - 1):
        same = tokens[:, offset : offset + windows] == last[:, offset : offset + 1]
        repeats &= same & mask[:, offset : offset + windows]
    repeats &= mask[:, size - 1 :]
    left = jnp.where(_marked(logits, tokens[:, size - 1 :], repeats), -jnp.inf, logits)
    return jnp.where(jnp.isneginf(left).all(axis=1, keepdims=True), logits, left)


def top_k(logits: Float[Array, "b v"], *, k: int) -> Float[Array, "b v"]:
    """Keep the `k` largest logits, and those equal to the smallest of them.

    Source: Fan et al., arXiv 1805.04833, section 5.4; transformers 5.23 `TopKLogitsWarper`.  Deviation: none.

    Example:
        >>> import jax.numpy as jnp
        >>> top_k(jnp.array([[3.0, 1.0, 2.0]]), k=2).tolist()
        [[3.0, -inf, 2.0]]
    """
    return jnp.where(keep_largest(logits, jnp.ones_like(logits), enough=k), logits, -jnp.inf)


def top_p(logits: Float[Array, "b v"], *, p: float) -> Float[Array, "b v"]:
    """Keep the fewest of the largest logits whose probabilities add up to at least `p`.

    Source: Holtzman et al., arXiv 1904.09751, section 3.1; transformers 5.23 `TopPLogitsWarper`.
    Deviation: all equal logits at the edge stay; in transformers, the sort decides.

    Example:
        >>> import jax.numpy as jnp
        >>> top_p(jnp.log(jnp.array([[0.5, 0.25, 0.25, 0.0]])), p=0.4).tolist()[0][1:]
        [-inf, -inf, -inf]
    """
    return jnp.where(keep_largest(logits, jax.nn.softmax(logits), enough=p), logits, -jnp.inf)


def min_p(logits: Float[Array, "b v"], *, p: float) -> Float[Array, "b v"]:
    """Keep the logits whose probability is at least `p` times the largest probability.

    Source: Nguyen et al., arXiv 2407.01082, section 3; transformers 5.23 `MinPLogitsWarper`.
    Deviation: compared in log space.

    Example:
        >>> import jax.numpy as jnp
        >>> min_p(jnp.log(jnp.array([[0.8, 0.15, 0.05]])), p=0.1).tolist()[0][2]
        -inf
    """
    return jnp.where(logits >= logits.max(axis=-1, keepdims=True) + jnp.log(p), logits, -jnp.inf)


def mixed(logits: Float[Array, "b v"], others: Float[Array, "b v"], *, share: float) -> Float[Array, "b v"]:
    """Log-probabilities of a mixture: `log((1 - share) * softmax(logits) + share * softmax(others))`.

    Args:
        logits: logits of the generating model.
        others: logits of the other model, over the same vocabulary.
        share: share of the other model, in [0, 1].

    Source: Gu et al., MiniLLM (arXiv 2306.08543), section 2.2, teacher-mixed sampling.  Deviation: formed in log
    space, so that no probability is lost.

    Example:
        >>> import jax.numpy as jnp
        >>> probs = jnp.array([[0.5, 0.5]]), jnp.array([[0.75, 0.25]])
        >>> jnp.exp(mixed(*map(jnp.log, probs), share=0.5)).tolist()
        [[0.625, 0.375]]
    """
    return log_mixture(jax.nn.log_softmax(others), jax.nn.log_softmax(logits), share)


def adjusted(
    logits: Float[Array, "b v"],
    tokens: Int[Array, "b s"],
    mask: Bool[Array, "b s"],
    end: Int[Array, ""],
    *,
    sampling: Sampling,
) -> Float[Array, "b v"]:
    """Apply all options of `sampling`, in order; at temperature 0 only those that look back."""
    if sampling.repetition_penalty is not None:
        logits = repetition_penalty(logits, tokens, mask, penalty=sampling.repetition_penalty)
    if sampling.no_repeat_ngram is not None:
        logits = no_repeat_ngram(logits, tokens, mask, end, size=sampling.no_repeat_ngram)
    if sampling.temperature == 0:
        return logits
    logits = logits / sampling.temperature
    if sampling.top_k is not None:
        logits = top_k(logits, k=sampling.top_k)
    if sampling.top_p is not None:
        logits = top_p(logits, p=sampling.top_p)
    if sampling.min_p is not None:
        logits = min_p(logits, p=sampling.min_p)
    return logits


def _marked(logits: Float[Array, "b v"], tokens: Int[Array, "b s"], mask: Bool[Array, "b s"]) -> Bool[Array, "b v"]:
    """Mask of the vocabulary's tokens that a row holds where `mask` is True."""
    rows = jnp.arange(logits.shape[0])[:, None]
    return jnp.zeros(logits.shape, bool).at[rows, tokens].max(mask)
