"""The architecture of a decoder, as the numbers and options that its forward pass reads."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from jaxkd.models.transformer.lora import LoRA

Activation = Literal["silu", "gelu_tanh", "gelu", "relu"]

Norm = Literal["rms", "rms_plus_one", "layer"]

Rope = Literal["global", "local", "none"]
"""Which rotation a layer applies: the model's own, that of windowed layers, or none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearScaling:
    """Positions divided by `factor`.  Source: Chen et al., arXiv 2306.15595."""

    factor: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Llama3Scaling:
    """Slow rotations divided by `factor`, fast ones kept, a linear ramp between.

    Source: Llama 3.1; checked against transformers 5.23 `_compute_llama3_parameters`.
    """

    factor: float
    low_frequency_factor: float
    high_frequency_factor: float
    original_positions: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class YarnScaling:
    """Slow rotations divided by `factor`, fast ones kept, a ramp over the pairs between, and longer vectors.

    Source: Peng et al., arXiv 2309.00071; checked against transformers 5.23 `_compute_yarn_parameters`.
    """

    factor: float
    original_positions: int
    amplitude: float
    """What rotated queries and keys are multiplied by; the paper's sqrt(1/t) = 0.1 ln(factor) + 1."""
    fast_turns: float = 32.0
    """Pairs that turn more often than this within `original_positions` are kept."""
    slow_turns: float = 1.0
    """Pairs that turn less often are divided by the whole factor."""
    whole_pairs: bool = True
    """Whether the ends of the ramp are rounded outwards to whole pairs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerKind:
    """What differs from layer to layer and is no parameter."""

    window: int
    """How many tokens a query sees, itself included; 0 is all before it."""
    rope: Rope


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """A decoder-only transformer: blocks of causal attention and a feed-forward network, normed at their inputs."""

    vocab_size: int
    width: int
    depth: int
    heads: int
    kv_heads: int
    """Key and value heads; query head `i` reads head `i // (heads // kv_heads)`."""
    head_dim: int
    mlp_width: int
    max_positions: int
    """Longest sequence that the model was made for, and the rows of a learned position table."""
    norm: Norm = "rms"
    """`rms_plus_one` multiplies by 1 + weight, as Gemma does."""
    norm_eps: float = 1e-5
    branch_output_norms: bool = False
    """Whether each branch is normed again before it is added to the residual stream."""
    parallel_branches: bool = False
    """Whether the feed-forward network reads what attention reads, instead of attention's result."""
    activation: Activation = "silu"
    gated: bool = True
    """Whether the feed-forward network is `down(act(gate(x)) * up(x))` or `down(act(up(x)))`."""
    position: Literal["rope", "learned"] = "rope"
    rope_theta: float = 10_000.0
    rope_scaling: LinearScaling | Llama3Scaling | YarnScaling | None = None
    rotary_fraction: float = 1.0
    """Share of each head, from its start, that is rotated."""
    local_rope_theta: float | None = None
    """Base of the rotation in windowed layers, which is then not scaled; None where all layers rotate alike."""
    rotated: tuple[bool, ...] | None = None
    """For each layer whether it rotates queries and keys at all; None where all do."""
    windows: tuple[int, ...] | None = None
    """For each layer how many tokens a query sees, itself included, or 0 for all; None where all see all."""
    query_key_norm: bool = False
    """Whether each head's query and key are normed before they are rotated."""
    score_dim: int | None = None
    """Scores are divided by its square root; None is `head_dim`."""
    attention_softcap: float | None = None
    """Scores become `cap * tanh(scores / cap)`."""
    logit_softcap: float | None = None
    query_key_value_bias: bool = False
    output_bias: bool = False
    """Bias of the attention's output product."""
    mlp_bias: bool = False
    scaled_embedding: bool = False
    """Whether embeddings are multiplied by sqrt(width), rounded to their dtype."""
    tied: bool = False
    """Whether the embedding is also the prediction head."""
    dropout: float = 0.0
    """Rate after the embedding and after each block's two branches; it acts only where a key is
    given.  Read from GPT-2's `resid_pdrop` and GPT-NeoX's `hidden_dropout`, 0 for the other families."""
    tokens: int | None = None
    """Rows of the vocabulary that are tokens; those behind them are padding and are never predicted.
    None is all.  It is the tokenizer that knows."""
    lora: LoRA | None = None
    """Adapters beside some of the matrices, which then are parameters too."""

    def __post_init__(self) -> None:
        for name in ("vocab_size", "width", "depth", "heads", "kv_heads", "head_dim", "mlp_width", "max_positions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.heads % self.kv_heads:
            raise ValueError(
                f"heads must be a multiple of kv_heads, got {self.heads} and {self.kv_heads}. "
                "Each key/value head serves the same number of query heads."
            )
        if self.position == "rope" and (self.rotary_dim < 2 or self.rotary_dim % 2):
            raise ValueError(
                "head_dim * rotary_fraction must be even and at least 2 for rotary positions, "
                f"got {self.head_dim} * {self.rotary_fraction}, which is {self.rotary_dim}."
            )
        if self.query_key_norm and self.norm == "layer":
            raise ValueError("query_key_norm must be False where norm is 'layer', got True: no family has both.")
        for name in ("windows", "rotated"):
            values = getattr(self, name)
            if values is not None and len(values) != self.depth:
                raise ValueError(
                    f"{name} must have one value for each of the {self.depth} layers, got {len(values)}. "
                    "Use DecoderConfig.with_layers to change the depth of a config."
                )
        if any(window < 0 for window in self.windows or ()):
            raise ValueError(f"windows must be at least 0, which is a layer that sees all, got {self.windows}.")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}.")

    @property
    def rotary_dim(self) -> int:
        """How many entries of each head are rotated."""
        return int(self.head_dim * self.rotary_fraction)

    @property
    def score_scale(self) -> float:
        """What the products of queries and keys are multiplied by."""
        return (self.score_dim or self.head_dim) ** -0.5

    @property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        """The kind of each layer."""
        windows = self.windows or (0,) * self.depth
        rotated = self.rotated or (True,) * self.depth
        return tuple(
            LayerKind(window=window, rope=self._rope(window, turned))
            for window, turned in zip(windows, rotated, strict=True)
        )

    def _rope(self, window: int, rotated: bool) -> Rope:
        if self.position != "rope" or not rotated:
            return "none"
        return "local" if window and self.local_rope_theta is not None else "global"

    def with_layers(self, layers: Sequence[int]) -> "DecoderConfig":
        """The config of the model made of these layers, in this order."""

        def kept(values: tuple | None, usual: int) -> tuple | None:
            chosen = None if values is None else tuple(values[layer] for layer in layers)
            return None if chosen is None or all(value == usual for value in chosen) else chosen

        return dataclasses.replace(
            self, depth=len(layers), windows=kept(self.windows, 0), rotated=kept(self.rotated, True)
        )
