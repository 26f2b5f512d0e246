"""Optax transformations from hyper-parameters: AdamW, schedules, groups, clipping, and weight averaging.

The state is built by `jax.jit(transformation.init)(params)`, never by a bare `init`: an eager `init` may put the
caller's own arrays into the state (`optax.lbfgs` does), and a step that donates both then fails with "Attempt to
donate the same buffer twice".
"""

import dataclasses
from collections.abc import Hashable
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float, Int

from jaxkd.typing import Params

Schedule: TypeAlias = Literal["cosine", "periodic_cosine", "linear", "constant", "wsd"]
"""Shape of the learning rate after the warm-up; "wsd" is warm-up, stable, decay, and "periodic_cosine" rises again."""

_OTHERS = "*"
"""Label of the parameters that no group names."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """Hyper-parameters of one top-level key of the parameters; the schedule's shape is the optimizer's."""

    name: str
    """Top-level key of the parameters: "student", "projectors", ..."""
    learning_rate: float
    """Peak of this group's schedule."""
    weight_decay: float | None = None
    """Weight decay of this group; None uses the optimizer's."""

    def __post_init__(self) -> None:
        if not self.learning_rate >= 0:
            raise ValueError(f"learning_rate of the group {self.name!r} must be 0 or more, got {self.learning_rate}.")
        if self.weight_decay is not None and not self.weight_decay >= 0:
            raise ValueError(f"weight_decay of the group {self.name!r} must be 0 or more, got {self.weight_decay}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer:
    """AdamW with a schedule.

    The weight decay is decoupled and skips norms and biases.

    Source: Loshchilov & Hutter 2019, algorithm 2, with the decay multiplied by the scheduled rate (as optax and
    torch do); wsd: Hu et al. 2024, section 4; periodic_cosine: torch's CosineAnnealingLR, whose `T_max` is
    `half_period_steps` and which is usually stepped by epochs.

    Raises:
        ValueError: a value outside its range, an unknown schedule, or two groups of one name.
    """

    learning_rate: float = 1e-4
    """Peak learning rate, reached after `warmup_steps`."""
    schedule: Schedule = "cosine"
    """Shape of the learning rate after the warm-up; "wsd" is warm-up, stable, decay, and "periodic_cosine" falls and
    rises in turn."""
    warmup_steps: int = 0
    """Steps over which the rate rises linearly from 0 at step 0."""
    final_fraction: float = 0.0
    """Share of the peak learning rate left at the end, or at the lowest point of "periodic_cosine"; "constant" ignores
    it."""
    decay_steps: int | None = None
    """Steps of the final linear decay of "wsd"; None uses the last fifth of the run."""
    half_period_steps: int | None = None
    """Steps from a peak of "periodic_cosine" to the lowest point, where the rate begins to rise again."""
    weight_decay: float = 0.0
    """Decoupled weight decay, at least 0, multiplied by the learning rate of the step; norms and biases have none."""
    b1: float = 0.9
    """Decay rate of the average of the gradients, at least 0 and below 1."""
    b2: float = 0.999
    """Decay rate of the average of the squared gradients, at least 0 and below 1."""
    eps: float = 1e-8
    """Number that is added to the root of the averaged squared gradients, at least 0: it bounds the update of a
    parameter whose gradients are tiny."""
    clip_norm: float | None = 1.0
    """Largest global norm of the gradient, over all groups together; None disables clipping."""
    groups: tuple[Group, ...] = ()
    """Groups of parameters with their own hyper-parameters."""

    def __post_init__(self) -> None:
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"schedule must be one of {', '.join(get_args(Schedule))}, got {self.schedule!r}.")
        for name in ("learning_rate", "weight_decay", "eps", "warmup_steps"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}.")
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}.")
        if not 0 <= self.final_fraction <= 1:
            raise ValueError(f"final_fraction must lie between 0 and 1, got {self.final_fraction}.")
        if self.decay_steps is not None and self.decay_steps < 1:
            raise ValueError(
                f"decay_steps must be 1 or more, got {self.decay_steps}. None is the last fifth of the run."
            )
        if self.schedule == "periodic_cosine" and (self.half_period_steps is None or self.half_period_steps < 1):
            raise ValueError(
                f"half_period_steps must be 1 or more with the schedule periodic_cosine, got {self.half_period_steps}."
            )
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm must be positive, got {self.clip_norm}. None turns clipping off.")
        names = [group.name for group in self.groups]
        if len(set(names)) < len(names):
            raise ValueError(f"groups must have different names, got {', '.join(names)}. Merge those of one name.")


def build(optimizer: Optimizer, steps: int) -> optax.GradientTransformationExtraArgs:
    """Build the transformation of a run of `steps` updates: global clipping first, then AdamW group by group.

    `init` takes a dict of parameters; call it under `jax.jit`.  `update` accepts `value`, `grad` and `value_fn`
    like every optimizer of the library, and ignores them.

    Raises:
        ValueError: a schedule that does not fit into `steps`; from `init`, a group that names no top-level key.
    """
    _check_steps(optimizer, steps)
    default = Group(name=_OTHERS, learning_rate=optimizer.learning_rate)
    transforms: dict[Hashable, optax.GradientTransformation] = {
        group.name: _adamw(optimizer, group, steps) for group in (default, *optimizer.groups)
    }
    names = {group.name for group in optimizer.groups}

    def labels(params: Params) -> Params:
        unknown = sorted(names - params.keys())
        if unknown:
            raise ValueError(
                f"groups must name top-level keys of the parameters, got {', '.join(unknown)}. "
                f"Keys: {', '.join(params)}."
            )
        return {
            key: jax.tree.map(lambda _, label=key if key in names else _OTHERS: label, value)
            for key, value in params.items()
        }

    clip = optax.identity() if optimizer.clip_norm is None else optax.clip_by_global_norm(optimizer.clip_norm)
    return optax.with_extra_args_support(optax.chain(clip, optax.partition(transforms, labels)))


def learning_rate_at(optimizer: Optimizer, steps: int, step: Int[Array, ""] | int) -> Float[Array, ""]:
    """Return the learning rate of update number `step` (from 0), for parameters outside `groups`.

    The rate is 0 at step 0 of a warm-up and the peak at step `warmup_steps`; the decay would end at `steps`, one
    past the last update.

    Example:
        >>> optimizer = Optimizer(learning_rate=1.0, schedule="linear", warmup_steps=2)
        >>> [float(learning_rate_at(optimizer, 6, step)) for step in (0, 1, 2, 4, 6)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    _check_steps(optimizer, steps)
    return optimizer.learning_rate * _fraction(optimizer, steps, step)


def ema_update(ema: Params, params: Params, decay: float) -> Params:
    """Apply one step of the exponential moving average, `decay * ema + (1 - decay) * params`, in the dtype of `ema`.

    Raises:
        ValueError: a decay outside 0 to 1.
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"decay must lie between 0 and 1, got {decay}. Usual values are 0.99 to 0.9999.")
    return jax.tree.map(lambda mean, new: mean + (1 - decay) * (new.astype(mean.dtype) - mean), ema, params)


def _adamw(optimizer: Optimizer, group: Group, steps: int) -> optax.GradientTransformation:
    weight_decay = optimizer.weight_decay if group.weight_decay is None else group.weight_decay
    return optax.chain(
        optax.scale_by_adam(b1=optimizer.b1, b2=optimizer.b2, eps=optimizer.eps),
        optax.add_decayed_weights(weight_decay, mask=_is_decayed),
        optax.scale_by_learning_rate(lambda step: group.learning_rate * _fraction(optimizer, steps, step)),
    )


def _is_decayed(params: Params) -> Params:
    """Mark each leaf that belongs to neither a norm nor a bias.

    The path decides, not the rank: layers are stacked, so the scale of a norm is a matrix here.
    """

    def decayed(path: tuple[Any, ...], _: Any) -> bool:
        name = jax.tree_util.keystr(path, simple=True, separator="/").lower()
        return "norm" not in name and "bias" not in name

    return jax.tree_util.tree_map_with_path(decayed, params)


def _decay_steps(optimizer: Optimizer, steps: int) -> int:
    """Return the number of updates in the decay, which ends at `steps`."""
    if optimizer.schedule == "wsd":
        if optimizer.decay_steps is not None:
            return optimizer.decay_steps
        return min(max(1, steps // 5), steps - optimizer.warmup_steps)
    return steps - optimizer.warmup_steps


def _check_steps(optimizer: Optimizer, steps: int) -> None:
    if steps < 1:
        raise ValueError(f"steps must be 1 or more, got {steps}.")
    if optimizer.warmup_steps >= steps:
        raise ValueError(
            f"warmup_steps must be below steps, got {optimizer.warmup_steps} and {steps}. Shorten the warm-up."
        )
    decay = _decay_steps(optimizer, steps)
    if optimizer.warmup_steps + decay > steps:
        raise ValueError(
            f"warmup_steps + decay_steps must be at most steps, got {optimizer.warmup_steps} + {decay} and {steps}. "
            "Shorten one of them."
        )


def _fraction(optimizer: Optimizer, steps: int, step: ArrayLike) -> Float[Array, ""]:
    """Return the share of the peak rate at `step`."""
    count = jnp.asarray(step).astype(float)  # float32, and float64 where x64 is on
    warmup = jnp.minimum(count / optimizer.warmup_steps, 1.0) if optimizer.warmup_steps else jnp.ones_like(count)
    if optimizer.schedule == "constant":
        return warmup
    if optimizer.schedule == "periodic_cosine":
        done = jnp.maximum(count - optimizer.warmup_steps, 0.0) / (optimizer.half_period_steps or 1)
        return warmup * _between(optimizer, 0.5 * (1 + jnp.cos(jnp.pi * done)))
    decay = _decay_steps(optimizer, steps)
    done = jnp.clip((count - (steps - decay)) / decay, 0.0, 1.0)
    left = 0.5 * (1 + jnp.cos(jnp.pi * done)) if optimizer.schedule == "cosine" else 1 - done
    return warmup * _between(optimizer, left)


def _between(optimizer: Optimizer, left: Float[Array, ""]) -> Float[Array, ""]:
    """Return the share of the peak rate of which `left` of the way down is left."""
    return optimizer.final_fraction + (1 - optimizer.final_fraction) * left
