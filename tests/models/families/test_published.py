"""Each published config reads, in both spellings, to an architecture of the size that the model has."""

import copy

import pytest

from jaxkd.models import Llama3Scaling
from jaxkd.models.checkpoints.config import family, from_hugging_face, to_hugging_face
from jaxkd.models.transformer import decoder
from tests.models.families.published import PUBLISHED


@pytest.fixture(params=PUBLISHED)
def name(request):
    return request.param


@pytest.fixture
def mapping(name):
    return copy.deepcopy(PUBLISHED[name][0])


def test_the_size_is_the_known_one(name, mapping):
    assert decoder.parameter_count(from_hugging_face(mapping)) == PUBLISHED[name][1]


def test_transformers_five_spells_the_same_architecture(mapping):
    from transformers import AutoConfig

    config = from_hugging_face(mapping)
    assert from_hugging_face(AutoConfig.for_model(**mapping).to_dict()) == config


def test_what_we_write_reads_back_in_both_spellings(mapping):
    from transformers import AutoConfig

    config = from_hugging_face(mapping)
    written = to_hugging_face(config)
    assert from_hugging_face(copy.deepcopy(written)) == config
    assert from_hugging_face(AutoConfig.for_model(**written).to_dict()) == config


def test_the_class_and_the_type_stay(name, mapping):
    written = to_hugging_face(from_hugging_face(mapping))
    for field in ("model_type", "architectures"):
        assert written[field] == mapping[field]
    assert family(from_hugging_face(mapping)) == mapping["model_type"]


def test_a_cut_model_is_written_and_read_back(mapping):
    config = from_hugging_face(mapping).with_layers((0, 3, 5))
    assert from_hugging_face(to_hugging_face(config)) == config


def test_what_each_model_is_known_for():
    configs = {name: from_hugging_face(mapping) for name, (mapping, _) in PUBLISHED.items()}
    assert configs["Llama-3.2-1B"].rope_scaling == Llama3Scaling(
        factor=32.0, low_frequency_factor=1.0, high_frequency_factor=4.0, original_positions=8192
    )
    assert configs["Mistral-7B-v0.1"].windows == (4096,) * 32
    assert configs["Qwen2.5-0.5B"].windows is None
    assert (configs["Qwen3-0.6B"].head_dim, configs["Qwen3-0.6B"].query_key_norm) == (128, True)
    assert configs["SmolLM3-3B"].rotated == (True, True, True, False) * 9
    assert configs["gemma-2b"].activation == "gelu_tanh"
    assert configs["gemma-2-2b"].windows == (4096, 0) * 13
    assert (configs["gemma-2-2b"].attention_softcap, configs["gemma-2-2b"].logit_softcap) == (50.0, 30.0)
    assert configs["gemma-3-270m"].windows == (*(512,) * 5, 0) * 3
    assert (configs["gemma-3-270m"].rope_theta, configs["gemma-3-270m"].local_rope_theta) == (1e6, 1e4)
    assert (configs["pythia-160m"].rotary_dim, configs["pythia-160m"].head_dim) == (16, 64)
    assert all(config.score_dim is None for config in configs.values())
