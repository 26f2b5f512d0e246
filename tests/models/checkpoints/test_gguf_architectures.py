"""Files of each architecture, written from checkpoints, give the same checkpoints back."""

import dataclasses
import math

import gguf
import jax
import numpy as np
import pytest

from jaxkd.models import Pretrained
from jaxkd.models.checkpoints import config as model_config
from jaxkd.models.checkpoints import huggingface
from jaxkd.models.checkpoints.gguf import convert
from tests.models import tiny

BASE = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-3,
    "rope_theta": 100.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
LINEAR = {"rope_type": "linear", "factor": 2.5}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
LLAMA3 = BASE | {
    "model_type": "llama",
    "head_dim": 64,
    "rope_theta": 500_000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}
# Windows and rotations as the files of this architecture always have them; only the window is written down.
GEMMA3 = BASE | {
    "model_type": "gemma3_text",
    "num_hidden_layers": 7,
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 6,
    "sliding_window": 4,
    "rope_local_base_freq": 10_000.0,
    "tie_word_embeddings": True,
}
CASES = {
    "llama": ("llama", BASE | {"model_type": "llama"}),
    "llama tied": ("llama", BASE | {"model_type": "llama", "tie_word_embeddings": True}),
    "llama 2 long": ("llama", BASE | {"model_type": "llama", "rope_scaling": LINEAR}),
    "llama 3.1": ("llama", LLAMA3),
    "llama 3.2": ("llama", LLAMA3 | {"rope_scaling": LLAMA3["rope_scaling"] | {"factor": 32.0}}),
    "qwen2": ("qwen2", BASE | {"model_type": "qwen2"}),
    "qwen2 long": ("qwen2", BASE | {"model_type": "qwen2", "rope_scaling": YARN}),
    "qwen3": ("qwen3", BASE | {"model_type": "qwen3"}),
    "gemma3": ("gemma3", GEMMA3),
    "gemma3 4b": ("gemma3", GEMMA3 | {"rope_scaling": LINEAR | {"factor": 8.0}}),
    # The one depth at which scores are divided by the root of width / heads.
    "gemma3 27b": ("gemma3", GEMMA3 | {"num_hidden_layers": 62, "query_pre_attn_scalar": 4}),
}


def file_name(name):
    """The name in a file of a tensor that Hugging Face calls `name`, for all but Gemma's norms."""
    pairs = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        "model.layers": "blk",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.o_proj": "attn_output",
        **{f"self_attn.{part}_proj": f"attn_{part}" for part in "qkv"},
        **{f"self_attn.{part}_norm": f"attn_{part}_norm" for part in "qk"},
        **{f"mlp.{part}_proj": f"ffn_{part}" for part in ("gate", "up", "down")},
    }
    for theirs, ours in pairs.items():
        name = name.replace(theirs, ours)
    return name


def gemma_file_name(name):
    renamed = name.replace("post_attention_layernorm", "post_attention_norm")
    renamed = renamed.replace("pre_feedforward_layernorm", "ffn_norm")
    return file_name(renamed.replace("post_feedforward_layernorm", "post_ffw_norm"))


def interleaved(rows, heads):
    """Rows of q or k as a llama file has them: those of a rotary pair side by side."""
    half = len(rows) // heads // 2
    order = [head * 2 * half + part * half + pair for head in range(heads) for pair in range(half) for part in (0, 1)]
    return rows[order]


def llama3_factors(config, head_dim):
    """Divisor of each frequency, from the number of turns of its wavelength in a context."""
    scaling, factors = config["rope_scaling"], []
    for pair in range(head_dim // 2):
        wavelength = 2 * math.pi * config["rope_theta"] ** (2 * pair / head_dim)
        turns = scaling["original_max_position_embeddings"] / wavelength
        kept = (turns - scaling["low_freq_factor"]) / (scaling["high_freq_factor"] - scaling["low_freq_factor"])
        kept = min(max(kept, 0.0), 1.0)
        factors.append(1 / (kept + (1 - kept) / scaling["factor"]))
    return np.array(factors, np.float32)


def write(path, architecture, config, tensors):
    """A file with these weights, without quantisation."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    if "sliding_window" in config:
        writer.add_sliding_window(config["sliding_window"])
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(scaling["rope_type"]))
        writer.add_rope_scaling_factor(scaling["factor"])
    if scaling.get("rope_type") == "yarn":
        writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])
    if scaling.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(config, config["head_dim"]))
    kind = "llama" if architecture == "gemma3" else "gpt2"
    writer.add_tokenizer_model(kind)
    writer.add_token_list(["<unk>", "<s>", "</s>", "a", "b", "ab", *(f"token{number}" for number in range(34))])
    writer.add_token_types([3, 3, 3] + [1] * 37)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if kind == "gpt2":
        writer.add_tokenizer_pre("qwen2")
        writer.add_token_merges(["a b"])
    else:
        writer.add_token_scores([-float(number) for number in range(40)])
        writer.add_add_space_prefix(False)
    for name, value in tensors.items():
        if architecture == "llama" and ("q_proj" in name or "k_proj" in name):
            value = interleaved(value, config["num_attention_heads" if "q_proj" in name else "num_key_value_heads"])
        if architecture == "gemma3" and "norm" in name:
            value = value + np.float32(1)
        renamed = gemma_file_name(name) if architecture == "gemma3" else file_name(name)
        writer.add_tensor(renamed, np.ascontiguousarray(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("name", CASES)
def test_a_file_gives_its_checkpoint_back(name, tmp_path, monkeypatch):
    from safetensors.numpy import load_file

    architecture, mapping = CASES[name]
    config = model_config.from_hugging_face(mapping)
    params = tiny.random_params(config)
    huggingface.save(tmp_path / "theirs", config, params)
    path = write(tmp_path / "a.gguf", architecture, mapping, load_file(tmp_path / "theirs" / "model.safetensors"))
    ours = Pretrained(path=str(convert(path, tmp_path / "ours")))
    assert ours.config() == config
    tolerance = 1e-6 if architecture == "gemma3" else 0  # + 1 - 1
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=tolerance), ours.load(), params)
    assert ours.tokenizer().tokenize("ab") == ["ab"]


def test_other_factors_than_llama_3_s_are_refused(tmp_path):
    strange = LLAMA3 | {"rope_scaling": LLAMA3["rope_scaling"] | {"high_freq_factor": 3.0}}
    path = write(tmp_path / "a.gguf", "llama", strange, {"model.embed_tokens.weight": np.ones((40, 16), np.float32)})
    with pytest.raises(
        ValueError, match=r"rope_freqs\.weight must be the factors of Llama 3\.1 or later, got others, up"
    ):
        convert(path, tmp_path / "ours")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama 3.1", "qwen2", "qwen3", "gemma3 4b"])
def test_transformers_computes_what_we_compute(name, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.numpy import load_file
    from transformers import AutoModelForCausalLM

    architecture, mapping = CASES[name]
    config = model_config.from_hugging_face(mapping)
    # Halved: seven layers at the scale of the other tests turn the last bit of float32 into 4e-4 of a logit.
    params = jax.tree.map(lambda leaf: leaf / 2, tiny.random_params(config))
    huggingface.save(tmp_path / "theirs", config, params)
    path = write(tmp_path / "a.gguf", architecture, mapping, load_file(tmp_path / "theirs" / "model.safetensors"))
    folder = convert(path, tmp_path / "ours")
    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    assert not any(report.values())
    tokens = tiny.random_tokens(config, 2, 11)
    with torch.no_grad():
        expected = model.eval()(torch.from_numpy(tokens).long()).logits.numpy()
    ours = Pretrained(path=str(folder))
    plain = dataclasses.replace(ours.config(), tokens=None)
    np.testing.assert_allclose(tiny.logits(plain, ours.load(), tokens), expected, atol=5e-5)
