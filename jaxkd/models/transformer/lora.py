"""Low-rank adaptation: a trainable product of two thin matrices added to a frozen matrix W.

    x W  becomes  x W + (alpha / rank) x A B

A and B are leaves of the layer whose matrix they adapt: `{"kernel": W, "lora": {"a": A, "b": B}}`, stacked over the
layers and scanned like it.  `split` separates them from a dict of parameters and `join` puts them back; only `merge`
forms W + A B.
"""

import dataclasses
import re
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxkd.sharding import constrain
from jaxkd.typing import Key, Params

_Module = TypeVar("_Module", bound=nnx.Module)

ADAPTER = "lora"
"""Key of the two matrices in the dict of their layer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoRA:
    """Configuration of the adapters.

    Source: Hu et al., arXiv 2106.09685, section 4.1; A is initialised as in microsoft/LoRA, uniform within
    +-1/sqrt(inputs), and B as 0, so that step 0 is the frozen model.  Deviation: none.
    """

    rank: int = 16
    alpha: float = 32.0
    """Scale of the product, which is multiplied by `alpha / rank`."""
    dropout: float = 0.0
    """Dropout rate on the inputs of A, in training."""
    targets: tuple[str, ...] = (r"attention\.(query|value)",)
    """Regular expressions; a matrix is adapted if one of them matches in its path, such as
    "blocks.attention.query.kernel"."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank must be at least 1, got {self.rank}.")
        if not self.alpha > 0:
            raise ValueError(f"alpha must be above 0, got {self.alpha}. The product is multiplied by alpha / rank.")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}.")
        for target in self.targets:
            try:
                re.compile(target)
            except re.error as error:
                raise ValueError(f"targets must be regular expressions, got {target!r}: {error}.") from error
        if not self.targets:
            raise ValueError("targets must hold at least one regular expression, got none. '.' adapts every matrix.")

    @property
    def scale(self) -> float:
        """Factor of the product of A and B."""
        return self.alpha / self.rank


class Adapter(nnx.Module):
    """Adapter module: `scale * inputs A B`, in the dtype of its inputs."""

    key: Key | None = None
    """Random key for dropout; set by `hand_out_keys`."""

    def __init__(self, linear: nnx.LinearGeneral, lora: LoRA, rngs: nnx.Rngs):
        self.inputs = len(linear.in_features)
        axes = linear.kernel.axes
        self.a = nnx.Param(
            nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")(
                rngs.params(), (*linear.in_features, lora.rank), jnp.float32
            ),
            axes=(*axes[: self.inputs], None),
        )
        self.b = nnx.Param(jnp.zeros((lora.rank, *linear.out_features)), axes=(None, *axes[self.inputs :]))
        self.scale = lora.scale
        self.dropout = nnx.Dropout(lora.dropout)

    def __call__(self, inputs: Float[Array, "b t ..."]) -> Float[Array, "b t ..."]:
        inputs = self.dropout(inputs, deterministic=self.key is None, rngs=self.key)
        a, b = self.a[...].astype(inputs.dtype), self.b[...].astype(inputs.dtype)
        narrow = constrain(jnp.tensordot(inputs, a, self.inputs), "rows", None, None)
        return self.scale * jnp.tensordot(narrow, b, 1)


class Linear(nnx.LinearGeneral):
    """A product over the last axes, plus an adapter if `adapt` added one."""

    lora: Adapter | None = None

    def __call__(self, inputs: Float[Array, "b t ..."], out_sharding: Any = None) -> Float[Array, "b t ..."]:
        # One axis of tokens: XLA:CPU is slow at the gradient of a product with two.
        tokens = inputs.shape[:2]
        outputs = super().__call__(jnp.reshape(inputs, (-1, *inputs.shape[2:])), out_sharding)
        outputs = jnp.reshape(outputs, (*tokens, *outputs.shape[1:]))
        return outputs if self.lora is None else outputs + self.lora(inputs).astype(outputs.dtype)


def adapt(block: nnx.Module, lora: LoRA | None, rngs: nnx.Rngs) -> nnx.Module:
    """Add adapters to the `Linear`s of a block that `lora` names.

    Raises:
        ValueError: a target that matches no path; the message lists the paths.
    """
    if lora is None:
        return block
    linears = {f"blocks.{path}.kernel": linear for path, linear in _modules(block, Linear)}
    for target in lora.targets:
        if not any(re.search(target, path) for path in linears):
            raise ValueError(
                f"targets must each be found in a matrix's path, got {target!r}. Paths: {', '.join(linears)}."
            )
    for path, linear in linears.items():
        if any(re.search(target, path) for target in lora.targets):
            linear.lora = Adapter(linear, lora, rngs)
    return block


def hand_out_keys(block: nnx.Module, key: Key | None) -> None:
    """Give each adapter of a block its own dropout key; None disables their dropout."""
    for number, (_, adapter) in enumerate(_modules(block, Adapter)):
        adapter.key = None if key is None else jax.random.fold_in(key, number)


def _modules(block: nnx.Module, kind: type[_Module]) -> list[tuple[str, _Module]]:
    """Return the modules of a kind below `block` by dotted path, in the order of paths."""
    found = ((".".join(map(str, path)), module) for path, module in nnx.iter_modules(block))
    return sorted(((path, module) for path, module in found if isinstance(module, kind)), key=lambda entry: entry[0])


def split(params: Params) -> tuple[Params, Params]:
    """Return the parameters without adapters, and the adapters alone, each as a nested dict."""
    base, adapters = {}, {}
    for name, value in params.items():
        if name == ADAPTER:
            adapters[name] = value
        elif isinstance(value, dict):
            base[name], below = split(value)
            if below:
                adapters[name] = below
        else:
            base[name] = value
    return base, adapters


def join(base: Params, adapters: Params) -> Params:
    """Combine parameters and adapters; the inverse of `split`."""
    joined = dict(base)
    for name, value in adapters.items():
        joined[name] = value if name == ADAPTER else join(base[name], value)
    return joined


def merge(params: Params, lora: LoRA) -> Params:
    """Merge the adapters into the matrices, W + (alpha / rank) A B, so that the model computes the same.

    Args:
        params: parameters of a decoder whose config has `lora`.
        lora: that option, which holds alpha.

    Returns:
        Parameters without adapters, in unchanged dtypes; the product is formed in float32.
    """

    def merged(values: Params) -> Params:
        result = {
            name: merged(value) if isinstance(value, dict) else value
            for name, value in values.items()
            if name != ADAPTER
        }
        if ADAPTER in values:
            adapter = jax.tree.map(jnp.asarray, values[ADAPTER])
            result["kernel"] = _sum(jnp.asarray(values["kernel"]), adapter, lora.scale)
        return result

    return merged(params)


def _sum(kernel: Float[Array, "l ..."], adapter: Params, scale: float) -> Float[Array, "l ..."]:
    precision = jnp.promote_types(kernel.dtype, jnp.float32)
    a, b = adapter["a"].astype(precision), adapter["b"].astype(precision)
    product = jax.vmap(lambda a, b: jnp.tensordot(a, b, 1))(a, b)
    return (kernel.astype(precision) + scale * product).astype(kernel.dtype)
