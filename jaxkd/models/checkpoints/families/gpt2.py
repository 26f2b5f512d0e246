"""Config of GPT-2."""

from typing import Any

from jaxkd.models.checkpoints.families import common as common
from jaxkd.models.checkpoints.families.common import Fields
from jaxkd.models.transformer.architecture import DecoderConfig


def read_gpt2(fields: Fields) -> DecoderConfig:
    """Read GPT-2: layer norms, a table of positions, biases everywhere."""
    common.require(fields, "scale_attn_weights", True)
    common.require(fields, "scale_attn_by_inverse_layer_idx", False)
    common.require(fields, "add_cross_attention", False)
    width, heads = fields["n_embd"], fields["n_head"]
    return DecoderConfig(
        vocab_size=fields["vocab_size"],
        width=width,
        depth=fields["n_layer"],
        heads=heads,
        kv_heads=heads,
        head_dim=width // heads,
        mlp_width=fields.get("n_inner") or 4 * width,
        max_positions=fields["n_positions"],
        norm="layer",
        norm_eps=fields.get("layer_norm_epsilon", 1e-5),
        activation=common.activation(fields.get("activation_function", "gelu_new")),
        gated=False,
        position="learned",
        query_key_value_bias=True,
        output_bias=True,
        mlp_bias=True,
        tied=fields.get("tie_word_embeddings", True),
        dropout=fields.get("resid_pdrop", 0.1),
    )


def write_gpt2(config: DecoderConfig) -> dict[str, Any]:
    """Return the fields that `read_gpt2` reads."""
    return {
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
