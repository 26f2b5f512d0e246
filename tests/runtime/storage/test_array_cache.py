"""Arrays by example: what goes in comes out, interrupted writing goes on, other inputs and damage are refused."""

import shutil
import types

import ml_dtypes
import numpy as np
import pytest

from jaxkd.runtime.hidden_cache import HiddenCacheWriter
from jaxkd.runtime.storage.array_cache import ArrayCache, ArrayCacheWriter, StoredArray, disk_bytes

IDENTITY = {"teacher": "t", "data": "d"}
ARRAYS = {
    "world": StoredArray(shape=(3, 2)),
    "presence": StoredArray(shape=(), dtype="float16"),
    "mask": StoredArray(shape=(4,), dtype="bfloat16"),
}
EXAMPLES = 5


def values(indices):
    drawn = np.random.default_rng(0).normal(size=(EXAMPLES, 11)).astype(np.float32)[list(indices)]
    return {"world": drawn[:, :6].reshape(-1, 3, 2), "presence": drawn[:, 6], "mask": drawn[:, 7:]}


def writer(folder, identity=IDENTITY, **changes):
    return ArrayCacheWriter(folder, identity, **{"examples": EXAMPLES, "arrays": ARRAYS} | changes)


def write(cache, *indices):
    cache.write(np.array(indices), values([max(index, 0) for index in indices]))


def finished(folder):
    cache = writer(folder)
    write(cache, 3, 0, 4)
    write(cache, 1, 2, -1)
    cache.finish()


def test_round_trip_whatever_the_order(tmp_path):
    finished(tmp_path)
    cache, expected = ArrayCache(tmp_path, IDENTITY), values(range(EXAMPLES))
    assert cache.examples == EXAMPLES
    for index in range(EXAMPLES):
        found = cache(index)
        assert {name: (one.shape, one.dtype) for name, one in found.items()} == {
            name: (array.shape, np.float32) for name, array in ARRAYS.items()
        }
        np.testing.assert_array_equal(found["world"], expected["world"][index])
        np.testing.assert_array_equal(found["presence"], expected["presence"][index].astype(np.float16))
        np.testing.assert_array_equal(found["mask"], expected["mask"][index].astype(ml_dtypes.bfloat16))
    for index in (-1, EXAMPLES):
        with pytest.raises(ValueError, match=rf"the index of an example must be in \[0, 5\), got {index}"):
            cache(index)


def test_an_interrupted_cache_goes_on_and_cannot_be_read_before(tmp_path):
    first = writer(tmp_path)
    write(first, 0, 1)
    first.flush()
    write(first, 2, 3)  # never flushed: this batch is done again
    with pytest.raises(ValueError, match="must be complete, got 1 batches so far. Run its stage again"):
        ArrayCache(tmp_path, IDENTITY)
    second = writer(tmp_path)
    assert (second.batches_done, second.complete) == (1, False)
    write(second, 2, 3)
    write(second, 4)
    second.finish()
    assert writer(tmp_path).complete
    for index in range(EXAMPLES):
        np.testing.assert_array_equal(ArrayCache(tmp_path, IDENTITY)(index)["world"], values([index])["world"][0])


def test_a_cache_of_something_else_is_refused_and_the_difference_named(tmp_path):
    finished(tmp_path)
    with pytest.raises(ValueError, match="differs in teacher. Use another folder"):
        ArrayCache(tmp_path, IDENTITY | {"teacher": "other"})
    with pytest.raises(ValueError, match="differs in data"):
        writer(tmp_path, IDENTITY | {"data": "other"})
    with pytest.raises(ValueError, match="differs in examples"):
        writer(tmp_path, examples=6)
    with pytest.raises(ValueError, match="differs in arrays"):
        writer(tmp_path, arrays=ARRAYS | {"mask": StoredArray(shape=(4,))})
    with pytest.raises(FileNotFoundError, match="teacher_cache must be a folder with a manifest.json"):
        ArrayCache(tmp_path / "nothing", IDENTITY)


def test_hidden_states_are_not_arrays(tmp_path):
    cache = HiddenCacheWriter(tmp_path, IDENTITY, sizes=(1,), width=2, dtype="float32")
    cache.write(np.array([[0]]), np.zeros((1, 1, 2), np.float32))
    cache.finish()
    with pytest.raises(ValueError, match="must hold arrays by example, got hidden states. Open a HiddenCache"):
        ArrayCache(tmp_path, IDENTITY)
    with pytest.raises(ValueError, match="differs in examples, arrays"):
        writer(tmp_path)


@pytest.mark.parametrize("name", ["world.npy", "presence.npy", "mask.npy", "world.checksums.npy"])
def test_damage_and_truncation_are_noticed(tmp_path, name):
    finished(tmp_path)
    path = tmp_path / name
    content = bytearray(path.read_bytes())
    content[128] ^= 1
    path.write_bytes(content)
    array = name.partition(".")[0]
    with pytest.raises(ValueError, match=rf"{array}\.npy must be as it was written, got rows of example 0 that differ"):
        ArrayCache(tmp_path, IDENTITY)(0)
    path.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=rf"{name} must be as it was written, got a file that cannot be read"):
        ArrayCache(tmp_path, IDENTITY)


def test_what_was_never_written_is_noticed(tmp_path):
    cache = writer(tmp_path)
    write(cache, 0, 1, 3)
    cache.finish()
    with pytest.raises(ValueError, match="got rows of example 2 that differ"):
        ArrayCache(tmp_path, IDENTITY)(2)


def test_damage_to_an_unfinished_cache_is_noticed_before_the_rest_is_made(tmp_path):
    cache = writer(tmp_path)
    write(cache, 0, 1)
    cache.flush()
    path = tmp_path / "mask.npy"
    content = bytearray(path.read_bytes())
    content[128] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"mask\.npy must be as it was written, got rows of example 0"):
        writer(tmp_path)


def test_wrong_batches_are_refused(tmp_path):
    cache = writer(tmp_path)
    with pytest.raises(ValueError, match=r"values must have the shapes \{'world': \(2, 3, 2\), .* got \{'world'"):
        cache.write(np.array([0, 1]), values([0, 1, 2]))
    with pytest.raises(ValueError, match=r"the index of an example must be in \[0, 5\), got 5"):
        cache.write(np.array([0, 5]), values([0, 1]))


def test_wrong_descriptions_are_refused(tmp_path):
    with pytest.raises(ValueError, match="dtype must be one of float32, float16, bfloat16, got 'int4'"):
        StoredArray(shape=(), dtype="int4")
    with pytest.raises(ValueError, match=r"shape must have positive lengths, got \(3, 0\)"):
        StoredArray(shape=(3, 0))
    for changes in ({"examples": 0}, {"arrays": {}}):
        with pytest.raises(ValueError, match="examples and arrays must be at least one each, got"):
            writer(tmp_path, **changes)
    with pytest.raises(ValueError, match=r"arrays must have names that are Python identifiers, got '\.\./mask'"):
        writer(tmp_path, arrays={"../mask": StoredArray(shape=())})


def test_a_cache_has_its_disk_from_the_start(tmp_path, monkeypatch):
    arrays = {"world": StoredArray(shape=(100, 10))}
    assert disk_bytes(1000, arrays) == 4_000_000
    assert disk_bytes(EXAMPLES, ARRAYS) == EXAMPLES * (24 + 2 + 8)
    writer(tmp_path / "cache", examples=1000, arrays=arrays)
    assert (tmp_path / "cache/world.npy").stat().st_blocks * 512 >= 4_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=1_000_000))
    with pytest.raises(OSError, match=r"the disk must have 0\.00\d* GB free .* got 0\.001 GB"):
        writer(tmp_path / "full", examples=1000, arrays=arrays)
