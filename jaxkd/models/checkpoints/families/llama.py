"""Configs of Llama and close relatives: Mistral, Qwen 2 and 3, SmolLM3."""

from collections.abc import Sequence
from typing import Any

from jaxkd.models.checkpoints.families import common as common
from jaxkd.models.checkpoints.families.common import Fields
from jaxkd.models.transformer.architecture import DecoderConfig


def read_llama(fields: Fields) -> DecoderConfig:
    """Read Llama 1 to 3, TinyLlama, SmolLM and SmolLM2."""
    _require_full(fields)
    fields = {"num_key_value_heads": None, **fields}
    bias = fields.get("attention_bias", False)
    return _read(fields, query_key_value_bias=bias, output_bias=bias, mlp_bias=fields.get("mlp_bias", False))


def read_mistral(fields: Fields) -> DecoderConfig:
    """Read Mistral: one window for all layers, or none."""
    if "layer_types" in fields:
        raise ValueError(
            f"layer_types must be absent for model_type 'mistral', got {fields['layer_types']}: "
            "transformers ignores it there and applies sliding_window to every layer."
        )
    window = fields["sliding_window"]
    return _read(fields, windows=None if window is None else (window,) * fields["num_hidden_layers"])


def read_qwen2(fields: Fields) -> DecoderConfig:
    """Read Qwen 1.5, 2 and 2.5."""
    return _read(fields, query_key_value_bias=True, windows=_qwen_windows(fields))


def read_qwen3(fields: Fields) -> DecoderConfig:
    """Read Qwen 3: each head's query and key are normed."""
    bias = fields.get("attention_bias", False)
    return _read(
        fields,
        head_dim=fields["head_dim"],
        query_key_norm=True,
        query_key_value_bias=bias,
        output_bias=bias,
        windows=_qwen_windows(fields),
    )


def read_smollm3(fields: Fields) -> DecoderConfig:
    """Read SmolLM3: some layers do not rotate."""
    depth = fields["num_hidden_layers"]
    rotated = fields.get("no_rope_layers")  # 1 if the layer rotates, despite the name
    if rotated is None:
        interval = fields.get("no_rope_layer_interval", 4)
        rotated = [(layer + 1) % interval != 0 for layer in range(depth)]
    if len(rotated) < depth:
        raise ValueError(f"no_rope_layers must have one value for each of the {depth} layers, got {list(rotated)}.")
    rotated = tuple(bool(flag) for flag in rotated[:depth])
    window = fields.get("sliding_window") if fields.get("use_sliding_window", False) else None
    kinds = fields.get("layer_types")
    if kinds is None:
        kinds = ["full_attention" if window is None or turned else "sliding_attention" for turned in rotated]
    bias = fields.get("attention_bias", False)
    return _read(
        {"tie_word_embeddings": True, **fields},
        theta=2_000_000.0,
        query_key_value_bias=bias,
        output_bias=bias,
        mlp_bias=fields.get("mlp_bias", False),
        rotated=None if all(rotated) else rotated,
        windows=common.windows(kinds, window, depth),
    )


def _require_full(fields: Fields) -> None:
    depth = fields["num_hidden_layers"]
    if common.windows(fields.get("layer_types") or ["full_attention"] * depth, 1, depth):
        raise ValueError(
            f"layer_types must all be full_attention for model_type {fields['model_type']!r}, "
            f"got {fields['layer_types']}: this family has no windows."
        )


def _qwen_windows(fields: Fields) -> tuple[int, ...] | None:
    depth = fields["num_hidden_layers"]
    window = fields["sliding_window"] if fields.get("use_sliding_window", False) else None
    kinds = fields.get("layer_types")
    if kinds is None:
        first = depth if window is None else fields["max_window_layers"]
        kinds = ["full_attention" if layer < first else "sliding_attention" for layer in range(depth)]
    return common.windows(kinds, window, depth)


def _read(fields: Fields, *, theta: float = 10_000.0, head_dim: int | None = None, **options: Any) -> DecoderConfig:
    common.require({**fields, **common.rope(fields)}, "partial_rotary_factor", None, 1, 1.0)
    return DecoderConfig(
        vocab_size=fields["vocab_size"],
        width=fields["hidden_size"],
        depth=fields["num_hidden_layers"],
        heads=fields["num_attention_heads"],
        kv_heads=common.kv_heads(fields),
        head_dim=head_dim or fields.get("head_dim") or fields["hidden_size"] // fields["num_attention_heads"],
        mlp_width=fields["intermediate_size"],
        max_positions=fields["max_position_embeddings"],
        norm_eps=fields.get("rms_norm_eps", 1e-6),
        activation=common.activation(fields.get("hidden_act", "silu")),
        rope_theta=common.rope_theta(fields, theta),
        rope_scaling=common.rope_scaling(common.rope(fields), fields["max_position_embeddings"]),
        tied=fields.get("tie_word_embeddings", False),
        **options,
    )


def write_llama(config: DecoderConfig) -> dict[str, Any]:
    """Return the fields that `read_llama` reads."""
    return _write(config) | {"attention_bias": config.query_key_value_bias, "mlp_bias": config.mlp_bias}


def write_mistral(config: DecoderConfig) -> dict[str, Any]:
    """Return the fields that `read_mistral` reads."""
    return _write(config) | {"sliding_window": common.widest_window(config)}


def write_qwen2(config: DecoderConfig) -> dict[str, Any]:
    """Return the fields that `read_qwen2` reads."""
    return _write(config) | _qwen_window_fields(config.windows or (0,) * config.depth)


def write_qwen3(config: DecoderConfig) -> dict[str, Any]:
    """Return the fields that `read_qwen3` reads."""
    return write_qwen2(config) | {"attention_bias": config.query_key_value_bias}


def write_smollm3(config: DecoderConfig) -> dict[str, Any]:
    """Return the fields that `read_smollm3` reads."""
    rotated = config.rotated or (True,) * config.depth
    return write_llama(config) | {
        "no_rope_layers": [int(flag) for flag in rotated],
        "use_sliding_window": config.windows is not None,
        "sliding_window": common.widest_window(config),
        "layer_types": common.layer_types(config),
        # If omitted, transformers uses 128004, which a smaller vocabulary does not have.
        "pad_token_id": None,
    }


def _qwen_window_fields(windows: Sequence[int]) -> dict[str, Any]:
    # transformers before 4.53 reads only max_window_layers, and its layers without a window come first.
    first = next((layer for layer, window in enumerate(windows) if window), len(windows))
    return {
        "use_sliding_window": any(windows),
        "sliding_window": max(windows) or None,
        "max_window_layers": first,
        "layer_types": ["sliding_attention" if window else "full_attention" for window in windows],
    }


def _write(config: DecoderConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.mlp_width,
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_eps,
        "hidden_act": common.activation_name(config.activation),
        "rope_theta": config.rope_theta,
        "rope_scaling": common.rope_scaling_fields(config.rope_scaling),
        "tie_word_embeddings": config.tied,
    }
