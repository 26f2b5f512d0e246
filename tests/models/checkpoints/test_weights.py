import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxkd.models.checkpoints.weights import Weights, files

ONE, TWO = np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(4).astype(ml_dtypes.bfloat16)


@pytest.fixture
def sharded(tmp_path):
    save_file({"one": ONE}, tmp_path / "model-1-of-2.safetensors")
    save_file({"two": TWO}, tmp_path / "model-2-of-2.safetensors")
    index = {"weight_map": {"one": "model-1-of-2.safetensors", "two": "model-2-of-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    return tmp_path


def test_shards_read_as_one(sharded):
    weights = Weights(sharded)
    assert weights.names() == {"one", "two"}
    np.testing.assert_array_equal(weights.mapped("one"), ONE)
    assert weights.mapped("two").dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(weights.mapped("two"), TWO)


def test_a_tensor_of_integers_is_refused(tmp_path):
    save_file({"one": ONE.astype(np.int8)}, tmp_path / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"one must be of F64, F32, F16, BF16, got I8 in .* The checkpoint is quantised"
    ):
        Weights(tmp_path).mapped("one")


def test_a_missing_shard_is_named(sharded):
    (sharded / "model-2-of-2.safetensors").unlink()
    with pytest.raises(ValueError, match=r"the 2 shards that .* names, it lacks model-2-of-2\.safetensors"):
        files(sharded)


def test_a_folder_without_weights_says_what_it_holds(tmp_path):
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(ValueError, match=r"must hold model\.safetensors or .*, found: pytorch_model\.bin"):
        files(tmp_path)
    with pytest.raises(ValueError, match="found: no such folder"):
        files(tmp_path / "missing")


@pytest.mark.parametrize("size", [0, 5, 40, 95])
def test_a_file_that_was_cut_off_is_refused(tmp_path, size):
    path = tmp_path / "model.safetensors"
    save_file({"one": ONE}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    with pytest.raises(ValueError, match=rf"model\.safetensors must have \d+ bytes by its own header, it has {size}"):
        Weights(tmp_path)


def test_a_pointer_in_place_of_the_weights_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ValueError, match="is a Git LFS pointer in place of the weights"):
        Weights(tmp_path)
