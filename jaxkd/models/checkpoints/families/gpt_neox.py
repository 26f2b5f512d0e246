"""Config of GPT-NeoX and Pythia."""

from typing import Any

from jaxkd.models.checkpoints.families import common as common
from jaxkd.models.checkpoints.families.common import Fields
from jaxkd.models.transformer.architecture import DecoderConfig


def read_gpt_neox(fields: Fields) -> DecoderConfig:
    """Read GPT-NeoX: layer norms, parallel branches, a rotation of part of each head."""
    rope = common.rope(fields)
    width, heads = fields["hidden_size"], fields["num_attention_heads"]
    bias = fields.get("attention_bias", True)
    return DecoderConfig(
        vocab_size=fields["vocab_size"],
        width=width,
        depth=fields["num_hidden_layers"],
        heads=heads,
        kv_heads=heads,
        head_dim=width // heads,
        mlp_width=fields["intermediate_size"],
        max_positions=fields["max_position_embeddings"],
        norm="layer",
        norm_eps=fields.get("layer_norm_eps", 1e-5),
        parallel_branches=fields.get("use_parallel_residual", True),
        activation=common.activation(fields.get("hidden_act", "gelu")),
        gated=False,
        rope_theta=common.rope_theta({"rope_theta": fields.get("rotary_emb_base"), **fields}, 10_000.0),
        rope_scaling=common.rope_scaling(rope, fields["max_position_embeddings"]),
        rotary_fraction=float(rope.get("partial_rotary_factor") or fields.get("rotary_pct") or 0.25),
        query_key_value_bias=bias,
        output_bias=bias,
        mlp_bias=True,
        tied=fields.get("tie_word_embeddings", False),
        dropout=float(fields.get("hidden_dropout", 0.0)),
    )


def write_gpt_neox(config: DecoderConfig) -> dict[str, Any]:
    """Return the fields that `read_gpt_neox` reads."""
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "intermediate_size": config.mlp_width,
        "max_position_embeddings": config.max_positions,
        "layer_norm_eps": config.norm_eps,
        "use_parallel_residual": config.parallel_branches,
        "hidden_act": common.activation_name(config.activation),
        "rotary_emb_base": config.rope_theta,
        "rotary_pct": config.rotary_fraction,
        "rope_scaling": common.rope_scaling_fields(config.rope_scaling),
        "attention_bias": config.query_key_value_bias,
        "tie_word_embeddings": config.tied,
        "hidden_dropout": config.dropout,
    }
