"""Growth of compile time with depth: a tiny model of 28 layers against the same of 2.

The layers are scanned, so that a program of many is as long as one of two.  The time includes tracing and XLA's
compilation; nothing is cached between two compilations.
"""

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks import environment
from benchmarks.row import Bar, Benchmark, Measured, Row
from benchmarks.timing import interleaved

if TYPE_CHECKING:
    from jaxkd.models import DecoderConfig

REPEATS = 5
SHALLOW, DEEP = 2, 28
FLAT = Bar(relation="<=", limit=1.3)


def measure(quick: bool) -> Measured:
    """Measure seconds at both depths and their ratio, medians of five rounds; quick: only the forward pass."""
    import jax

    programs = {"forward": _forward, "forward and gradient": _gradient}
    # A compilation from the disk cache would take no time at either depth.
    jax.config.update("jax_enable_compilation_cache", False)
    rows = []
    for name, program in list(programs.items())[: 1 if quick else None]:
        rows += _rows(name, program)
    return Measured(rows=tuple(rows), environment=environment.here())


BENCHMARK = Benchmark(
    name="models_compile",
    summary="seconds to trace and compile 28 layers, against 2",
    measure=measure,
)


def _rows(name: str, program: Callable[["DecoderConfig"], Callable]) -> list[Row]:
    seconds = interleaved(
        {f"{depth} layers": functools.partial(_seconds, program, depth) for depth in (SHALLOW, DEEP)}, repeats=REPEATS
    )
    shallow, deep = seconds.values()
    ratios = [more / fewer for fewer, more in zip(shallow, deep, strict=True)]
    return [
        *(Row.median(f"{name}, {depth}", samples, "s") for depth, samples in seconds.items()),
        Row.median(f"{name}: {DEEP} layers / {SHALLOW} layers", ratios, "x", bar=FLAT),
    ]


def _seconds(program: Callable[["DecoderConfig"], Callable], depth: int) -> float:
    """Return the seconds of one compilation without caches."""
    import jax
    import jax.numpy as jnp

    from jaxkd.models import DecoderConfig
    from jaxkd.models.transformer import decoder

    config = DecoderConfig(
        vocab_size=512, width=64, depth=depth, heads=4, kv_heads=2, head_dim=16, mlp_width=128, max_positions=128
    )
    tokens = jax.ShapeDtypeStruct((2, 64), jnp.int32)
    jax.clear_caches()
    start = time.perf_counter()
    jax.jit(program(config)).lower(decoder.abstract(config), tokens).compile()
    return time.perf_counter() - start


def _forward(config: "DecoderConfig") -> Callable:
    import jax.numpy as jnp

    from jaxkd.models.transformer import decoder

    def forward(params, tokens):
        positions = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
        return decoder.hidden_states(config, params, tokens, positions=positions, segment_ids=None)

    return forward


def _gradient(config: "DecoderConfig") -> Callable:
    import jax
    import jax.numpy as jnp

    forward = _forward(config)
    return jax.value_and_grad(lambda params, tokens: jnp.sum(forward(params, tokens)))
