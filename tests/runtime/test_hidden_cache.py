"""The teacher cache: what goes in comes out, interrupted writing goes on, other inputs are refused."""

import json
import shutil
import types

import ml_dtypes
import numpy as np
import pytest

from jaxkd.runtime.hidden_cache import HiddenCache, HiddenCacheWriter, disk_bytes

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
    cache = writer(tmp_path)
    cache.write(*packed([0, 1]))
    cache.flush()
    with pytest.raises(ValueError, match="differs in dtype"):
        writer(tmp_path, dtype="bfloat16")
    with pytest.raises(ValueError, match="dtype must be one of float32, bfloat16, got 'int4'"):
        writer(tmp_path / "other", dtype="int4")


def test_a_missing_cache_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="teacher_cache must be a folder with a manifest.json"):
        HiddenCache(tmp_path / "nothing", IDENTITY)


def finished(folder, dtype="float32"):
    cache = writer(folder, dtype=dtype)
    cache.write(*packed([0, 1, 2, 3]))
    cache.finish()


def change(path, place, value=None):
    """Flip a bit of a byte of a file's array, or set the rest of the file to `value`."""
    content = bytearray(path.read_bytes())
    place += 128 if path.suffix == ".npy" else 0
    if value is None:
        content[place] ^= 1
    else:
        content[place:] = bytes([value]) * (len(content) - place)
    path.write_bytes(content)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_damaged_rows_are_noticed_when_they_are_read(tmp_path, dtype):
    finished(tmp_path, dtype)
    change(tmp_path / "hidden.npy", 3 * WIDTH * (4 if dtype == "float32" else 2))
    read = HiddenCache(tmp_path, IDENTITY)
    np.testing.assert_allclose(read(0), hiddens()[0], rtol=1e-2)
    with pytest.raises(
        ValueError, match=rf"{tmp_path}/hidden\.npy must be as it was written, got rows of example 1 that"
    ):
        read(1)
    with pytest.raises(ValueError, match=rf"It is damaged: remove {tmp_path} and run its stage again"):
        read(1)


def test_a_zeroed_half_is_noticed(tmp_path):
    finished(tmp_path)
    change(tmp_path / "hidden.npy", sum(SIZES) * WIDTH * 2, value=0)
    read = HiddenCache(tmp_path, IDENTITY)
    with pytest.raises(ValueError, match=r"hidden\.npy must be as it was written"):
        [read(index) for index in range(len(SIZES))]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("offsets.npy", r"offsets\.npy must be as it was written, got offsets that differ"),
        ("checksums.npy", r"hidden\.npy must be as it was written, got rows of example 0"),
    ],
)
def test_damage_to_the_small_files_is_noticed(tmp_path, name, message):
    finished(tmp_path)
    change(tmp_path / name, 0)
    with pytest.raises(ValueError, match=message):
        HiddenCache(tmp_path, IDENTITY)(0)


@pytest.mark.parametrize("name", ["hidden.npy", "offsets.npy", "checksums.npy"])
@pytest.mark.parametrize("size", [0, 100, -1])
def test_a_truncated_file_is_noticed_when_a_cache_is_opened_and_resumed(tmp_path, name, size):
    finished(tmp_path / "whole")
    begun = writer(tmp_path / "parts")
    begun.write(*packed([2, 0]))
    begun.flush()
    for folder, opened in (("whole", lambda path: HiddenCache(path, IDENTITY)), ("parts", writer)):
        path = tmp_path / folder / name
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(
            ValueError, match=rf"{folder}/{name} must be as it was written, got a file that cannot be read"
        ):
            opened(tmp_path / folder)


def test_damage_to_an_unfinished_cache_is_noticed_before_the_rest_is_made(tmp_path):
    begun = writer(tmp_path)
    begun.write(*packed([2, 0]))
    begun.flush()
    begun.write(*packed([3, 1]))  # never flushed: what becomes of it does not matter
    change(tmp_path / "hidden.npy", 3 * WIDTH * 4)
    writer(tmp_path)
    change(tmp_path / "hidden.npy", 0)
    with pytest.raises(ValueError, match=r"hidden\.npy must be as it was written, got rows of example 0"):
        writer(tmp_path)


def test_rows_that_were_never_written_are_noticed(tmp_path):
    cache = writer(tmp_path)
    cache.write(*packed([0, 2]))
    cache.finish()
    with pytest.raises(ValueError, match="got rows of example 1 that differ"):
        HiddenCache(tmp_path, IDENTITY)(1)


def test_a_cache_without_a_finished_batch_is_begun_anew(tmp_path):
    writer(tmp_path)
    cache = HiddenCacheWriter(tmp_path, IDENTITY | {"data": "corrected"}, sizes=SIZES, width=WIDTH, dtype="bfloat16")
    cache.write(*packed([0, 1, 2, 3]))
    cache.finish()
    assert HiddenCache(tmp_path, IDENTITY | {"data": "corrected"})(0).shape == (3, WIDTH)


def test_a_cache_has_its_disk_from_the_start(tmp_path, monkeypatch):
    sizes = {"sizes": (1000,) * 4, "width": 100}
    writer(tmp_path / "cache", **sizes)
    assert (tmp_path / "cache/hidden.npy").stat().st_blocks * 512 >= disk_bytes((1000,) * 4, width=100, dtype="float32")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=1_000_000))
    with pytest.raises(OSError, match=r"the disk must have 0\.0015\d* GB free .* got 0\.001 GB"):
        writer(tmp_path / "full", **sizes)
    assert not (tmp_path / "full/hidden.npy").exists()


def test_a_cache_of_an_older_version_is_read_with_a_warning(tmp_path, caplog):
    finished(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["offsets_checksum"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "checksums.npy").unlink()
    np.testing.assert_array_equal(HiddenCache(tmp_path, IDENTITY)(2), hiddens()[2])
    assert "was made by an older version, without checksums" in caplog.text
