"""Adapters in PEFT's files, merged there by PEFT's own formula."""

import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxkd.models import LoRA
from jaxkd.models.checkpoints import huggingface, peft
from jaxkd.models.transformer import lora
from tests.models import tiny

EVERY = LoRA(rank=2, alpha=6.0, dropout=0.1, targets=(".",))


def merged_files(folder, adapter):
    """Add (alpha / r) B A to each weight that the adapter names: what PEFT's `merge_and_unload` computes."""
    config = json.loads((adapter / "adapter_config.json").read_text())
    matrices, weights = load_file(adapter / "adapter_model.safetensors"), load_file(folder / "model.safetensors")

    def option(name, module):
        patterns = config["rank_pattern" if name == "r" else "alpha_pattern"]
        found = [value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", module)]
        return found[0] if found else config[name]

    for name, a in matrices.items():
        if "lora_A" not in name:
            continue
        module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        assert any(module.endswith(f".{target}") for target in config["target_modules"]), module
        rank, alpha = option("r", module), option("lora_alpha", module)
        assert a.shape[0] == rank
        product = alpha / rank * matrices[name.replace("lora_A", "lora_B")] @ a
        weights[f"{module}.weight"] = weights[f"{module}.weight"] + (product.T if config["fan_in_fan_out"] else product)
    return weights


def saved(name, tmp_path, options):
    """A golden checkpoint with random adapters: the config, all parameters, and both folders."""
    config = dataclasses.replace(tiny.golden_config(name), lora=options)
    params = tiny.random_params(config)
    base, adapters = lora.split(params)
    huggingface.save(tmp_path / "base", dataclasses.replace(config, lora=None), base)
    peft.save(tmp_path / "adapter", config, adapters, base="owner/name")
    return config, params


@pytest.mark.parametrize("targets", [(".",), (r"attention\.(query|value)",), (r"attention\.key", "down")])
@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma2", "gpt2", "gpt_neox"])
def test_merging_the_files_gives_the_merged_model(name, targets, tmp_path):
    config, params = saved(name, tmp_path, dataclasses.replace(EVERY, targets=targets))
    save_file(merged_files(tmp_path / "base", tmp_path / "adapter"), tmp_path / "base" / "model.safetensors")
    found = huggingface.load(tmp_path / "base", dataclasses.replace(config, lora=None))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, lora.merge(params, config.lora))


def test_the_config_names_modules_as_the_checkpoint_does(tmp_path):
    saved("llama", tmp_path, LoRA(rank=4, alpha=8.0, dropout=0.05))
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text()) == {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "owner/name",
        "r": 4,
        "lora_alpha": 8.0,
        "lora_dropout": 0.05,
        "target_modules": ["self_attn.q_proj", "self_attn.v_proj"],
        "rank_pattern": {},
        "alpha_pattern": {},
        "fan_in_fan_out": False,
        "bias": "none",
        "inference_mode": True,
    }
    shapes = {
        name: value.shape for name, value in load_file(tmp_path / "adapter" / "adapter_model.safetensors").items()
    }
    module = "base_model.model.model.layers.1.self_attn.v_proj"
    assert (shapes[f"{module}.lora_A.weight"], shapes[f"{module}.lora_B.weight"]) == ((4, 16), (12, 4))
    assert len(shapes) == 8


def test_parts_of_one_tensor_share_an_adapter_of_their_ranks_together(tmp_path):
    saved("gpt2", tmp_path, LoRA(rank=4, alpha=8.0))
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["target_modules"] == ["attn.c_attn"]
    assert (config["rank_pattern"], config["alpha_pattern"]) == ({"attn.c_attn": 8}, {"attn.c_attn": 16.0})
    assert config["fan_in_fan_out"]


def test_adapters_on_devices_are_written_as_the_dtype_asked_for(tmp_path):
    config = dataclasses.replace(tiny.LLAMA, lora=EVERY)
    adapters = jax.tree.map(jnp.asarray, lora.split(tiny.random_params(config))[1])
    peft.save(tmp_path / "adapter", config, adapters, base="base", dtype=ml_dtypes.bfloat16)
    written = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert {value.dtype for value in written.values()} == {np.dtype(ml_dtypes.bfloat16)}


def test_a_model_without_adapters_has_none_to_save(tmp_path):
    with pytest.raises(ValueError, match="config must have lora to save adapters, got None. Save the whole model"):
        peft.save(tmp_path / "adapter", tiny.LLAMA, {}, base="base")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox"])
def test_torch_computes_the_same_with_the_files_merged_by_hand(name, tmp_path):
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    config, params = saved(name, tmp_path, EVERY)
    weights = merged_files(tmp_path / "base", tmp_path / "adapter")
    save_file(weights, tmp_path / "base" / "model.safetensors", metadata={"format": "pt"})
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    tokens = tiny.random_tokens(config, 2, 9)
    with torch.no_grad():
        expected = model.eval()(torch.from_numpy(tokens).long()).logits.numpy()
    np.testing.assert_allclose(tiny.logits(config, params, tokens), expected, atol=2e-4)
