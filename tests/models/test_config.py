import dataclasses
import json

import pytest

from jaxkd.models.config import (
    DecoderConfig,
    LinearScaling,
    Llama3Scaling,
    family,
    from_hugging_face,
    read,
    to_hugging_face,
)
from tests.models.tiny import GPT2, LLAMA, NAMES, golden_config

SMOLLM2 = {
    "model_type": "llama",
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "rope_theta": 100000,
    "tie_word_embeddings": True,
}
LLAMA3_SCALING = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def test_an_old_llama_file_reads():
    assert from_hugging_face(SMOLLM2) == DecoderConfig(
        vocab_size=49152,
        width=576,
        depth=30,
        heads=9,
        kv_heads=3,
        head_dim=64,
        mlp_width=1536,
        max_positions=8192,
        norm_eps=1e-5,
        rope_theta=1e5,
        tied=True,
    )


def test_what_a_llama_file_leaves_out_is_what_transformers_fills_in():
    required = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    config = from_hugging_face(
        {"model_type": "llama", "max_position_embeddings": 64} | {name: SMOLLM2[name] for name in required}
    )
    assert (config.kv_heads, config.head_dim, config.norm_eps, config.rope_theta) == (9, 64, 1e-6, 10_000.0)
    assert (config.activation, config.tied, config.mlp_bias, config.rope_scaling) == ("silu", False, False, None)


@pytest.mark.parametrize(
    "spelling",
    [
        {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **LLAMA3_SCALING}},
        {"rope_theta": 5e5, "rope_scaling": {"type": "llama3", **LLAMA3_SCALING}},
        {"rope_theta": None, "rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, **LLAMA3_SCALING}},
    ],
    ids=["transformers 4", "older", "transformers 5"],
)
def test_each_spelling_of_rope_reads(spelling):
    config = from_hugging_face(SMOLLM2 | spelling)
    assert config.rope_theta == 5e5
    assert config.rope_scaling == Llama3Scaling(
        factor=8.0, low_frequency_factor=1.0, high_frequency_factor=4.0, original_positions=8192
    )


def test_biases_of_each_family():
    def biases(**changes):
        config = from_hugging_face(SMOLLM2 | changes)
        return config.query_key_value_bias, config.output_bias, config.mlp_bias

    assert biases() == (False, False, False)
    assert biases(attention_bias=True) == (True, True, False)
    assert biases(mlp_bias=True) == (False, False, True)
    assert biases(model_type="qwen2") == (True, False, False)
    assert biases(model_type="mistral", sliding_window=None) == (False, False, False)


def test_a_gpt2_file_reads():
    config = from_hugging_face(
        {"model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024}
    )
    assert config == DecoderConfig(
        vocab_size=50257,
        width=768,
        depth=12,
        heads=12,
        kv_heads=12,
        head_dim=64,
        mlp_width=3072,
        max_positions=1024,
        norm="layer",
        activation="gelu_tanh",
        gated=False,
        position="learned",
        query_key_value_bias=True,
        output_bias=True,
        mlp_bias=True,
        tied=True,
        dropout=0.1,
    )


@pytest.mark.parametrize("name", NAMES)
def test_writing_and_reading_gives_the_same_config(name):
    config = golden_config(name)
    assert from_hugging_face(json.loads(json.dumps(to_hugging_face(config)))) == config


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_scaling": LinearScaling(factor=4.0)},
        {"activation": "gelu_tanh"},
        {"query_key_value_bias": True, "output_bias": True},
        {"query_key_value_bias": True},
        {"mlp_bias": True},
        {"tied": False},
    ],
    ids=str,
)
def test_writing_and_reading_keeps_each_option(changes):
    config = dataclasses.replace(LLAMA, **changes)
    assert from_hugging_face(to_hugging_face(config)) == config


def test_families():
    assert (family(LLAMA), family(GPT2)) == ("llama", "gpt2")
    assert family(dataclasses.replace(LLAMA, query_key_value_bias=True)) == "qwen2"


@pytest.mark.parametrize(
    "config",
    [
        dataclasses.replace(LLAMA, norm="layer"),
        dataclasses.replace(LLAMA, output_bias=True),
        dataclasses.replace(LLAMA, query_key_value_bias=True, mlp_bias=True),
        dataclasses.replace(GPT2, mlp_bias=False),
        dataclasses.replace(GPT2, kv_heads=2),
        dataclasses.replace(GPT2, head_dim=8),
    ],
    ids=str,
)
def test_a_combination_that_transformers_does_not_have_is_refused(config):
    with pytest.raises(ValueError, match="config must match a family that transformers has"):
        to_hugging_face(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gemma3"}, "model_type must be one of llama, mistral, qwen2, gpt2, got 'gemma3'"),
        ({"hidden_act": "mish"}, "the activation must be one of silu, .*, got 'mish'"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "rope_type must be one of default, linear, llama3"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor must be .*got 0.5"),
        ({"model_type": "mistral", "sliding_window": 4096}, "sliding_window must be None, got 4096"),
        ({"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 8}, "sliding_window must be None"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types must all be full_attention"),
        ({"model_type": "gpt2"}, "config.json must have 'n_embd' for model_type 'gpt2'"),
        ({"model_type": "gpt2", "scale_attn_weights": False}, "scale_attn_weights must be True, got False"),
        ({"model_type": "gpt2", "scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx must be"),
        ({"model_type": "gpt2", "add_cross_attention": True}, "add_cross_attention must be False, got True"),
    ],
)
def test_what_would_change_the_outputs_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        from_hugging_face(SMOLLM2 | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"kv_heads": 3}, "heads must be a multiple of kv_heads, got 4 and 3"),
        ({"head_dim": 5}, "head_dim must be even for rotary positions, got 5"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
    ],
)
def test_an_impossible_architecture_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(LLAMA, **changes)


def test_reading_a_folder_names_the_file_in_its_errors(tmp_path):
    with pytest.raises(ValueError, match=r"folder must be a Hugging Face checkpoint, got .*has no config\.json"):
        read(tmp_path)
    path = tmp_path / "config.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"config\.json must be JSON"):
        read(tmp_path)
    path.write_text(json.dumps(SMOLLM2 | {"model_type": "bert"}))
    with pytest.raises(ValueError, match=r"config\.json: model_type must be one of .*got 'bert'"):
        read(tmp_path)
    path.write_text(json.dumps(SMOLLM2))
    assert read(tmp_path) == from_hugging_face(SMOLLM2)
