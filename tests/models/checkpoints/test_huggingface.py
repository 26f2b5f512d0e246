import dataclasses
import json

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from jaxkd import sharding
from jaxkd.models import LoRA, Pretrained
from jaxkd.models.checkpoints import config as model_config
from jaxkd.models.checkpoints import huggingface
from jaxkd.models.transformer import decoder
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import make
from jaxkd.tokenizers import loading
from tests.assets import tiny_tokenizer_fields, write_tiny_gguf
from tests.models import tiny


@pytest.fixture
def llama(tmp_path):
    return tiny.write_golden("llama", tmp_path / "llama")


def rewrite(folder, change):
    tensors = load_file(folder / "model.safetensors")
    save_file(change(tensors), folder / "model.safetensors")


@pytest.mark.parametrize("name", tiny.NAMES)
def test_loading_gives_the_declared_shapes_on_the_host(name, tmp_path):
    config = tiny.golden_config(name)
    params = huggingface.load(tiny.write_golden(name, tmp_path), config)
    assert all(type(leaf) is np.ndarray and leaf.dtype == np.float32 for leaf in jax.tree.leaves(params))
    shapes = jax.tree.map(lambda leaf: leaf.shape, decoder.abstract(config))
    assert jax.tree.map(lambda leaf: leaf.shape, params) == shapes


def test_loading_some_layers_casts_and_orders_them(llama):
    config = model_config.read(llama)
    whole = huggingface.load(llama, config)
    some = huggingface.load(llama, config, layers=(1, 0), dtype=ml_dtypes.bfloat16)
    expected = jax.tree.map(lambda leaf: leaf[[1, 0]].astype(ml_dtypes.bfloat16), whole["blocks"])
    jax.tree.map(np.testing.assert_array_equal, some["blocks"], expected)
    assert some["embedding"].dtype == ml_dtypes.bfloat16
    with pytest.raises(ValueError, match=r"layers must be between 0 and 1, got \[2\]"):
        huggingface.load(llama, config, layers=(2,))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *((name, {"data": 2, "fsdp": 2, "tensor": 2}) for name in tiny.FAMILIES),
        ("llama", {"data": 1}),
        ("gemma3", {"data": 1, "fsdp": 8}),
        ("gpt2", {"data": 1, "fsdp": 8}),
    ],
    ids=str,
)
def test_each_device_gets_its_part(name, shape, tmp_path):
    folder = tiny.write_golden(name, tmp_path)
    config = model_config.read(folder)
    whole = huggingface.load(folder, config)
    with jax.set_mesh(make(MeshShape(**shape))):
        target = sharding.with_shardings(decoder.abstract(config), decoder.logical_axes(config))
        placed = huggingface.load_sharded(folder, config, target)
    jax.tree.map(np.testing.assert_array_equal, placed, whole)
    jax.tree.map(lambda leaf, described: leaf.sharding == described.sharding or pytest.fail(), placed, target)


def test_without_a_target_everything_goes_to_the_default_device(llama):
    config = model_config.read(llama)
    placed = huggingface.load_sharded(llama, config, layers=(1,))
    jax.tree.map(np.testing.assert_array_equal, placed, huggingface.load(llama, config, layers=(1,)))
    assert {device for leaf in jax.tree.leaves(placed) for device in leaf.devices()} == {jax.devices()[0]}


def test_a_target_names_what_is_read_and_its_dtype(llama):
    config = model_config.read(llama)
    whole = huggingface.load(llama, config, layers=(1, 0))
    described = decoder.abstract(config, jnp.bfloat16)
    part = huggingface.load_sharded(
        llama, config, {"head": described["head"], "blocks": {"mlp": described["blocks"]["mlp"]}}, layers=(1, 0)
    )
    assert part.keys() == {"head", "blocks"}
    expected = {"head": whole["head"], "blocks": {"mlp": whole["blocks"]["mlp"]}}
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b.astype(jnp.bfloat16)), part, expected)


@pytest.mark.parametrize("stored", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_files_of_any_float_are_read(llama, stored):
    config = model_config.read(llama)
    whole = huggingface.load(llama, config)
    rewrite(llama, lambda tensors: {key: value.astype(stored) for key, value in tensors.items()})
    rounded = jax.tree.map(lambda leaf: leaf.astype(stored).astype(np.float32), whole)
    jax.tree.map(np.testing.assert_array_equal, huggingface.load(llama, config), rounded)
    jax.tree.map(np.testing.assert_array_equal, huggingface.load_sharded(llama, config), rounded)


def test_what_is_kept_takes_the_place_of_what_was_read(llama):
    config = model_config.read(llama)
    seen = huggingface.load_sharded(llama, config, keep=lambda path, parameter: (path, parameter.shape))
    assert seen["blocks"]["mlp"]["up"]["kernel"] == ("blocks.mlp.up.kernel", (2, 16, 24))


def test_a_target_of_other_layers_is_refused(llama):
    config = model_config.read(llama)
    with pytest.raises(ValueError, match=r"target must have one row a layer, got 2 rows in blocks\..* for 1 layers"):
        huggingface.load_sharded(llama, config, decoder.abstract(config), layers=(0,))


@pytest.mark.parametrize(("name", "prefix"), [("llama_tied", "model."), ("gpt2", "transformer.")])
def test_a_checkpoint_of_the_base_model_loads_too(name, prefix, tmp_path):
    folder = tiny.write_golden(name, tmp_path)
    config = model_config.read(folder)
    whole = huggingface.load(folder, config)
    rewrite(folder, lambda tensors: {key.removeprefix(prefix): value for key, value in tensors.items()})
    jax.tree.map(np.testing.assert_array_equal, huggingface.load(folder, config), whole)


def test_buffers_of_old_checkpoints_are_no_parameters(tmp_path):
    folder = tiny.write_golden("gpt2", tmp_path)
    mask = {"transformer.h.0.attn.bias": np.ones((1, 1, 64, 64), np.float32)}
    rewrite(folder, lambda tensors: tensors | mask)
    huggingface.load(folder, model_config.read(folder))


def test_a_missing_tensor_is_named(llama):
    name = "model.layers.1.mlp.up_proj.weight"
    rewrite(llama, lambda tensors: {key: value for key, value in tensors.items() if key != name})
    with pytest.raises(ValueError, match=r"must hold the 21 tensors .* it lacks 1, such as model\.layers\.1\.mlp\.up"):
        huggingface.load(llama, model_config.read(llama))


def test_a_tensor_that_would_not_be_applied_is_refused(llama):
    extra = {"model.layers.0.self_attn.q_norm.weight": np.ones(6, np.float32)}
    rewrite(llama, lambda tensors: tensors | extra)
    with pytest.raises(ValueError, match=r"it also has 1 others, such as model\.layers\.0\.self_attn\.q_norm"):
        huggingface.load(llama, model_config.read(llama))


def test_another_shape_is_refused_with_both_shapes(llama):
    config = dataclasses.replace(model_config.read(llama), mlp_width=32)
    with pytest.raises(ValueError, match=r"down_proj\.weight must have the shape \(16, 32\) .*, got \(16, 24\)"):
        huggingface.load(llama, config)


@pytest.mark.parametrize("name", tiny.NAMES)
def test_saving_and_loading_gives_the_same_bits_and_names(name, tmp_path):
    folder = tiny.write_golden(name, tmp_path / "theirs")
    config = model_config.read(folder)
    params = huggingface.load(folder, config)
    huggingface.save(tmp_path / "ours", config, params)
    assert model_config.read(tmp_path / "ours") == config
    jax.tree.map(np.testing.assert_array_equal, huggingface.load(tmp_path / "ours", config), params)
    written, original = (load_file(path / "model.safetensors") for path in (tmp_path / "ours", folder))
    assert written.keys() == original.keys()
    for key, value in original.items():
        np.testing.assert_array_equal(written[key], value)
    with safe_open(tmp_path / "ours" / "model.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}, "transformers refuses a file without it"


def test_saving_keeps_the_dtype_and_takes_device_arrays(tmp_path):
    config = tiny.LLAMA
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf.astype(jnp.bfloat16)), tiny.random_params(config))
    huggingface.save(tmp_path / "new", config, params)
    assert json.loads((tmp_path / "new" / "config.json").read_text())["dtype"] == "bfloat16"
    read = huggingface.load(tmp_path / "new", config, dtype=ml_dtypes.bfloat16)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, np.asarray(b)), read, params)


def test_saving_with_a_tokenizer_writes_all_that_generation_needs(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXKD_CACHE", str(tmp_path / "cache"))
    source = Pretrained(path=str(write_tiny_gguf(tmp_path / "tiny.gguf")))
    tokenizer = source.tokenizer()
    huggingface.save(tmp_path / "new", source.config(), source.load(), tokenizer=tokenizer)
    exported = Pretrained(path=str(tmp_path / "new"))
    again = exported.tokenizer()
    messages = [{"role": "user", "content": "the  42"}]
    assert again.apply_chat_template(messages)["input_ids"] == tokenizer.apply_chat_template(messages)["input_ids"]
    for name in ("config.json", "generation_config.json"):
        mapping = json.loads((tmp_path / "new" / name).read_text())
        assert (mapping["bos_token_id"], mapping["eos_token_id"], mapping["pad_token_id"]) == (1, 2, 2)
    jax.tree.map(np.testing.assert_array_equal, exported.load(), source.load())


def test_a_tied_checkpoint_may_repeat_its_embedding_and_nothing_else(tmp_path):
    folder = tiny.write_golden("llama_tied", tmp_path)
    config = model_config.read(folder)
    rewrite(folder, lambda tensors: tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"]})
    huggingface.load(folder, config)
    rewrite(folder, lambda tensors: tensors | {"lm_head.weight": 2 * tensors["model.embed_tokens.weight"]})
    with pytest.raises(
        ValueError, match=r"lm_head\.weight must equal the embedding, since .* tie_word_embeddings to false"
    ):
        huggingface.load(folder, config)


def test_an_untied_checkpoint_without_a_head_is_explained(llama):
    rewrite(llama, lambda tensors: {key: value for key, value in tensors.items() if key != "lm_head.weight"})
    with pytest.raises(ValueError, match=r"must hold lm_head\.weight, since .* set tie_word_embeddings to true there"):
        huggingface.load(llama, model_config.read(llama))


@pytest.mark.parametrize("name", tiny.FAMILIES)
def test_shards_hold_the_same_as_one_file(name, tmp_path):
    folder = tiny.write_golden(name, tmp_path / "theirs")
    config = model_config.read(folder)
    params = huggingface.load(folder, config)
    huggingface.save(tmp_path / "ours", config, params, max_shard_bytes=4096)
    assert len(list((tmp_path / "ours").glob("model-*-of-*.safetensors"))) > 2
    assert not (tmp_path / "ours" / "model.safetensors").exists()
    jax.tree.map(np.testing.assert_array_equal, huggingface.load(tmp_path / "ours", config), params)


def test_saving_casts_where_a_dtype_is_named(llama, tmp_path):
    config = model_config.read(llama)
    params = huggingface.load(llama, config)
    huggingface.save(tmp_path / "new", config, params, dtype=ml_dtypes.bfloat16)
    assert {tensor.dtype for tensor in load_file(tmp_path / "new" / "model.safetensors").values()} == {
        np.dtype(ml_dtypes.bfloat16)
    }
    read = huggingface.load(tmp_path / "new", config, dtype=ml_dtypes.bfloat16)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b.astype(ml_dtypes.bfloat16)), read, params)


def test_saving_takes_the_source_s_settings_over(llama, tmp_path):
    config = model_config.read(llama)
    settings = {"eos_token_id": [2, 7], "temperature": 0.6, "do_sample": True}
    (llama / "generation_config.json").write_text(json.dumps(settings))
    (llama / "tokenizer.model").write_bytes(b"pieces")
    tokenizer = loading.from_gguf(tiny_tokenizer_fields())
    huggingface.save(tmp_path / "new", config, huggingface.load(llama, config), tokenizer=tokenizer, source=llama)
    assert json.loads((tmp_path / "new" / "generation_config.json").read_text()) == settings
    assert (tmp_path / "new" / "tokenizer.model").read_bytes() == b"pieces"


def test_saving_adapters_as_a_model_is_refused(tmp_path):
    config = dataclasses.replace(tiny.LLAMA, lora=LoRA(rank=2))
    with pytest.raises(
        ValueError, match=r"must be those of a llama model, got blocks\.attention\.query\.lora\.a, which"
    ):
        huggingface.save(tmp_path / "new", config, tiny.random_params(config))


def test_saving_into_a_folder_with_contents_is_refused(tmp_path):
    (tmp_path / "precious").touch()
    with pytest.raises(ValueError, match=r"folder must be new or empty, got .*, which has contents"):
        huggingface.save(tmp_path, tiny.LLAMA, tiny.random_params(tiny.LLAMA))


def test_an_interrupted_save_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxkd.models.checkpoints.weight_files.write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        huggingface.save(tmp_path / "new", tiny.LLAMA, tiny.random_params(tiny.LLAMA))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", tiny.NAMES)
@pytest.mark.parametrize("max_shard_bytes", [huggingface.MAX_SHARD_BYTES, 4096])
def test_transformers_loads_what_we_save_and_computes_the_same(name, max_shard_bytes, tmp_path):
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    config = tiny.golden_config(name)
    params = tiny.random_params(config, seed=7)
    huggingface.save(tmp_path / "new", config, params, max_shard_bytes=max_shard_bytes)
    model, report = AutoModelForCausalLM.from_pretrained(tmp_path / "new", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert model.dtype == torch.float32
    tokens = tiny.random_tokens(config, 2, 11)
    with torch.no_grad():
        expected = model.eval()(torch.from_numpy(tokens).long()).logits.numpy()
    np.testing.assert_allclose(tiny.logits(config, params, tokens), expected, atol=5e-5)


@pytest.mark.slow
def test_smollm2_equals_transformers(smollm2_folder):
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    model = Pretrained(path=str(smollm2_folder))
    tokens = np.asarray([model.tokenizer()("def add(a, b):\n    return a + b\n")["input_ids"]], np.int32)
    with torch.no_grad():
        expected = AutoModelForCausalLM.from_pretrained(smollm2_folder)(torch.from_numpy(tokens).long()).logits.numpy()
    ours = np.asarray(tiny.logits(model.config(), model.load(), tokens))
    np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())
