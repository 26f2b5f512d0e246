"""The architecture of a decoder, and its two spellings: ours and Hugging Face's config.json."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

Activation = Literal["silu", "gelu_tanh", "gelu", "relu"]

FAMILIES = ("llama", "mistral", "qwen2", "gpt2")
"""Values of config.json's `model_type` that `from_hugging_face` reads."""

_ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
}


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
class DecoderConfig:
    """A decoder-only transformer: pre-norm blocks of causal attention and a feed-forward network."""

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
    norm: Literal["rms", "layer"] = "rms"
    norm_eps: float = 1e-5
    activation: Activation = "silu"
    gated: bool = True
    """Whether the feed-forward network is `down(act(gate(x)) * up(x))` or `down(act(up(x)))`."""
    position: Literal["rope", "learned"] = "rope"
    rope_theta: float = 10_000.0
    rope_scaling: LinearScaling | Llama3Scaling | None = None
    query_key_value_bias: bool = False
    output_bias: bool = False
    """Bias of the attention's output product."""
    mlp_bias: bool = False
    tied: bool = False
    """Whether the embedding is also the prediction head."""
    dropout: float = 0.0
    """Rate after the embedding and after each block's two branches; it acts only where a key is
    given.  Read from GPT-2's `resid_pdrop`, 0 for the other families."""

    def __post_init__(self) -> None:
        for name in ("vocab_size", "width", "depth", "heads", "kv_heads", "head_dim", "mlp_width", "max_positions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.heads % self.kv_heads:
            raise ValueError(
                f"heads must be a multiple of kv_heads, got {self.heads} and {self.kv_heads}. "
                "Each key/value head serves the same number of query heads."
            )
        if self.position == "rope" and self.head_dim % 2:
            raise ValueError(f"head_dim must be even for rotary positions, got {self.head_dim}.")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}.")


def read(folder: Path) -> DecoderConfig:
    """The architecture that a Hugging Face folder's config.json describes.

    Raises:
        ValueError: no config.json, one that is not JSON, or an architecture that is not supported.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise ValueError(
            f"folder must be a Hugging Face checkpoint, got {folder}, which has no config.json. "
            "Name the folder that save_pretrained wrote."
        )
    try:
        mapping = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} must be JSON, got a file that fails with: {error}. Copy it again.") from error
    try:
        return from_hugging_face(mapping)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def from_hugging_face(mapping: Mapping[str, Any]) -> DecoderConfig:
    """Our config for the contents of a config.json, in the spelling of transformers 4 or 5.

    Raises:
        ValueError: an architecture or an option that changes the outputs and is not supported.
    """
    family = mapping.get("model_type")
    if family not in FAMILIES:
        raise ValueError(f"model_type must be one of {', '.join(FAMILIES)}, got {family!r}.")
    try:
        return _from_gpt2(mapping) if family == "gpt2" else _from_llama(mapping, family)
    except KeyError as error:
        raise ValueError(f"config.json must have {error.args[0]!r} for model_type {family!r}, it does not.") from None


def _require(mapping: Mapping[str, Any], name: str, supported: tuple[Any, ...]) -> None:
    """Refuse an option whose value would change the outputs."""
    if name in mapping and mapping[name] not in supported:
        choices = " or ".join(str(value) for value in supported)
        raise ValueError(f"{name} must be {choices}, got {mapping[name]!r}: other values are not supported.")


def _activation(name: str) -> Activation:
    if name not in _ACTIVATIONS:
        raise ValueError(f"the activation must be one of {', '.join(_ACTIVATIONS)}, got {name!r}.")
    return _ACTIVATIONS[name]


def _from_llama(mapping: Mapping[str, Any], family: str) -> DecoderConfig:
    if family == "mistral" or mapping.get("use_sliding_window", False):
        _require(mapping, "sliding_window", (None,))
    if any(kind != "full_attention" for kind in mapping.get("layer_types") or ()):
        raise ValueError(f"layer_types must all be full_attention, got {mapping['layer_types']}: no windows yet.")
    # transformers 5 moved rope_theta and rope_scaling into rope_parameters; most files on the hub are older.
    rope = mapping.get("rope_parameters") or mapping.get("rope_scaling") or {}
    _require({**mapping, **rope}, "partial_rotary_factor", (None, 1, 1.0))
    attention_bias = family == "qwen2" or mapping.get("attention_bias", False)
    return DecoderConfig(
        vocab_size=mapping["vocab_size"],
        width=mapping["hidden_size"],
        depth=mapping["num_hidden_layers"],
        heads=mapping["num_attention_heads"],
        kv_heads=mapping.get("num_key_value_heads") or mapping["num_attention_heads"],
        head_dim=mapping.get("head_dim") or mapping["hidden_size"] // mapping["num_attention_heads"],
        mlp_width=mapping["intermediate_size"],
        max_positions=mapping["max_position_embeddings"],
        norm="rms",
        norm_eps=mapping.get("rms_norm_eps", 1e-6),
        activation=_activation(mapping.get("hidden_act", "silu")),
        gated=True,
        position="rope",
        rope_theta=float(rope.get("rope_theta") or mapping.get("rope_theta") or 10_000.0),
        rope_scaling=_rope_scaling(rope),
        query_key_value_bias=attention_bias,
        output_bias=attention_bias and family != "qwen2",
        mlp_bias=mapping.get("mlp_bias", False),
        tied=mapping.get("tie_word_embeddings", False),
    )


def _rope_scaling(rope: Mapping[str, Any]) -> LinearScaling | Llama3Scaling | None:
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        return None
    if kind == "linear":
        return LinearScaling(factor=float(rope["factor"]))
    if kind == "llama3":
        return Llama3Scaling(
            factor=float(rope["factor"]),
            low_frequency_factor=float(rope["low_freq_factor"]),
            high_frequency_factor=float(rope["high_freq_factor"]),
            original_positions=rope["original_max_position_embeddings"],
        )
    raise ValueError(f"rope_type must be one of default, linear, llama3, got {kind!r}.")


def _from_gpt2(mapping: Mapping[str, Any]) -> DecoderConfig:
    _require(mapping, "scale_attn_weights", (True,))
    _require(mapping, "scale_attn_by_inverse_layer_idx", (False,))
    _require(mapping, "add_cross_attention", (False,))
    width, heads = mapping["n_embd"], mapping["n_head"]
    return DecoderConfig(
        vocab_size=mapping["vocab_size"],
        width=width,
        depth=mapping["n_layer"],
        heads=heads,
        kv_heads=heads,
        head_dim=width // heads,
        mlp_width=mapping.get("n_inner") or 4 * width,
        max_positions=mapping["n_positions"],
        norm="layer",
        norm_eps=mapping.get("layer_norm_epsilon", 1e-5),
        activation=_activation(mapping.get("activation_function", "gelu_new")),
        gated=False,
        position="learned",
        query_key_value_bias=True,
        output_bias=True,
        mlp_bias=True,
        tied=mapping.get("tie_word_embeddings", True),
        dropout=mapping.get("resid_pdrop", 0.1),
    )


def family(config: DecoderConfig) -> Literal["llama", "qwen2", "gpt2"]:
    """The `model_type` under which transformers computes the same function.

    Raises:
        ValueError: a combination that no supported family has.
    """
    if (config.norm, config.position, config.gated) == ("rms", "rope", True):
        if config.query_key_value_bias == config.output_bias:
            return "llama"
        if config.query_key_value_bias and not config.mlp_bias:
            return "qwen2"
    biased = config.query_key_value_bias and config.output_bias and config.mlp_bias
    square = config.kv_heads == config.heads and config.heads * config.head_dim == config.width
    if (config.norm, config.position, config.gated) == ("layer", "learned", False) and biased and square:
        return "gpt2"
    raise ValueError(
        f"config must match a family that transformers has (llama, qwen2 or gpt2), got {config}. "
        "Llama and Qwen2 have norm='rms', position='rope', gated=True; GPT-2 has norm='layer', "
        "position='learned', gated=False, every bias, and heads * head_dim = width."
    )


def to_hugging_face(config: DecoderConfig) -> dict[str, Any]:
    """The contents of a config.json, in the spelling of transformers 4, which version 5 also reads.

    `from_hugging_face(to_hugging_face(config)) == config`, dropout of the llama and qwen2 families
    aside: transformers has no such option.

    Raises:
        ValueError: as `family`.
    """
    kind = family(config)
    if kind == "gpt2":
        return {
            "model_type": "gpt2",
            "architectures": ["GPT2LMHeadModel"],
            "vocab_size": config.vocab_size,
            "n_embd": config.width,
            "n_layer": config.depth,
            "n_head": config.heads,
            "n_inner": config.mlp_width,
            "n_positions": config.max_positions,
            "layer_norm_epsilon": config.norm_eps,
            "activation_function": "gelu_new" if config.activation == "gelu_tanh" else config.activation,
            "tie_word_embeddings": config.tied,
            "resid_pdrop": config.dropout,
            "embd_pdrop": config.dropout,
            "attn_pdrop": config.dropout,
        }
    mapping = {
        "model_type": kind,
        "architectures": ["LlamaForCausalLM" if kind == "llama" else "Qwen2ForCausalLM"],
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.mlp_width,
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_eps,
        "hidden_act": "gelu_pytorch_tanh" if config.activation == "gelu_tanh" else config.activation,
        "rope_theta": config.rope_theta,
        "rope_scaling": _rope_to_hugging_face(config.rope_scaling),
        "tie_word_embeddings": config.tied,
    }
    if kind == "llama":
        mapping |= {"attention_bias": config.query_key_value_bias, "mlp_bias": config.mlp_bias}
    return mapping


def _rope_to_hugging_face(scaling: LinearScaling | Llama3Scaling | None) -> dict[str, Any] | None:
    match scaling:
        case None:
            return None
        case LinearScaling():
            return {"rope_type": "linear", "factor": scaling.factor}
        case Llama3Scaling():
            return {
                "rope_type": "llama3",
                "factor": scaling.factor,
                "low_freq_factor": scaling.low_frequency_factor,
                "high_freq_factor": scaling.high_frequency_factor,
                "original_max_position_embeddings": scaling.original_positions,
            }
