import json

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from jaxkd.models.checkpoints.weight_files import Tensor, new_folder, tensor, write, write_file

TENSORS = {
    "one": np.arange(6, dtype=np.float32).reshape(2, 3),
    "two": np.arange(4).astype(ml_dtypes.bfloat16),
    "three": np.asfortranarray(np.arange(8.0).reshape(4, 2)),
    "scalar": np.array(3.0, np.float32),
}


def test_a_file_reads_back_equal_and_names_its_format(tmp_path):
    write_file(tmp_path / "a.safetensors", {name: tensor(value) for name, value in TENSORS.items()})
    read = load_file(tmp_path / "a.safetensors")
    assert read.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert read[name].dtype == value.dtype
        np.testing.assert_array_equal(read[name], value)
    with safe_open(tmp_path / "a.safetensors", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}


def test_files_are_filled_in_order_and_named_by_an_index(tmp_path):
    tensors = {name: tensor(np.full(size, size, np.float32)) for name, size in zip("abcd", (2, 3, 9, 1), strict=True)}
    write(tmp_path, tensors, max_shard_bytes=20)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    files = [f"model-0000{number}-of-00003.safetensors" for number in (1, 1, 2, 3)]
    assert index == {"metadata": {"total_size": 60}, "weight_map": dict(zip("abcd", files, strict=True))}
    for name, file in index["weight_map"].items():
        np.testing.assert_array_equal(load_file(tmp_path / file)[name], tensors[name].values())


def test_a_checkpoint_that_fits_is_one_file(tmp_path):
    write(tmp_path, {"a": tensor(np.ones(5, np.float32))}, max_shard_bytes=20)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_values_that_were_not_announced_are_refused(tmp_path):
    wrong = Tensor(shape=(3,), dtype=np.dtype(np.float32), values=lambda: np.ones(4, np.float32))
    with pytest.raises(ValueError, match=r"one must be float32\[3\] as announced, got float32\[4\]"):
        write_file(tmp_path / "a.safetensors", {"one": wrong})


def test_a_new_folder_appears_whole_or_not_at_all(tmp_path):
    with new_folder(tmp_path / "good") as folder:
        (folder / "file").touch()
        assert not (tmp_path / "good").exists()
    assert [path.name for path in (tmp_path / "good").iterdir()] == ["file"]
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "bad") as folder:
        (folder / "file").touch()
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["good"]
    with pytest.raises(ValueError, match="folder must be new or empty, got .*good, which has contents"):
        new_folder(tmp_path / "good").__enter__()
