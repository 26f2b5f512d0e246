"""Write the golden checkpoints: tiny random models of each family, and the logits that torch computes with them.

    python -m tests.golden.regenerate

It needs the `oracle` extra.  The tests that read the files do not, and an oracle test checks that
the files are what this program would write.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent

_SMALL = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-3,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}

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
    "mistral": {"model_type": "mistral", **_SMALL, "sliding_window": None},
    "qwen2": {"model_type": "qwen2", **_SMALL, "tie_word_embeddings": True},
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
    random = np.random.default_rng(list(CASES).index(name))
    with torch.no_grad():
        for parameter_name, parameter in sorted(model.named_parameters()):
            vector = parameter.ndim == 1
            values = random.normal(0.0, 0.3, parameter.shape)
            values += 1.0 if vector and parameter_name.endswith("weight") else 0.0
            parameter.copy_(torch.from_numpy(values.astype(np.float16).astype(np.float32)))
    return model.eval()


def golden(name: str) -> dict[str, np.ndarray]:
    """Contents of the file of a case."""
    import torch

    model = build(name)
    tokens = np.random.default_rng(100).integers(3, 40, (2, 12))
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens)).logits.numpy()
    config = {"architectures": [type(model).__name__], **model.config.to_dict()}
    weights = {f"weights/{key}": value.numpy().astype(np.float16) for key, value in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del weights["weights/lm_head.weight"]
    return {"config": np.array(json.dumps(config)), "tokens": tokens, "logits": logits, **weights}


def main() -> None:
    """Write every file."""
    for name in CASES:
        np.savez_compressed(FOLDER / f"{name}.npz", **golden(name))


if __name__ == "__main__":
    main()
