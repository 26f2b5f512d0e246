"""The architecture of a decoder: the numbers and options that its forward pass reads."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from jaxkd.models.transformer.lora import LoRA

Activation = Literal["silu", "gelu_tanh", "gelu", "relu"]

Norm = Literal["rms", "rms_plus_one", "layer"]

Rope = Literal["global", "local", "none"]
"""Rotation of a layer: the model's own, that of windowed layers, or none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearScaling:
    """Positions divided by `factor`.  Source: Chen et al., arXiv 2306.15595."""

    factor: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Llama3Scaling:
    """Slow rotations divided by `factor`, fast ones unchanged, a linear ramp between.

    Source: Llama 3.1; checked against transformers 5.23 `_compute_llama3_parameters`.
    """

    factor: float
    low_frequency_factor: float
    high_frequency_factor: float
    original_positions: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class YarnScaling:
    """Slow rotations divided by `factor`, fast ones unchanged, a ramp over the pairs between, and scaled vectors.

    Source: Peng et al., arXiv 2309.00071; checked against transformers 5.23 `_compute_yarn_parameters`.
    """

    factor: float
    original_positions: int
    amplitude: float
    """Factor of rotated queries and keys; the paper's sqrt(1/t) = 0.1 ln(factor) + 1."""
    fast_turns: float = 32.0
    """Turns within `original_positions` above which pairs are unchanged."""
    slow_turns: float = 1.0
    """Turns below which pairs are divided by the whole factor."""
    whole_pairs: bool = True
    """Whether the ends of the ramp are rounded outwards to whole pairs."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerKind:
    """Options that differ between layers, other than parameters."""

    window: int
    """Number of tokens that a query attends to, itself included; 0 is all before it."""
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
    """Longest sequence that the model supports, and rows of a learned position table."""
    norm: Norm = "rms"
    """Kind of norm; `rms_plus_one` multiplies by 1 + weight, as in Gemma."""
    norm_eps: float = 1e-5
    branch_output_norms: bool = False
    """Whether each branch's output is normed before it is added to the residual stream."""
    parallel_branches: bool = False
    """Whether the feed-forward network reads attention's input instead of its result."""
    activation: Activation = "silu"
    gated: bool = True
    """Whether the feed-forward network is `down(act(gate(x)) * up(x))` rather than `down(act(up(x)))`."""
    position: Literal["rope", "learned"] = "rope"
    rope_theta: float = 10_000.0
    rope_scaling: LinearScaling | Llama3Scaling | YarnScaling | None = None
    rotary_fraction: float = 1.0
    """Share of each head, from its start, that is rotated."""
    local_rope_theta: float | None = None
    """Base of the rotation in windowed layers, which is then not scaled; None if all layers rotate alike."""
    rotated: tuple[bool, ...] | None = None
    """Whether each layer rotates queries and keys; None if all do."""
    windows: tuple[int, ...] | None = None
    """Number of tokens that a query attends to in each layer, itself included, or 0 for all; None is all everywhere."""
    query_key_norm: bool = False
    """Whether each head's query and key are normed before they are rotated."""
    score_dim: int | None = None
    """Dimension whose square root divides the scores; None is `head_dim`."""
    attention_softcap: float | None = None
    """Soft-cap of the scores, `cap * tanh(scores / cap)`."""
    logit_softcap: float | None = None
    query_key_value_bias: bool = False
    output_bias: bool = False
    """Whether the attention's output product has a bias."""
    mlp_bias: bool = False
    scaled_embedding: bool = False
    """Whether embeddings are multiplied by sqrt(width), rounded to their dtype."""
    tied: bool = False
    """Whether the embedding is also the prediction head."""
    dropout: float = 0.0
    """Dropout rate after the embedding and after each block's two branches; active only with a key.  Read from GPT-2's
    `resid_pdrop` and GPT-NeoX's `hidden_dropout`, 0 for the other families."""
    tokens: int | None = None
    """Number of vocabulary rows that are tokens; later rows are padding and never predicted.  None is all.  It comes
    from the tokenizer."""
    lora: LoRA | None = None
    """Adapters of some of the matrices, which are then parameters too."""

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
            raise ValueError(f"windows must be at least 0, which is full attention, got {self.windows}.")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}.")

    @property
    def rotary_dim(self) -> int:
        """Number of rotated entries of each head."""
        return int(self.head_dim * self.rotary_fraction)

    @property
    def score_scale(self) -> float:
        """Factor of the products of queries and keys."""
        return (self.score_dim or self.head_dim) ** -0.5

    @property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        """Return the kind of each layer."""
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
        """Return the config of the model with these layers, in this order."""

        def kept(values: tuple | None, usual: int) -> tuple | None:
            chosen = None if values is None else tuple(values[layer] for layer in layers)
            return None if chosen is None or all(value == usual for value in chosen) else chosen

        return dataclasses.replace(
            self, depth=len(layers), windows=kept(self.windows, 0), rotated=kept(self.rotated, True)
        )
