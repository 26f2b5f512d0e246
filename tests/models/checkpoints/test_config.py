import dataclasses
import json

import pytest

from jaxkd.models import DecoderConfig, LinearScaling, Llama3Scaling, YarnScaling
from jaxkd.models.checkpoints.config import FAMILIES, family, from_hugging_face, read, to_hugging_face
from jaxkd.models.transformer.architecture import LayerKind
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
    assert biases(model_type="qwen3", head_dim=64) == (False, False, False)
    assert biases(model_type="qwen3", head_dim=64, attention_bias=True) == (True, True, False)
    assert biases(model_type="mistral", sliding_window=None) == (False, False, False)


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


@pytest.mark.parametrize(
    ("changes", "amplitude"),
    [
        ({}, 1.1386294361119891),  # 0.1 ln 4 + 1
        ({"factor": 1.0}, 1.0),
        ({"attention_factor": 0.7}, 0.7),
        ({"mscale": 1.0, "mscale_all_dim": 0.5}, 1.1386294361119891 / 1.0693147180559945),
    ],
)
def test_yarn_reads_with_its_amplitude(changes, amplitude):
    scaling = from_hugging_face(SMOLLM2 | {"rope_scaling": YARN | changes}).rope_scaling
    assert isinstance(scaling, YarnScaling)
    assert scaling.amplitude == pytest.approx(amplitude, rel=1e-12)
    assert (scaling.fast_turns, scaling.slow_turns, scaling.whole_pairs) == (32.0, 1.0, True)


def test_yarn_without_a_factor_stretches_to_the_whole_length():
    longer = SMOLLM2 | {"rope_scaling": YARN | {"factor": None}, "max_position_embeddings": 65536}
    scaling = from_hugging_face(longer).rope_scaling
    assert scaling.factor == 2.0


def test_windows_of_each_family():
    def windows(**changes):
        return from_hugging_face(SMOLLM2 | {"num_hidden_layers": 4} | changes).windows

    assert windows(model_type="mistral", sliding_window=8) == (8, 8, 8, 8)
    qwen = {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 8}
    assert windows(**qwen, max_window_layers=3) == (0, 0, 0, 8)
    assert windows(**qwen, max_window_layers=4) is None
    assert windows(**qwen | {"use_sliding_window": False}, max_window_layers=0) is None
    layer_types = ["sliding_attention", "full_attention", "full_attention", "sliding_attention"]
    assert windows(**qwen, layer_types=layer_types) == (8, 0, 0, 8)
    smollm3 = {"model_type": "smollm3", "use_sliding_window": True, "sliding_window": 8}
    assert windows(**smollm3) == (0, 0, 0, 8)  # the layer that does not rotate


def test_layers_that_do_not_rotate_come_every_so_often():
    config = from_hugging_face(SMOLLM2 | {"model_type": "smollm3", "num_hidden_layers": 4, "no_rope_layer_interval": 2})
    assert config.rotated == (True, False, True, False)
    assert config.rope_theta == 1e5
    rotating = from_hugging_face(SMOLLM2 | {"model_type": "smollm3", "no_rope_layers": [1] * 30})
    assert rotating.rotated is None


def test_the_kinds_of_layers():
    config = dataclasses.replace(LLAMA, depth=3, windows=(4, 0, 4), rotated=(True, True, False), local_rope_theta=10.0)
    assert config.layer_kinds == (
        LayerKind(window=4, rope="local"),
        LayerKind(window=0, rope="global"),
        LayerKind(window=4, rope="none"),
    )
    assert set(LLAMA.layer_kinds) == {LayerKind(window=0, rope="global")}
    assert set(GPT2.layer_kinds) == {LayerKind(window=0, rope="none")}


def test_a_config_of_some_layers_keeps_what_belongs_to_them():
    config = dataclasses.replace(LLAMA, depth=3, windows=(4, 0, 0), rotated=(True, False, True))
    part = config.with_layers((1, 0))
    assert (part.depth, part.windows, part.rotated) == (2, (0, 4), (False, True))
    plain = config.with_layers((2, 2))
    assert (plain.windows, plain.rotated) == (None, None)


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
        {"rope_scaling": YarnScaling(factor=4.0, original_positions=32, amplitude=1.3, whole_pairs=False)},
        {"activation": "gelu_tanh"},
        {"query_key_value_bias": True, "output_bias": True},
        {"query_key_value_bias": True},
        {"mlp_bias": True},
        {"tied": False},
        {"windows": (4, 4)},
        {"windows": (0, 4)},
        {"windows": (0, 4), "query_key_value_bias": True},
        {"rotated": (False, True)},
        {"rotated": (False, True), "windows": (4, 0), "mlp_bias": True},
        {"query_key_norm": True, "query_key_value_bias": True, "output_bias": True, "windows": (4, 0)},
    ],
    ids=str,
)
def test_writing_and_reading_keeps_each_option(changes):
    config = dataclasses.replace(LLAMA, **changes)
    assert from_hugging_face(to_hugging_face(config)) == config


def test_families():
    assert (family(LLAMA), family(GPT2)) == ("llama", "gpt2")
    assert family(dataclasses.replace(LLAMA, query_key_value_bias=True)) == "qwen2"
    assert family(dataclasses.replace(LLAMA, windows=(4, 4))) == "mistral"
    assert {family(golden_config(name)) for name in NAMES} == set(FAMILIES)


def test_what_transformers_refuses_as_a_llama_is_written_as_a_mistral():
    import transformers
    from huggingface_hub.errors import StrictDataclassClassValidationError

    config = dataclasses.replace(LLAMA, heads=3, kv_heads=3)
    fields = to_hugging_face(config)
    assert fields["model_type"] == "mistral"
    assert transformers.AutoConfig.for_model(**fields).head_dim == config.head_dim
    with pytest.raises(StrictDataclassClassValidationError, match="hidden size"):
        transformers.AutoConfig.for_model(**fields | {"model_type": "llama"})


@pytest.mark.parametrize(
    ("config", "nearest"),
    [
        (dataclasses.replace(LLAMA, norm="layer"), "llama, which has norm='rms'"),
        (dataclasses.replace(LLAMA, output_bias=True), "llama, which has output_bias=False"),
        (dataclasses.replace(LLAMA, query_key_value_bias=True, mlp_bias=True), "llama, which has output_bias=True"),
        (dataclasses.replace(LLAMA, windows=(3, 4)), "llama, which has windows=None"),
        (dataclasses.replace(GPT2, mlp_bias=False), "gpt2, which has mlp_bias=True"),
        (dataclasses.replace(GPT2, kv_heads=2), "gpt2, which has kv_heads=4"),
        (dataclasses.replace(GPT2, head_dim=8), "gpt2, which has head_dim=4"),
        (dataclasses.replace(golden_config("gemma2"), branch_output_norms=False), "gemma2, which has branch_output"),
        (dataclasses.replace(golden_config("gemma2"), heads=3, kv_heads=3), "gemma2, which has a width that its heads"),
    ],
    ids=str,
)
def test_a_combination_that_transformers_does_not_have_is_refused_with_the_nearest(config, nearest):
    with pytest.raises(
        ValueError, match=f"config must match a family that transformers has .*The nearest is {nearest}"
    ):
        to_hugging_face(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "bert"}, "model_type must be one of llama, mistral, .*, gpt2, got 'bert'"),
        ({"model_type": "gemma3"}, "got 'gemma3': it reads images too; its language model alone is 'gemma3_text'"),
        ({"model_type": "phi3"}, "got 'phi3': its projections are fused in unequal parts"),
        ({"quantization_config": {"bits": 4}}, "quantization_config must be None, got {'bits': 4}"),
        ({"hidden_act": "mish"}, "the activation must be one of silu, .*, got 'mish'"),
        ({"rope_scaling": {"rope_type": "longrope"}}, "rope_type must be one of default, linear, llama3, yarn, got"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor must be .*got 0.5"),
        ({"layer_types": ["sliding_attention"] * 30}, "layer_types must all be full_attention for model_type 'llama'"),
        ({"layer_types": ["chunked_attention"] * 30}, "layer_types must name full_attention or sliding_attention for"),
        ({"model_type": "mistral"}, "config.json must have 'sliding_window' for model_type 'mistral'"),
        (
            {"model_type": "mistral", "sliding_window": 8, "layer_types": ["full_attention"] * 30},
            "layer_types must be absent for model_type 'mistral', got",
        ),
        ({"model_type": "qwen2", "layer_types": ["full_attention"]}, "for each of the 30 layers, got \\['full_atten"),
        (
            {"model_type": "qwen2", "layer_types": ["sliding_attention"] * 30, "sliding_window": 8},
            "sliding_window must be a number where layer_types has sliding_attention, got None",
        ),
        ({"model_type": "qwen3"}, "config.json must have 'head_dim' for model_type 'qwen3'"),
        ({"model_type": "smollm3", "no_rope_layers": [1, 0]}, "no_rope_layers must have one value for each of the 30"),
        (
            {"model_type": "gemma", "head_dim": 8, "use_bidirectional_attention": True},
            "use_bidirectional_attention must",
        ),
        ({"model_type": "gemma", "layer_types": ["full_attention"]}, "layer_types must be None, got"),
        ({"model_type": "gemma3_text", "attn_logit_softcapping": 50.0}, "attn_logit_softcapping must be None, got 50"),
        (
            {"model_type": "gemma3_text", "rope_parameters": {"sliding_attention": {"rope_type": "linear"}}},
            "rope_type must be default, got 'linear'",
        ),
        ({"model_type": "gpt2"}, "config.json must have 'n_embd' for model_type 'gpt2'"),
        (
            {"model_type": "gpt2", "scale_attn_weights": False},
            "scale_attn_weights must be True, got False: other values are not supported",
        ),
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
        ({"head_dim": 5}, "head_dim \\* rotary_fraction must be even and at least 2 .* got 5 \\* 1.0, which is 5"),
        ({"head_dim": 6, "rotary_fraction": 0.5}, "got 6 \\* 0.5, which is 3"),
        ({"norm": "layer", "query_key_norm": True}, "query_key_norm must be False where norm is 'layer', got True"),
        ({"windows": (4,)}, "windows must have one value for each of the 2 layers, got 1. Use DecoderConfig.with_lay"),
        ({"rotated": (True,) * 3}, "rotated must have one value for each of the 2 layers, got 3"),
        ({"windows": (4, -1)}, "windows must be at least 0, which is full attention, got .4, -1."),
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
