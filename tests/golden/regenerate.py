"""Write the golden checkpoints: tiny random models of each family, and the logits that torch computes with them.

    python -m tests.golden.regenerate

It needs the `oracle` extra.  The tests that read the files do not, and an oracle test checks that
the files are what this program would write.
"""

import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

FOLDER = Path(__file__).parent

FAR = np.array([[0, 1, 2, 5, 300, 301, 2000, 4000, 4001, 7998, 8000, 8191]])
"""Positions of a second row of logits, for families that rotate: near and far from the start and from one another."""

_SMALL = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-3,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_NEOX = {
    "model_type": "gpt_neox",
    **{name: _SMALL[name] for name in _SMALL if name not in ("num_key_value_heads", "rms_norm_eps")},
    "num_attention_heads": 2,
    "layer_norm_eps": 1e-3,
    "rotary_pct": 0.5,
    "rotary_emb_base": 100.0,
}
_GEMMA = {**_SMALL, "head_dim": 6, "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 9}

CASES: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama", **_SMALL, "head_dim": 6, "rope_theta": 100.0},
    "llama_tied": {"model_type": "llama", **_SMALL, "num_key_value_heads": 4, "tie_word_embeddings": True},
    "llama_bias": {"model_type": "llama", **_SMALL, "attention_bias": True, "mlp_bias": True},
    "llama_linear": {"model_type": "llama", **_SMALL, "rope_scaling": {"rope_type": "linear", "factor": 2.5}},
    "llama3": {
        "model_type": "llama",
        **_SMALL,
        "head_dim": 16,
        "rope_theta": 50.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    },
    "llama_yarn": {
        "model_type": "llama",
        **_SMALL,
        "head_dim": 16,
        "rope_theta": 50.0,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 4.0,
            "beta_fast": 4.0,
            "original_max_position_embeddings": 64,
        },
    },
    "mistral": {"model_type": "mistral", **_SMALL, "sliding_window": None},
    "mistral_window": {"model_type": "mistral", **_SMALL, "sliding_window": 4},
    "qwen2": {"model_type": "qwen2", **_SMALL, "tie_word_embeddings": True},
    "qwen2_window": {
        "model_type": "qwen2",
        **_SMALL,
        "use_sliding_window": True,
        "sliding_window": 4,
        "max_window_layers": 1,
    },
    "qwen3": {"model_type": "qwen3", **_SMALL, "head_dim": 6, "rope_theta": 100.0},
    "smollm3": {"model_type": "smollm3", **_SMALL, "no_rope_layers": [1, 0], "rope_theta": 100.0},
    "gemma": {"model_type": "gemma", **_SMALL, "head_dim": 6},
    "gemma2": {
        "model_type": "gemma2",
        **_GEMMA,
        "sliding_window": 4,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 8.0,
    },
    "gemma3": {
        "model_type": "gemma3_text",
        **_GEMMA,
        "num_hidden_layers": 3,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "sliding_window": 4,
        "rope_theta": 100.0,
        "rope_local_base_freq": 10.0,
        "rope_scaling": {"rope_type": "linear", "factor": 4.0},
    },
    "gpt_neox": _NEOX,
    "gpt_neox_sequential": {**_NEOX, "use_parallel_residual": False, "attention_bias": False},
    "gpt2": {
        "model_type": "gpt2",
        "vocab_size": 40,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 4,
        "n_inner": 24,
        "n_positions": 64,
        "layer_norm_epsilon": 1e-3,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    },
}


def build(name: str) -> Any:
    """The torch model of a case.

    Its weights are large on purpose: at the scale that transformers initialises with, another
    activation or another norm epsilon moves the logits by less than any usable tolerance.  They are
    numbers that float16 holds exactly, so that the files are half as long.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**CASES[name]), attn_implementation="eager")
    random = np.random.default_rng(zlib.crc32(name.encode()))
    plus_one = CASES[name]["model_type"].startswith("gemma")  # their norms add 1 themselves
    with torch.no_grad():
        for parameter_name, parameter in sorted(model.named_parameters()):
            vector = parameter.ndim == 1
            values = random.normal(0.0, 0.3, parameter.shape)
            values += 1.0 if vector and parameter_name.endswith("weight") and not plus_one else 0.0
            parameter.copy_(torch.from_numpy(values.astype(np.float16).astype(np.float32)))
    return model.eval()


def logits(model: Any, tokens: np.ndarray, positions: np.ndarray | None = None) -> np.ndarray:
    """Logits of torch; without positions they count from 0."""
    import torch

    ids = torch.from_numpy(tokens)
    with torch.no_grad():
        if positions is None:
            return model(ids).logits.numpy()
        # A mask, although it masks nothing: without one, a jump in the positions is taken for a new sequence.
        return model(ids, attention_mask=torch.ones_like(ids), position_ids=torch.from_numpy(positions)).logits.numpy()


def golden(name: str) -> dict[str, np.ndarray]:
    """Contents of the file of a case."""
    model = build(name)
    tokens = np.random.default_rng(100).integers(3, 40, (2, 12))
    arrays = {"tokens": tokens, "logits": logits(model, tokens)}
    if CASES[name]["model_type"] != "gpt2":
        arrays["far_logits"] = logits(model, tokens[:1], FAR)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = (Path(folder) / "config.json").read_text()
        tensors = load_file(Path(folder) / "model.safetensors")
    weights = {f"weights/{key}": value.astype(np.float16) for key, value in tensors.items()}
    return {"config": np.array(config), **arrays, **weights}


def main() -> None:
    """Write every file."""
    for name in CASES:
        np.savez_compressed(FOLDER / f"{name}.npz", **golden(name))


if __name__ == "__main__":
    main()
