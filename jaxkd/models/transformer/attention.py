"""Causal self-attention as one function with several backends.

    xla        the reference: scores, softmax in float32, product; supports every case, whole sequences in blocks
    xla_dot    jax.nn.dot_product_attention compiled by XLA; no soft-cap
    cudnn      the same function by cuDNN's flash attention, on NVIDIA GPUs; one segment per row, half precision
    splash     the Pallas kernel that comes with JAX, on TPUs; whole sequences of a multiple of 128 tokens

`auto` is cudnn or splash if the platform has it and it supports the case, and xla otherwise.
Each choice is logged the first time.
"""

import dataclasses
import functools
import logging
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxkd.models.transformer import splash
from jaxkd.sharding.devices import is_planned, platform

Queries: TypeAlias = Float[Array, "b t heads head_dim"]
Keys: TypeAlias = Float[Array, "b s kv_heads head_dim"]
Segments: TypeAlias = Int[Array, "b t"]

Backend = Literal["xla", "xla_dot", "cudnn", "splash"]
BackendChoice = Literal["auto", "xla", "xla_dot", "cudnn", "splash"]

BACKENDS: tuple[Backend, ...] = ("xla", "xla_dot", "cudnn", "splash")

FUSED: tuple[Backend, ...] = ("cudnn", "splash")
"""Backends that never hold a whole row of scores.  Their window is static, not an argument of the program."""

QUERY_BLOCK = 128
"""Queries of a block of the backend `xla`, or the smallest multiple that makes at most `MOST_QUERY_BLOCKS`."""

MOST_QUERY_BLOCKS = 8
"""Blocks into which a sequence is split at most, since a program has the code of each."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """Properties of a call that determine the usable backends."""

    dtype: jax.typing.DTypeLike
    head_dim: int
    length: int
    """Number of queries."""
    cached: bool
    """Whether there are keys before the first query, or slots for later keys."""
    segments: bool
    """Whether rows hold several segments, or padding before their tokens."""
    softcap: bool
    static_window: bool
    """Whether the window is known at compile time."""


def choose(backend: BackendChoice, case: Case) -> Backend:
    """Return the backend that computes this case.

    Raises:
        ValueError: a backend, requested by name, that this platform lacks or that does not support the case.
    """
    if backend == "auto":
        usable = [name for name in BACKENDS if _obstacle(name, case) is None]
        chosen = usable[-1] if usable[-1] in FUSED else "xla"
        _log_choice(chosen, f"auto, on {platform()}")
        return chosen
    if backend not in BACKENDS:
        raise ValueError(f"backend must be auto or one of {', '.join(BACKENDS)}, got {backend!r}.")
    obstacle = _obstacle(backend, case)
    if obstacle is not None:
        usable = [name for name in BACKENDS if _obstacle(name, case) is None]
        raise ValueError(f"backend must be one of {', '.join(usable)} here, got {backend!r}: {obstacle}.")
    _log_choice(backend, "as asked for")
    return backend


@functools.cache
def _log_choice(backend: Backend, reason: str) -> None:
    _log.info("attention runs on %s (%s)", backend, reason)


def _obstacle(backend: Backend, case: Case) -> str | None:
    """Return why the backend cannot be used; None if it can."""
    match backend:
        case "xla_dot" if case.softcap:
            return "jax.nn.dot_product_attention has no soft-cap"
        case "cudnn":
            if platform() not in ("gpu", "cuda"):
                return f"it needs an NVIDIA GPU, and JAX runs on {platform()}"
            if is_planned():
                return "cuDNN plans on the GPU itself, and this process has none"
            if case.softcap:
                return "cuDNN has no soft-cap"
            if case.segments:
                return "cuDNN does not keep segments apart; pass segment_ids=None where each row holds one"
            if jnp.dtype(case.dtype) not in (jnp.bfloat16, jnp.float16):
                return f"cuDNN takes bfloat16 and float16, not {jnp.dtype(case.dtype)}"
            if case.head_dim % 8 or case.head_dim > 128:
                return f"cuDNN takes heads of a multiple of 8 up to 128, not {case.head_dim}"
        case "splash":
            if platform() != "tpu":
                return f"it needs a TPU, and JAX runs on {platform()}"
            if case.length % splash.BLOCK:
                return f"the kernel takes a multiple of {splash.BLOCK} tokens, not {case.length}"
    if backend in FUSED and case.cached:
        return "it takes whole sequences, not a key/value cache"
    if backend in FUSED and not case.static_window:
        return "its window is part of the program, not an array"
    return None


def attention(
    queries: Queries,
    keys: Keys,
    values: Keys,
    *,
    segment_ids: Segments | None = None,
    key_segment_ids: Int[Array, "b s"] | None = None,
    start: Int[Array, ""] | int = 0,
    window: Int[Array, ""] | int = 0,
    softcap: float | None = None,
    scale: float | None = None,
    backend: BackendChoice = "auto",
) -> Queries:
    """Return `softmax(cap * tanh(scale * q k / cap)) v` over the keys that each query attends to.

    The query in column `i` attends to the key in column `j` if `j <= start + i`, if the two have equal segment ids and,
    with a window, if `start + i - j < window`.  Query head `i` reads key head `i // (heads // kv_heads)`.

    Args:
        segment_ids: segments of the queries, and of the keys without `key_segment_ids`.  None is one segment per row
            that begins in column 0; results after its end are meaningless.
        key_segment_ids: segments of the keys, if there are more keys than queries, as in a key/value cache.
        start: column of the first query among the keys.
        window: number of keys that a query attends to, itself included; 0 is all.  The fused backends take no array.
        softcap: bound on the scores before the mask; None is no bound.
        scale: factor of the products; None is `head_dim ** -0.5`.
        backend: "auto", or the name of a backend.

    Raises:
        ValueError: a backend, requested by name, that cannot be used.

    Source: Vaswani et al., arXiv 1706.03762; the soft-cap is Gemma 2's, arXiv 2408.00118.  Deviation: none.
    """
    case = Case(
        dtype=queries.dtype,
        head_dim=queries.shape[-1],
        length=queries.shape[1],
        cached=keys.shape[1] != queries.shape[1] or key_segment_ids is not None or not isinstance(start, int),
        segments=segment_ids is not None,
        softcap=softcap is not None,
        static_window=isinstance(window, int),
    )
    chosen = choose(backend, case)
    factor = queries.shape[-1] ** -0.5 if scale is None else scale
    if chosen == "splash":
        return splash.attention(
            queries, keys, values, segment_ids=segment_ids, window=int(window), softcap=softcap, scale=factor
        )
    if chosen == "cudnn":
        left = None if window == 0 else (int(window) - 1, 0)
        return jax.nn.dot_product_attention(
            queries, keys, values, scale=factor, is_causal=True, local_window_size=left, implementation="cudnn"
        )
    if chosen == "xla" and not case.cached:
        return _in_blocks(queries, keys, values, segment_ids=segment_ids, window=window, softcap=softcap, scale=factor)
    mask = visible(
        queries.shape[1],
        keys.shape[1],
        segment_ids=segment_ids,
        key_segment_ids=key_segment_ids,
        start=start,
        window=window,
    )
    if chosen == "xla_dot":
        return jax.nn.dot_product_attention(
            queries, keys, values, mask=mask[:, None], scale=factor, implementation="xla"
        )
    return mix(scores(queries, keys, mask, softcap=softcap, scale=factor), values)


def _in_blocks(
    queries: Queries,
    keys: Keys,
    values: Keys,
    *,
    segment_ids: Segments | None,
    window: Int[Array, ""] | int,
    softcap: float | None,
    scale: float,
) -> Queries:
    """Attend over a whole sequence, each block of queries to the keys up to its end: later ones are never scored."""
    length = queries.shape[1]
    size = QUERY_BLOCK * -(-length // (QUERY_BLOCK * MOST_QUERY_BLOCKS))
    mixed = []
    for begin in range(0, length, size):
        first = max(0, begin + 1 - window) if isinstance(window, int) and window else 0
        block = slice(begin, min(begin + size, length))
        seen = slice(first, block.stop)
        mask = visible(
            block.stop - begin,
            seen.stop - first,
            segment_ids=None if segment_ids is None else segment_ids[:, block],
            key_segment_ids=None if segment_ids is None else segment_ids[:, seen],
            start=begin - first,
            window=window,
        )
        products = scores(queries[:, block], keys[:, seen], mask, softcap=softcap, scale=scale)
        mixed.append(mix(products, values[:, seen]))
    return jnp.concatenate(mixed, axis=1)


def visible(
    queries: int,
    keys: int,
    *,
    segment_ids: Segments | None = None,
    key_segment_ids: Int[Array, "b s"] | None = None,
    start: Int[Array, ""] | int = 0,
    window: Int[Array, ""] | int = 0,
) -> Bool[Array, "rows t s"]:
    """Return the mask of keys that each query attends to, as in `attention`; `rows` is 1 without segment ids."""
    distance = start + jnp.arange(queries)[:, None] - jnp.arange(keys)[None, :]
    seen = distance >= 0
    if not isinstance(window, int):
        seen &= (distance < window) | (window == 0)
    elif window:
        seen &= distance < window
    if segment_ids is None:
        return seen[None]
    key_segment_ids = segment_ids if key_segment_ids is None else key_segment_ids
    return (segment_ids[:, :, None] == key_segment_ids[:, None, :]) & seen[None]


def scores(
    queries: Queries, keys: Keys, mask: Bool[Array, "rows t s"], *, softcap: float | None, scale: float
) -> Float[Array, "b heads t s"]:
    """Return the scores before the softmax, in float32 or wider.

    Masked pairs have the lowest finite number, so that the difference of two models' scores is 0 there.
    """
    rows, length, heads, head_dim = queries.shape
    kv_heads = keys.shape[2]
    grouped = queries.reshape(rows, length, kv_heads, heads // kv_heads, head_dim)
    axes = "btkgh"
    if length > 1:  # XLA:CPU transposes the products otherwise; of a single query they are small
        grouped, axes = jnp.moveaxis(grouped, 1, 3), "bkgth"
    precision = jnp.promote_types(queries.dtype, jnp.float32)
    products = jnp.einsum(f"{axes},bskh->bkgts", grouped, keys, preferred_element_type=precision) * scale
    if softcap is not None:
        products = softcap * jnp.tanh(products / softcap)
    products = jnp.where(mask[:, None, None], products, jnp.finfo(precision).min)
    return products.reshape(rows, heads, length, keys.shape[1])


def mix(scores: Float[Array, "b heads t s"], values: Keys) -> Queries:
    """Average the values under the softmax of the scores; a query without keys gets their unweighted mean."""
    rows, heads, length, slots = scores.shape
    kv_heads, head_dim = values.shape[2:]
    probs = jax.nn.softmax(scores, axis=-1).astype(values.dtype)
    grouped = probs.reshape(rows, kv_heads, heads // kv_heads, length, slots)
    # Compute in this order and transpose afterwards: for few queries XLA:CPU is slow with "btkgh" directly.
    mixed = jnp.einsum("bkgts,bskh->bkgth", grouped, values)
    return jnp.moveaxis(mixed, 3, 1).reshape(rows, length, heads, head_dim)
