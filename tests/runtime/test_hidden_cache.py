"""The teacher cache: what goes in comes out, interrupted writing goes on, other inputs are refused."""

import ml_dtypes
import numpy as np
import pytest

from jaxkd.runtime.hidden_cache import HiddenCache, HiddenCacheWriter

IDENTITY = {"model": "m", "tokenizer": "t", "data": "d", "template": "c"}
SIZES = (3, 1, 4, 2)
WIDTH = 5


def hiddens():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(size, WIDTH)).astype(np.float32) for size in SIZES]


def packed(examples, rows=4):
    """Examples side by side in one row, as packing leaves them, with padding at the end."""
    ids = np.concatenate([np.full(SIZES[index], index) for index in examples] + [np.full(2, -1)])
    values = np.concatenate([hiddens()[index] for index in examples] + [np.full((2, WIDTH), np.nan, np.float32)])
    return ids[None], values[None]


def writer(folder, **changes):
    options = {"sizes": SIZES, "width": WIDTH, "dtype": "float32"} | changes
    return HiddenCacheWriter(folder, IDENTITY, **options)


def test_round_trip_whatever_the_order(tmp_path):
    cache = writer(tmp_path / "cache")
    cache.write(*packed([2, 0]))
    cache.write(*packed([3, 1]))
    cache.finish()
    read = HiddenCache(tmp_path / "cache", IDENTITY)
    assert read.width == WIDTH
    for index, expected in enumerate(hiddens()):
        np.testing.assert_array_equal(read(index), expected)
        assert read(index).dtype == np.float32


def test_bfloat16_halves_the_file_and_rounds(tmp_path):
    for dtype in ("float32", "bfloat16"):
        cache = writer(tmp_path / dtype, dtype=dtype)
        cache.write(*packed([0, 1, 2, 3]))
        cache.finish()
    sizes = {name: (tmp_path / name / "hidden.npy").stat().st_size - 128 for name in ("float32", "bfloat16")}
    assert sizes["bfloat16"] * 2 == sizes["float32"]
    read = HiddenCache(tmp_path / "bfloat16", IDENTITY)
    np.testing.assert_array_equal(read(2), hiddens()[2].astype(ml_dtypes.bfloat16).astype(np.float32))


def test_an_interrupted_cache_goes_on_and_cannot_be_read_before(tmp_path):
    first = writer(tmp_path)
    first.write(*packed([2, 0]))
    first.flush()
    first.write(*packed([3, 1]))  # never flushed: this batch is done again
    with pytest.raises(ValueError, match=r"must be complete, got 1 batches so far. Run its stage again"):
        HiddenCache(tmp_path, IDENTITY)
    second = writer(tmp_path)
    assert (second.batches_done, second.complete) == (1, False)
    second.write(*packed([3, 1]))
    second.finish()
    assert writer(tmp_path).complete
    for index, expected in enumerate(hiddens()):
        np.testing.assert_array_equal(HiddenCache(tmp_path, IDENTITY)(index), expected)


@pytest.mark.parametrize("name", sorted(IDENTITY))
def test_another_identity_is_refused_and_named(tmp_path, name):
    cache = writer(tmp_path)
    cache.finish()
    with pytest.raises(ValueError, match=rf"differs in {name}. Use another folder"):
        HiddenCache(tmp_path, IDENTITY | {name: "other"})
    with pytest.raises(ValueError, match=rf"differs in {name}"):
        HiddenCacheWriter(tmp_path, IDENTITY | {name: "other"}, sizes=SIZES, width=WIDTH, dtype="float32")


def test_another_dtype_is_refused(tmp_path):
    writer(tmp_path)
    with pytest.raises(ValueError, match="differs in dtype"):
        writer(tmp_path, dtype="bfloat16")
    with pytest.raises(ValueError, match="dtype must be one of float32, bfloat16, got 'int4'"):
        writer(tmp_path / "other", dtype="int4")


def test_a_missing_cache_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="teacher_cache must be a folder with a manifest.json"):
        HiddenCache(tmp_path / "nothing", IDENTITY)
