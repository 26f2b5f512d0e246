"""Sampler: prefill, then decoding of one token per step with a key/value cache, all in one compiled program."""

import dataclasses
import functools
from typing import TypeVar

import jax
import jax.numpy as jnp
import jaxtyping
from jaxtyping import Array, Bool, Float, Int

from jaxkd.kernels import head_logits
from jaxkd.models.transformer import decoder
from jaxkd.models.transformer.architecture import DecoderConfig
from jaxkd.models.transformer.key_value_cache import KeyValueCache, extend, init_cache, put_rows, take_rows
from jaxkd.records import Hiddens
from jaxkd.sampling.logits import adjusted, mixed
from jaxkd.sampling.options import Sampling
from jaxkd.sampling.prompts import row_parts
from jaxkd.sampling.records import Finish, Generated, Mixture, Prompts, StopTable
from jaxkd.sharding import constrain
from jaxkd.sharding.devices import platform
from jaxkd.typing import Key, Params

SHORTEST_STAGE = 128
"""Fewest slots that the key/value cache starts with: each stage of its growth compiles a loop of its own."""

LEAST_HALVED = 16
"""Fewest rows of a batch of which the last half goes on alone, in a loop of its own."""

_Caches = list[KeyValueCache]
"""Cache of each model: one, or two if a mixture is sampled."""

_Tree = TypeVar("_Tree")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class _Rows:
    """Properties of each row that do not change."""

    prompt: Bool[Array, "b s"]
    """True where the row's columns hold its prompt."""
    last: Int[Array, "b 1"]
    """Position of the prompt's last token."""
    keys: jaxtyping.Key[Array, " b"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class _State:
    """Loop state besides the caches."""

    written: Int[Array, ""]
    """Number of tokens written so far, in the rows that still run."""
    columns: Int[Array, "b s"]
    """Tokens of prompt and text; 0 where nothing is written yet."""
    running: Bool[Array, " b"]
    matched: Int[Array, " b"]
    """State of each row in the stop table."""
    lengths: Int[Array, " b"]
    finish: Int[Array, " b"]
    log_probs: Float[Array, "b n"]
    sampling_log_probs: Float[Array, "b n"]


@functools.partial(jax.jit, static_argnames=("config", "max_new_tokens", "sampling", "end_tokens"))
def sample(
    config: DecoderConfig,
    params: Params,
    prompts: Prompts,
    key: Key,
    *,
    max_new_tokens: int,
    sampling: Sampling,
    end_tokens: tuple[int, ...] = (),
    stop: StopTable | None = None,
    mixture: Mixture | None = None,
) -> Generated:
    """Continue each prompt until an end token, a stop string, or `max_new_tokens`.

    A pure function of arrays, compiled once for each shape of `prompts` and each value of the static arguments, and
    callable inside another compiled function.  A row's result depends on the parameters, its prompt, the key and its
    example id: not on its position, the other rows, the padding or the mesh, except for the rounding of sums, which
    changes logits by some 1e-6.  Rows are split over the ambient mesh; the results are replicated on every process.
    There is no dropout.  The loop ends when every row has; on a CPU, half of a large batch leaves it when it has ended.

    Args:
        config: architecture; `prompts.lengths + max_new_tokens` must not exceed its `max_positions`, nor those of the
            mixture, which the caller checks, as `generate` does.
        params: parameters of any dtype; the logits and all later computations are float32 or wider.
        prompts: prompts from `pad`.
        key: random key; each sample is a function of it, the row's example id and the row's number of tokens.
        max_new_tokens: number of columns of the result.
        sampling: how a token is chosen.
        end_tokens: token ids that end a text.
        stop: strings that end a text, made by `stop_table`.
        mixture: second model with a share in the distribution; `sampling` applies to both before they are mixed.

    Raises:
        ValueError: `max_new_tokens` below 1.
    """
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens}.")
    params, mixture = jax.lax.stop_gradient((params, mixture))
    models = [(config, params)] if mixture is None else [(config, params), (mixture.config, mixture.params)]
    tokens, lengths = jnp.asarray(prompts.tokens), jnp.asarray(prompts.lengths)
    rows, length = tokens.shape
    offsets = jnp.arange(length)[None] - (length - lengths[:, None])
    mask, positions = offsets >= 0, jnp.maximum(offsets, 0)
    segment_ids = constrain(mask.astype(jnp.int32), "rows", None)
    later = ((0, 0), (0, max_new_tokens))
    asked = _Rows(
        prompt=jnp.pad(mask, later),
        last=positions[:, -1:],
        keys=jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, prompts.example_ids),
    )
    write = functools.partial(
        _write,
        length=length,
        sampling=sampling,
        end_tokens=end_tokens,
        stop=stop,
        share=None if mixture is None else mixture.share,
    )

    def empty_caches(slots: int) -> _Caches:
        return [init_cache(config, rows, slots, params["embedding"].dtype) for config, params in models]

    def read(
        caches: _Caches, tokens: Int[Array, "b t"], positions: Int[Array, "b t"], segment_ids: Int[Array, "b t"]
    ) -> tuple[list[Float[Array, "b v"]], _Caches]:
        """Logits of each model after the last column, and the extended caches."""
        logits, fuller = [], []
        for (config, params), cache in zip(models, caches, strict=True):
            hiddens, cache = extend(config, params, cache, tokens, positions=positions, segment_ids=segment_ids)
            logits.append(head_logits(Hiddens(values=hiddens[:, -1], head=decoder.head(config, params))))
            fuller.append(cache)
        # Heads of one vocabulary may be padded differently.
        common = min(one.shape[1] for one in logits)
        return [one[:, :common] for one in logits], fuller

    # The last token needs no slot: it is written and never read.
    first_slots, *more_slots = _stages(length, length + max_new_tokens - 1)
    first, caches = read(empty_caches(first_slots), tokens, positions, segment_ids)
    running = lengths > 0
    zeros = jnp.zeros((rows, max_new_tokens), first[0].dtype)
    state = _State(
        written=jnp.int32(0),
        columns=jnp.pad(tokens, later),
        running=running,
        matched=jnp.zeros(rows, jnp.int32),
        lengths=jnp.zeros(rows, jnp.int32),
        finish=jnp.where(running, Finish.LENGTH, Finish.NO_PROMPT).astype(jnp.int32),
        log_probs=zeros,
        sampling_log_probs=zeros,
    )

    def fill(asked: _Rows, state: _State, caches: _Caches, slots: int) -> tuple[_State, _Caches]:
        """Decode until every row has ended or no slot is free for the last token."""
        half = _half(len(state.running))

        def goes_on(carry: tuple[_State, _Caches]) -> Bool[Array, ""]:
            return (carry[0].written <= slots - length) & (carry[0].running.sum() > half)

        def step(carry: tuple[_State, _Caches]) -> tuple[_State, _Caches]:
            state, caches = carry
            last = jax.lax.dynamic_slice_in_dim(state.columns, length + state.written - 1, 1, axis=1)
            logits, caches = read(caches, last, asked.last + state.written, jnp.ones_like(last))
            return write(asked, state, logits), caches

        state, caches = jax.lax.while_loop(goes_on, step, (state, caches))
        if not half:
            return state, caches
        places = jnp.argsort(~state.running, stable=True)[:half]
        fewer = [take_rows(cache, places) for cache in caches]
        held, fewer = fill(_taken(asked, places), _taken(state, places), fewer, slots)
        caches = [put_rows(cache, places, part) for cache, part in zip(caches, fewer, strict=True)]
        return _put(state, places, held), caches

    state, caches = fill(asked, write(asked, state, first), caches, first_slots)
    for slots in more_slots:
        caches = jax.tree.map(_laid_into, empty_caches(slots), caches)
        state, caches = fill(asked, state, caches, slots)
    generated = Generated(
        tokens=state.columns[:, length:],
        lengths=state.lengths,
        finish=state.finish,
        log_probs=state.log_probs,
        sampling_log_probs=state.sampling_log_probs,
    )
    return jax.tree.map(lambda leaf: constrain(leaf, *(None,) * leaf.ndim), generated)


def _stages(length: int, slots: int) -> list[int]:
    """Successive sizes of the cache: attention reads every slot, even unfilled ones.

    Each is half of the next, at least `SHORTEST_STAGE`, and the first holds more than the prompt.
    """
    stages = [slots]
    while stages[0] // 2 >= max(SHORTEST_STAGE, length + 1):
        stages.insert(0, stages[0] // 2)
    return stages


def _half(rows: int) -> int:
    """Return half of a batch, to go on with when no more rows run; 0 where that saves nothing.

    A CPU computes a step of fewer rows in less time; other devices spend most of a step on reading the weights,
    whatever the rows.  Rows that are split over devices stay where they are.
    """
    return rows // 2 if rows >= LEAST_HALVED and platform() == "cpu" and row_parts() == 1 else 0


def _taken(tree: _Tree, places: Int[Array, " n"]) -> _Tree:
    """Return some rows of what has rows."""
    return jax.tree.map(lambda leaf: leaf[places] if leaf.ndim else leaf, tree)


def _put(state: _State, places: Int[Array, " n"], held: _State) -> _State:
    """Replace some rows of a state."""
    return jax.tree.map(lambda leaf, part: leaf.at[places].set(part) if leaf.ndim else part, state, held)


def _laid_into(larger: Array, smaller: Array) -> Array:
    """Copy a smaller cache into one with more slots at its end."""
    return jax.lax.dynamic_update_slice(larger, smaller, (0,) * larger.ndim)


def _write(
    asked: _Rows,
    state: _State,
    logits: list[Float[Array, "b v"]],
    *,
    length: int,
    sampling: Sampling,
    end_tokens: tuple[int, ...],
    stop: StopTable | None,
    share: float | None,
) -> _State:
    """Choose the next token of each row, write it, and mark the rows that end with it."""
    end = length + state.written
    columns = jnp.arange(asked.prompt.shape[1])
    mask = asked.prompt | ((columns >= length) & (columns < end))[None]
    own, *others = (adjusted(one, state.columns, mask, end, sampling=sampling) for one in logits)
    drawn_from = own if share is None else mixed(own, *others, share=share)
    if sampling.temperature == 0:
        chosen = _first_largest(drawn_from)
        sampling_log_probs = jnp.zeros(chosen.shape, drawn_from.dtype)
    else:
        keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(asked.keys, state.written)
        chosen = _drawn(keys, drawn_from)
        sampling_log_probs = _log_probs(drawn_from, chosen)

    ends = {Finish.END_TOKEN: jnp.isin(chosen, jnp.asarray(end_tokens, chosen.dtype))}
    matched = state.matched
    if stop is not None:
        complete = stop.transitions.shape[0]
        matched = jnp.asarray(stop.transitions)[jnp.minimum(matched, complete - 1), chosen]
        ends[Finish.STOP_STRING] = matched == complete
    running, finish = state.running, state.finish
    for reason, here in ends.items():
        finish = jnp.where(running & here, reason, finish)
        running &= ~here

    def put(array: Array, values: Array, place: Array) -> Array:
        column = jnp.where(state.running, values, 0).astype(array.dtype)[:, None]
        return jax.lax.dynamic_update_slice(array, column, (0, place))

    return _State(
        written=state.written + 1,
        columns=put(state.columns, chosen, end),
        running=running,
        matched=matched,
        lengths=state.lengths + state.running,
        finish=finish,
        log_probs=put(state.log_probs, _log_probs(logits[0], chosen), state.written),
        sampling_log_probs=put(state.sampling_log_probs, sampling_log_probs, state.written),
    )


def _drawn(keys: jaxtyping.Key[Array, " b"], logits: Float[Array, "b v"]) -> Int[Array, " b"]:
    """Sample as `jax.random.categorical` does, bit for bit, without its argmax."""
    noise = jax.vmap(lambda key: jax.random.gumbel(key, logits.shape[1:], logits.dtype))(keys)
    return _first_largest(logits + noise)


def _first_largest(logits: Float[Array, "b v"]) -> Int[Array, " b"]:
    """Compute `argmax` by two plain reductions, which XLA:CPU vectorises, unlike an argmax."""
    largest = jnp.max(logits, axis=-1, keepdims=True)
    ids = jnp.arange(logits.shape[-1])
    return jnp.min(jnp.where(logits == largest, ids[None], len(ids) - 1), axis=-1)


def _log_probs(logits: Float[Array, "b v"], chosen: Int[Array, " b"]) -> Float[Array, " b"]:
    """Log-probability of one token per row.  Avoids `log_softmax`, whose result is as large as the logits."""
    taken = jnp.take_along_axis(logits, chosen[:, None], axis=-1)[:, 0]
    return taken - jax.nn.logsumexp(logits, axis=-1)
