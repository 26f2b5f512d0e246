"""Configs of Gemma 1 and 2, and of the language model of Gemma 3."""

from typing import Any

from jaxkd.models.checkpoints.families import common as common
from jaxkd.models.checkpoints.families.common import Fields
from jaxkd.models.transformer.architecture import DecoderConfig

_LOCAL_THETA = 10_000.0
"""Base of the rotation in Gemma 3's windowed layers, if the file does not give it."""


def read_gemma(fields: Fields) -> DecoderConfig:
    """Read Gemma 1."""
    common.require(fields, "layer_types", None)
    # The first release says gelu but means its tanh approximation, as transformers reads it too.
    named = fields.get("hidden_act", "gelu")
    return _read(
        fields,
        activation="gelu_tanh" if named == "gelu" else common.activation(named),
        rope_theta=common.rope_theta(fields, 10_000.0),
        rope_scaling=common.rope_scaling(common.rope(fields), fields["max_position_embeddings"]),
    )


def read_gemma2(fields: Fields) -> DecoderConfig:
    """Read Gemma 2: soft-caps, every other layer windowed, a norm after each branch."""
    return _read(
        fields,
        **_alternating(fields, period=2),
        activation=common.activation(fields["hidden_activation"]),
        rope_theta=common.rope_theta(fields, 10_000.0),
        rope_scaling=common.rope_scaling(common.rope(fields), fields["max_position_embeddings"]),
        attention_softcap=fields.get("attn_logit_softcapping", 50.0),
        logit_softcap=fields.get("final_logit_softcapping", 30.0),
    )


def read_gemma3(fields: Fields) -> DecoderConfig:
    """Read Gemma 3: normed queries and keys, two rotations; only that of layers without a window is scaled."""
    common.require(fields, "attn_logit_softcapping", None)
    nested = fields.get("rope_parameters") or {}
    everywhere = fields.get("rope_scaling") or nested.get("full_attention") or {}
    windowed = nested.get("sliding_attention") or {}
    common.require(windowed, "rope_type", "default")
    theta = everywhere.get("rope_theta") or fields.get("rope_theta") or 1_000_000.0
    local = windowed.get("rope_theta") or fields.get("rope_local_base_freq") or _LOCAL_THETA
    period = fields.get("sliding_window_pattern") or fields.get("_sliding_window_pattern") or 6
    return _read(
        fields,
        **_alternating(fields, period=period),
        activation=common.activation(fields["hidden_activation"]),
        rope_theta=float(theta),
        rope_scaling=common.rope_scaling(everywhere, fields["max_position_embeddings"]),
        local_rope_theta=float(local),
        query_key_norm=True,
        logit_softcap=fields.get("final_logit_softcapping"),
    )


def _alternating(fields: Fields, *, period: int) -> dict[str, Any]:
    """Read options common to Gemma 2 and 3: windows in all but every `period`-th layer, their own score scale."""
    depth = fields["num_hidden_layers"]
    kinds = fields.get("layer_types") or [
        "sliding_attention" if (layer + 1) % period else "full_attention" for layer in range(depth)
    ]
    divisor = fields["query_pre_attn_scalar"]
    return {
        "windows": common.windows(kinds, fields.get("sliding_window"), depth),
        "score_dim": None if divisor == fields["head_dim"] else divisor,
        "branch_output_norms": True,
    }


def _read(fields: Fields, **options: Any) -> DecoderConfig:
    common.require(fields, "use_bidirectional_attention", None, False)
    common.require({**fields, **common.rope(fields)}, "partial_rotary_factor", None, 1, 1.0)
    bias = fields.get("attention_bias", False)
    return DecoderConfig(
        vocab_size=fields["vocab_size"],
        width=fields["hidden_size"],
        depth=fields["num_hidden_layers"],
        heads=fields["num_attention_heads"],
        kv_heads=common.kv_heads(fields),
        head_dim=fields["head_dim"],
        mlp_width=fields["intermediate_size"],
        max_positions=fields["max_position_embeddings"],
        norm="rms_plus_one",
        norm_eps=fields.get("rms_norm_eps", 1e-6),
        query_key_value_bias=bias,
        output_bias=bias,
        scaled_embedding=True,
        tied=fields.get("tie_word_embeddings", True),
        **options,
    )


def write_gemma(config: DecoderConfig) -> dict[str, Any]:
    """Return the fields that `read_gemma` reads."""
    return _write(config) | {
        "hidden_act": common.activation_name(config.activation),
        "rope_scaling": common.rope_scaling_fields(config.rope_scaling),
    }


def write_gemma2(config: DecoderConfig) -> dict[str, Any]:
    """Return the fields that `read_gemma2` reads."""
    return _write_alternating(config) | {
        "attn_logit_softcapping": config.attention_softcap,
        "final_logit_softcapping": config.logit_softcap,
    }


def write_gemma3(config: DecoderConfig) -> dict[str, Any]:
    """Return the fields that `read_gemma3` reads."""
    return _write_alternating(config) | {
        "rope_local_base_freq": config.local_rope_theta,
        "final_logit_softcapping": config.logit_softcap,
    }


def _write_alternating(config: DecoderConfig) -> dict[str, Any]:
    return _write(config) | {
        "hidden_activation": common.activation_name(config.activation),
        "rope_scaling": common.rope_scaling_fields(config.rope_scaling),
        "query_pre_attn_scalar": config.score_dim or config.head_dim,
        "sliding_window": common.widest_window(config),
        "layer_types": common.layer_types(config),
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
        "rope_theta": config.rope_theta,
        "attention_bias": config.query_key_value_bias,
        "tie_word_embeddings": config.tied,
    }
