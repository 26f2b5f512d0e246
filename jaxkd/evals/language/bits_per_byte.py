"""Bits per byte of the answers, a language-model metric that does not depend on the tokenizer."""

import dataclasses
import functools
import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from jaxkd.data.examples import Source, subset
from jaxkd.data.text import chat, packing
from jaxkd.distillation import forward
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.records import TokenBatch
from jaxkd.runtime.progress import progress
from jaxkd.sharding import Share, constrain, mesh
from jaxkd.training.evaluator import Column, Evaluator, Measure
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.typing import Params, Split


def bits_per_byte(nats: Real[np.ndarray, " n"], byte_counts: Real[np.ndarray, " n"]) -> float:
    """Bits per byte of text, `sum(nats) / (ln 2 * sum(byte_counts))`; lower is better.

    The ratio of the corpus, not the mean of ratios: an answer counts by its bytes.

    Args:
        nats: -log p(answer | prompt) of each example.
        byte_counts: UTF-8 bytes of each answer.

    Raises:
        ValueError: different lengths, or no bytes at all.

    Source: inferred.  Deviation: none.

    Example:
        >>> import numpy as np
        >>> bits_per_byte(np.log([4.0, 16.0]), np.array([1, 2]))  # 2 + 4 bits over 3 bytes
        2.0
    """
    if nats.shape != byte_counts.shape:
        raise ValueError(f"byte_counts must have the length of nats, got {byte_counts.shape} and {nats.shape}.")
    total = float(byte_counts.sum(dtype=np.float64))
    if total <= 0:
        raise ValueError(f"byte_counts must add up to more than 0, got {total:g} over {nats.size} examples.")
    return float(nats.sum(dtype=np.float64)) / (float(np.log(2.0)) * total)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BitsPerByte(Evaluator):
    """Teacher-forced bits per byte of the answers of one split; the prompt is context only.

    The end-of-turn token is part of an answer: its nats count, and it has no bytes.  A model
    that does not know when to stop pays for it.
    """

    source: Source
    split: Split = "test"
    limit: int | None = None
    """Number of answers scored, chosen by a hash of their keys; None scores all."""
    rows: int = 8
    """Rows of a batch, over the whole mesh."""
    length: int = 512
    """Tokens of a row.  Longer examples are left out."""
    targets: int = 256
    """Answer tokens of a row.  Longer answers are left out."""
    template: Literal["chat", "plain"] = "chat"
    control_tokens: Literal["text", "allow"] = "text"
    """Whether a control token that a text spells out, as `<|im_end|>`, is read as text, or as the control token."""

    @property
    def name(self) -> str:
        return "bits_per_byte"

    def columns(self) -> tuple[Column, ...]:
        return (Column(metric="nats_per_token", name="nats per token", on_terminal=False),)

    def measures(self) -> tuple[Measure, ...]:
        return (
            Measure(
                metric="bits_per_byte",
                name="cross entropy of the data's answers",
                better="lower",
                numerator="nats",
                denominator="bytes",
                unit="bits per byte",
                unit_size=math.log(2),
            ),
        )

    def tokenized(self, model: LanguageModel) -> tuple[list[chat.Tokenized], chat.TokenizationReport]:
        """Return the answers that are scored, in a model's tokens, and how many were kept and left out."""
        return chat.tokenize(
            subset(self.source.examples(self.split), self.limit),
            model.tokenizer,
            max_length=min(self.length, model.config.max_positions),
            max_response=self.targets,
            template=self.template,
            control_tokens=self.control_tokens,
        )

    def __call__(self, model: LanguageModel) -> Evaluation:
        """Score the answers.

        Returns:
            Metrics `bits_per_byte`, `nats_per_token`, `answers`, `bytes` and `tokens`; columns
            `nats`, `bytes` and `tokens`, one value per example.
        """
        examples, _ = self.tokenized(model)
        batches = packing.evaluation_batches(
            examples,
            rows=self.rows,
            length=self.length,
            targets=self.targets,
            share=Share.of_process(),
        )
        position = {example.index: number for number, example in enumerate(examples)}
        nats = np.zeros(len(examples), np.float64)
        tokens = np.zeros(len(examples), np.int64)
        scored = 0
        with progress(len(examples), f"bits per byte, {self.split}") as bar:
            for batch in batches:
                row_nats, row_ids = jax.device_get(_scores(model.config, model.params, mesh.on_ambient(batch)))
                found = row_ids >= 0
                numbers = np.array([position[index] for index in row_ids[found].tolist()], np.int64)
                # Sum in float64: thousands of float32 terms would cost the last digit shown.
                np.add.at(nats, numbers, row_nats[found].astype(np.float64))
                np.add.at(tokens, numbers, 1)
                scored += np.unique(numbers).size
                bar.update(scored, count=int(tokens.sum()))
        byte_counts = np.array([example.response_bytes for example in examples], np.int64)
        return Evaluation(
            metrics={
                "bits_per_byte": bits_per_byte(nats, byte_counts),
                "nats_per_token": float(nats.sum() / tokens.sum()),
                "answers": float(len(examples)),
                "bytes": float(byte_counts.sum()),
                "tokens": float(tokens.sum()),
            },
            keys=tuple(example.key for example in examples),
            per_example={
                "nats": tuple(nats.tolist()),
                "bytes": tuple(byte_counts.astype(float).tolist()),
                "tokens": tuple(tokens.astype(float).tolist()),
            },
        )


@functools.partial(jax.jit, static_argnums=0)
def _scores(config: DecoderConfig, params: Params, batch: TokenBatch) -> tuple[Float[Array, "b k"], Int[Array, "b k"]]:
    """Nats of each label and the id of its example (-1 for none), replicated on every process."""
    nats = forward.label_cross_entropy(config, params, batch)
    ids = jnp.where(batch.loss_mask, batch.example_ids, -1)
    return constrain(nats, None, None), constrain(ids, None, None)
