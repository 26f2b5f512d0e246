"""Hidden states and attention of a decoder's layers, for students that imitate more than the logits."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxkd.models.transformer import attention, decoder
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.typing import Key, Params

AttentionTap = Literal["none", "scores", "probs"]
"""Attention output of each block: nothing, the scores before the softmax, or the probabilities after it.  For masked
pairs, scores are the lowest finite number and probabilities 0."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerOutputs:
    """Hidden states and attention of every layer."""

    hiddens: Float[Array, "n b t d"]
    """Hidden states, with `n` the depth plus one: entry 0 is the embedding, entry i the residual stream after block i,
    counted from 1.  The last entry is taken after the final norm, as in transformers: the hidden states that the head
    reads."""
    attention: Float[Array, "l b heads t t"] | None
    """Scores or probabilities of each block, in float32 or wider; None if not requested."""


def layer_outputs(
    config: DecoderConfig,
    params: Params,
    tokens: Int[Array, "b t"],
    *,
    positions: Int[Array, "b t"],
    segment_ids: Int[Array, "b t"],
    tap: AttentionTap = "none",
    key: Key | None = None,
    remat: decoder.Remat = "none",
) -> LayerOutputs:
    """Return all hidden states of a decoder, and its attention, from one forward pass.

    Attention uses the backend `xla`, because the others never hold a whole row of scores.

    Args:
        positions: position of each token within its segment, from 0.
        segment_ids: segment of each token; attention is causal and stays within a segment; 0 is padding.
        tap: attention output to return.
        key: random key for dropout; None disables it.
        remat: values recomputed in the backward pass.

    Source: inferred; the entries match transformers' `output_hidden_states` and `output_attentions`.  Deviation: none.
    """
    length = tokens.shape[1]

    def attend(layer: decoder.Layer, queries: Array, keys: Array, values: Array, memory: None) -> tuple:
        mask = attention.visible(length, length, segment_ids=segment_ids, window=layer.window)
        scores = attention.scores(queries, keys, mask, softcap=config.attention_softcap, scale=config.score_scale)
        return attention.mix(scores, values), memory, _seen(scores, tap)

    def keep(hiddens: Array, seen: Array | None) -> tuple[Array, Any]:
        return hiddens, seen

    passed = decoder.run(config, params, tokens, positions=positions, attend=attend, key=key, remat=remat, keep=keep)
    hiddens, seen = passed.kept
    return LayerOutputs(
        hiddens=jnp.concatenate([passed.embedded[None], hiddens[:-1], passed.final[None]]), attention=seen
    )


def _seen(scores: Array, tap: AttentionTap) -> Array | None:
    match tap:
        case "none":
            return None
        case "scores":
            return scores
        case "probs":
            return jax.nn.softmax(scores, axis=-1)
    raise ValueError(f"tap must be none, scores or probs, got {tap!r}.")
