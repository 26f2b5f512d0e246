"""Divergence of a model from a reference of the same vocabulary, such as a quantised teacher from the full one."""

import dataclasses
import functools
import logging
from collections.abc import Iterable

import jax
import jax.numpy as jnp

from jaxkd.data.text.packed_text import PackedText
from jaxkd.distillation import forward
from jaxkd.distillation.frozen_model import FrozenModel
from jaxkd.evals.language.structure import structure_distances
from jaxkd.kernels import linear_argmax, linear_divergence
from jaxkd.losses import ForwardKL, ReverseKL
from jaxkd.models.checkpoints.language_model import LanguageModel
from jaxkd.models.checkpoints.pretrained import Pretrained
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.records import Mean, TokenBatch
from jaxkd.sharding import mesh
from jaxkd.training.evaluator import Column, Evaluator
from jaxkd.training.results.evaluation import Evaluation
from jaxkd.typing import Params, Split

_log = logging.getLogger(__name__)


def reference_kl(reference: LanguageModel, model: LanguageModel, batches: Iterable[TokenBatch]) -> dict[str, Mean]:
    """Distances of a model from a reference at the response tokens, of distributions and of hidden states.

    Args:
        reference: model whose distribution the expectation is over; on the ambient mesh, as `model`.  Its head is
            enough if the batches hold its hidden states.
        model: evaluated model, with the same vocabulary.
        batches: batches of host arrays.

    Returns:
        In nats per token `kl`, KL(reference || model), `reverse_kl`, KL(model || reference), and the model's
        `cross_entropy`; `agreement`, the share of positions where both have the same argmax; and per answer
        `cosine_distance` and `inner_product_distance`, as `structure_distances` has them.

    Raises:
        ValueError: no batch, or different vocabularies.
    """
    parts = [
        jax.device_get(_nats(reference.config, reference.params, model.config, model.params, mesh.on_ambient(batch)))
        for batch in batches
    ]
    if not parts:
        raise ValueError("batches must hold at least one batch, got none.")
    return {
        name: functools.reduce(lambda total, part: total + part, [part[name] for part in parts]) for name in parts[0]
    }


@functools.partial(jax.jit, static_argnums=(0, 2))
def _nats(
    reference_config: DecoderConfig, reference: Params, config: DecoderConfig, params: Params, batch: TokenBatch
) -> dict[str, Mean]:
    mask = batch.loss_mask
    weights = mask.astype(jnp.float32)
    expected = forward.teacher(reference_config, reference, batch)
    found = forward.hiddens(config, params, batch)
    nats = linear_divergence(
        found, expected, weights=weights, divergence=ForwardKL(), labels=batch.labels, label_weights=weights
    )
    values = {
        "kl": nats.divergence,
        "reverse_kl": linear_divergence(found, expected, weights=weights, divergence=ReverseKL()).divergence,
        "cross_entropy": nats.cross_entropy,
        "agreement": (nats.argmax == linear_argmax(expected, mask)).astype(jnp.float32),
    }
    means = {
        name: Mean(total=jnp.sum(jnp.where(mask, value, 0)), count=jnp.sum(weights)) for name, value in values.items()
    }
    together = (batch.example_ids[:, :, None] == batch.example_ids[:, None, :]) & mask[:, :, None] & mask[:, None, :]
    return means | structure_distances(found.values, expected.values, together)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReferenceKL(Evaluator):
    """`reference_kl` on some examples, such as the cost of a teacher's quantisation."""

    reference: Pretrained
    """Reference, loaded beside the evaluated model."""
    data: PackedText
    """Examples; `limit` sets how many are read."""
    split: Split = "validation"
    reference_cache: str | None = None
    """Folder of a `Cache` stage for `reference`, `data` and `split`, "stage:NAME" in a study; None runs it."""

    @property
    def name(self) -> str:
        return "reference_kl"

    def columns(self) -> tuple[Column, ...]:
        return (Column(metric="agreement", name="agreement"), Column(metric="kl", name="KL to teacher"))

    def __call__(self, model: LanguageModel) -> Evaluation:
        """Compute the metrics.

        Returns:
            Metrics of `reference_kl`, and `tokens`.
        """
        tokenizer = self.reference.tokenizer()
        params = FrozenModel(checkpoint=self.reference, cached=self.reference_cache is not None).load()
        reference = LanguageModel(config=self.reference.config(), params=params, tokenizer=tokenizer)
        cache = self.data.opened(self.reference_cache, self.split, self.reference, tokenizer)
        means = reference_kl(reference, model, self.data.each_once(self.split, tokenizer, cache=cache))
        metrics = {name: float(mean.value()) for name, mean in means.items()}
        tokens = float(means["kl"].count)
        _log.info(
            "KL(%s || model) = %.3g nats per token, over %d tokens", self.reference.provenance(), metrics["kl"], tokens
        )
        return Evaluation(metrics={**metrics, "tokens": tokens})
