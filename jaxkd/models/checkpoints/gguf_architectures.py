"""Translation of each architecture's GGUF files to Hugging Face's config.json and tensor names."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from jaxkd.models.transformer import rope
from jaxkd.models.transformer.architecture import Llama3Scaling

Fields: TypeAlias = Mapping[str, Any]
"""Metadata of a file, as Python values by key."""

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
"""Row-major shape of each of the file's tensors."""

ROPE_FACTORS = "rope_freqs.weight"
"""Divisors of the rotary frequencies in files of Llama 3; not a parameter of the model."""

_OUTER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}

_BLOCK = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}

_GEMMA_BLOCK = _BLOCK | {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}

# From llama.cpp, which does not write the base of the windowed layers' rotation into the file.
_GEMMA3_LOCAL_THETA = 10_000.0
_GEMMA3_PERIOD = 6
_GEMMA3_27B_DEPTH = 62


@dataclasses.dataclass(frozen=True, kw_only=True)
class Architecture:
    """Differences between one architecture's files and Hugging Face's layout."""

    model_type: str
    class_name: str
    options: Callable[["Hyperparameters"], dict[str, Any]]
    """Entries of config.json beyond those common to all architectures."""
    interleaved: bool = False
    """Whether the rows of q and k are permuted inside each head, for rotary pairs (2j, 2j + 1)."""
    norm_offset: float = 0.0
    """Offset that the file adds to the weights of norms."""
    block: Mapping[str, str] = dataclasses.field(default_factory=lambda: _BLOCK)
    """Names of a block's modules, from Hugging Face's to the file's."""

    def file_name(self, name: str) -> str:
        """Return the file's name of the tensor that Hugging Face calls `name`."""
        module, _, kind = name.rpartition(".")
        if module in _OUTER:
            return f"{_OUTER[module]}.{kind}"
        layer, _, module = module.removeprefix("model.layers.").partition(".")
        return f"blk.{layer}.{self.block[module]}.{kind}"


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """Metadata below the architecture's own prefix."""

    fields: Fields

    def __call__(self, name: str, default: Any = None) -> Any:
        """Return one entry; 32-bit numbers as the shortest equal decimal.

        Raises:
            ValueError: it is missing and has no default.
        """
        key = f"{self.fields['general.architecture']}.{name}"
        value = self.fields.get(key, default)
        if value is None:
            raise ValueError(f"the metadata must hold {key}, got none. The file is not a complete model.")
        # 1e-5 is stored as 9.999999747378752e-06.
        return float(str(np.float32(value))) if isinstance(value, float) else value


def of(fields: Fields) -> Architecture:
    """Return the architecture of a file.

    Raises:
        ValueError: an architecture that is not among `ARCHITECTURES`.
    """
    name = fields.get("general.architecture", "")
    if name not in ARCHITECTURES:
        raise ValueError(
            f"general.architecture must be one of {', '.join(ARCHITECTURES)}, got {name!r}. "
            f"Use the model's Hugging Face folder instead of the GGUF file."
        )
    return ARCHITECTURES[name]


def hugging_face_config(
    fields: Fields, shapes: Shapes, rope_factors: Float[np.ndarray, " half"] | None
) -> dict[str, Any]:
    """Return the contents of config.json, in the spelling of the hub.

    Args:
        fields: metadata of the file.
        shapes: shapes of all tensors.
        rope_factors: values of the tensor `ROPE_FACTORS`, if there is one.

    Raises:
        ValueError: a field is missing, or an unknown scaling of rotary positions.
    """
    architecture, hyper = of(fields), Hyperparameters(fields)
    if "token_embd.weight" not in shapes:
        raise ValueError(f"the file must hold token_embd.weight, got {', '.join(sorted(shapes)) or 'no tensors'}.")
    width, heads = hyper("embedding_length"), hyper("attention.head_count")
    head_dim, theta = hyper("attention.key_length", width // heads), hyper("rope.freq_base", 10_000.0)
    ids = {
        f"{ours}_token_id": fields.get(f"tokenizer.ggml.{theirs}_token_id")
        for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
    }
    return {
        "architectures": [architecture.class_name],
        "model_type": architecture.model_type,
        "vocab_size": shapes["token_embd.weight"][0],
        "hidden_size": width,
        "num_hidden_layers": hyper("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": hyper("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "intermediate_size": hyper("feed_forward_length"),
        "max_position_embeddings": hyper("context_length"),
        "rms_norm_eps": hyper("attention.layer_norm_rms_epsilon"),
        "rope_theta": theta,
        "rope_scaling": _rope_scaling(hyper, head_dim, theta, rope_factors),
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "tie_word_embeddings": "output.weight" not in shapes,
        "dtype": "float32",
        **architecture.options(hyper),
        **{name: index for name, index in ids.items() if index is not None},
    }


def _rope_scaling(
    hyper: Hyperparameters, head_dim: int, theta: float, factors: Float[np.ndarray, " half"] | None
) -> dict[str, Any] | None:
    rotated, kind = hyper("rope.dimension_count", head_dim), hyper("rope.scaling.type", "none")
    if rotated != head_dim or kind not in ("none", "linear", "yarn"):
        raise ValueError(
            f"rotary embedding must rotate whole heads ({head_dim} dimensions) with scaling none, linear or yarn, got "
            f"{rotated} dimensions and scaling {kind!r}. Use the model's Hugging Face folder instead of the GGUF file."
        )
    if factors is not None:
        return _llama3_scaling(factors, head_dim, theta)
    match kind:
        case "linear":
            return {"rope_type": "linear", "factor": hyper("rope.scaling.factor")}
        case "yarn":
            return {
                "rope_type": "yarn",
                "factor": hyper("rope.scaling.factor"),
                "original_max_position_embeddings": hyper("rope.scaling.original_context_length"),
            }
    return None


def _llama3_scaling(factors: Float[np.ndarray, " half"], head_dim: int, theta: float) -> dict[str, Any]:
    """Recover the parameters of the factors; those of all releases differ in `factor` alone."""
    scaling = Llama3Scaling(
        factor=float(factors.max()), low_frequency_factor=1.0, high_frequency_factor=4.0, original_positions=8192
    )
    expected = rope.frequencies(head_dim, theta, None) / rope.frequencies(head_dim, theta, scaling)
    if factors.shape != expected.shape or not np.allclose(factors, expected, rtol=1e-4):
        raise ValueError(
            f"{ROPE_FACTORS} must be the factors of Llama 3.1 or later, got others, up to {factors.max():g}. "
            "Use the model's Hugging Face folder instead of the GGUF file."
        )
    return {
        "rope_type": "llama3",
        "factor": scaling.factor,
        "low_freq_factor": scaling.low_frequency_factor,
        "high_freq_factor": scaling.high_frequency_factor,
        "original_max_position_embeddings": scaling.original_positions,
    }


def _llama(hyper: Hyperparameters) -> dict[str, Any]:
    del hyper
    return {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False}


def _qwen2(hyper: Hyperparameters) -> dict[str, Any]:
    del hyper
    return {"hidden_act": "silu", "use_sliding_window": False}


def _qwen3(hyper: Hyperparameters) -> dict[str, Any]:
    del hyper
    return {"hidden_act": "silu", "attention_bias": False, "use_sliding_window": False}


def _gemma3(hyper: Hyperparameters) -> dict[str, Any]:
    head_dim, depth = hyper("attention.key_length"), hyper("block_count")
    # The only size that does not divide scores by the root of head_dim.
    largest = depth == _GEMMA3_27B_DEPTH
    return {
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": False,
        "query_pre_attn_scalar": hyper("embedding_length") // hyper("attention.head_count") if largest else head_dim,
        "sliding_window": hyper("attention.sliding_window"),
        "layer_types": [
            "sliding_attention" if (layer + 1) % _GEMMA3_PERIOD else "full_attention" for layer in range(depth)
        ],
        "rope_local_base_freq": _GEMMA3_LOCAL_THETA,
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
    }


ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": Architecture(model_type="llama", class_name="LlamaForCausalLM", options=_llama, interleaved=True),
    "qwen2": Architecture(model_type="qwen2", class_name="Qwen2ForCausalLM", options=_qwen2),
    "qwen3": Architecture(model_type="qwen3", class_name="Qwen3ForCausalLM", options=_qwen3),
    "gemma3": Architecture(
        model_type="gemma3_text",
        class_name="Gemma3ForCausalLM",
        options=_gemma3,
        norm_offset=1.0,
        block=_GEMMA_BLOCK,
    ),
}
"""Supported architectures, by `general.architecture`."""
