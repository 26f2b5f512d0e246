"""Checkpoints on a real disk; the process that dies is a real one."""

import logging
import shutil
import signal
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxkd.runtime import checkpoint
from jaxkd.runtime.checkpoint import Checkpoints
from jaxkd.sharding import mesh
from jaxkd.training import Group, Optimizer
from jaxkd.training.optimizer import build
from tests.full_disk import no_file_longer_than


def _arrays(offset=0.0):
    return {
        "params": {"student": {"up": jnp.arange(16.0).reshape(8, 2) + offset, "half": jnp.full(3, 1.1, jnp.bfloat16)}},
        "state": {},
        "nested": {"empty": {}, "count": jnp.int32(7)},
    }


def _abstract(tree):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


def _assert_equal(measured, expected):
    assert jax.tree.structure(measured) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(measured), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_round_trip_keeps_values_dtypes_empty_dicts_and_the_record(tmp_path):
    record = {"examples": 12, "iterator": {"next": [1, 2], "none": None}, "rate": 0.1}
    with Checkpoints(tmp_path / "deep" / "folder") as checkpoints:
        assert checkpoints.latest() is None
        assert checkpoints.best() is None
        checkpoints.save(3, _arrays(), record)
        assert checkpoints.latest() == 3
    with Checkpoints(tmp_path / "deep" / "folder") as checkpoints:
        assert checkpoints.latest() == 3
        arrays, restored = checkpoints.restore(3, _abstract(_arrays()))
        assert checkpoints.record(3) == record
    _assert_equal(arrays, _arrays())
    assert restored == record


def test_optimizer_state_round_trips(tmp_path):
    params = {"student": {"up": jnp.ones((2, 2))}, "projectors": {"up": jnp.ones(3)}, "empty": {}}
    transformation = build(Optimizer(groups=(Group(name="projectors", learning_rate=1.0),)), 5)
    state = jax.jit(transformation.init)(params)
    _, state = jax.jit(transformation.update)(params, state, params)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"params": params, "optimizer": state}, {})
        target = {"params": _abstract(params), "optimizer": jax.eval_shape(transformation.init, params)}
        arrays, _ = checkpoints.restore(1, target)
    _assert_equal(arrays, {"params": params, "optimizer": state})


def test_restore_places_arrays_on_the_shardings_of_the_target(tmp_path):
    saved_on = mesh.make(mesh.MeshShape(data=2, fsdp=4))
    restored_on = mesh.make(mesh.MeshShape(data=4, fsdp=1, tensor=2))
    value = jnp.arange(16.0).reshape(8, 2)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"up": jax.device_put(value, NamedSharding(saved_on, PartitionSpec("fsdp")))}, {})
        wanted = NamedSharding(restored_on, PartitionSpec("data", "tensor"))
        arrays, _ = checkpoints.restore(1, {"up": jax.ShapeDtypeStruct((8, 2), jnp.float32, sharding=wanted)})
    assert arrays["up"].sharding == wanted
    np.testing.assert_array_equal(arrays["up"], value)


def test_donated_arrays_are_saved_as_they_were(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        state = {"up": jnp.arange(1 << 16, dtype=jnp.float32)}
        checkpoints.save(1, state, {})
        changed = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf * 0 - 1, state), donate_argnums=0)(state)
        jax.block_until_ready(changed)
        # Whether the buffer was given away now depends on how far the save is; what it holds must not.
        arrays, _ = checkpoints.restore(1, _abstract(changed))
    np.testing.assert_array_equal(arrays["up"], np.arange(1 << 16))


@pytest.mark.parametrize(("better", "best"), [("lower", 2), ("higher", 3)])
def test_the_last_and_the_best_stay(tmp_path, better, best):
    scores = {1: float("nan"), 2: 0.1, 3: 0.9, 4: 0.4, 5: float("nan"), 6: None}
    with Checkpoints(tmp_path, keep_last=2, keep_best="loss", better=better) as checkpoints:
        for step, score in scores.items():
            metrics = None if score is None else {"loss": score, "other": 1.0}
            checkpoints.save(step, {"up": jnp.float32(step)}, {"step": step}, metrics)
        assert checkpoints.best() == best
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == [best, 5, 6]
    with Checkpoints(tmp_path, keep_last=2, keep_best="loss", better=better) as checkpoints:
        assert (checkpoints.best(), checkpoints.latest()) == (best, 6)
        checkpoints.save(7, {"up": jnp.float32(7)}, {}, {"loss": 0.3})
        assert checkpoints.best() == best
        assert checkpoints.record(best) == {"step": best}
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == [best, 6, 7]


def test_without_a_score_only_the_last_stay(tmp_path):
    with Checkpoints(tmp_path, keep_last=1, keep_best="loss") as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, {"up": jnp.float32(step)}, {}, {"other": 1.0})
        assert checkpoints.best() is None
    assert [path.name for path in tmp_path.iterdir()] == ["2"]


def test_part_of_a_checkpoint_can_be_restored(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, _arrays(), {})
        part = checkpoints.restore_part(1, {"params": _abstract(_arrays()["params"])})
        _assert_equal(part, {"params": _arrays()["params"]})
        with pytest.raises(ValueError, match=r"params/teacher: saved nothing, wanted float32\[2\]"):
            checkpoints.restore_part(1, {"params": {"teacher": jax.ShapeDtypeStruct((2,), jnp.float32)}})
        arrays, _ = checkpoints.restore(1, _abstract(_arrays()))
    _assert_equal(arrays, _arrays())


def test_target_that_differs_is_refused(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"up": jnp.zeros((2, 3)), "count": jnp.int32(1)}, {})
        up, count = jax.ShapeDtypeStruct((2, 3), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32)
        for target, message in (
            ({"up": jax.ShapeDtypeStruct((2, 4), jnp.float32), "count": count},
             r"up: saved float32\[2, 3\], wanted float32\[2, 4\]\. The model"),
            ({"up": jax.ShapeDtypeStruct((2, 3), jnp.bfloat16), "count": count},
             r"up: saved float32\[2, 3\], wanted bfloat16\[2, 3\]"),
            ({"up": up, "count": count, "more": count}, r"more: saved nothing, wanted int32\[\]"),
            ({"up": up}, r"count: saved int32\[\], wanted nothing"),
            ({str(i): count for i in range(9)}, "and 6 more"),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=message):
                checkpoints.restore(1, target)


def test_missing_checkpoint_lists_those_that_are_there(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(ValueError, match=r"step must be one that is saved in .*, got 4\. Saved: none\."):
            checkpoints.restore(4, {})
        for step in (1, 2):
            checkpoints.save(step, {"up": jnp.zeros(1)}, {})
        with pytest.raises(ValueError, match=r"got 4\. Saved: 1, 2\."):
            checkpoints.record(4)


def test_save_refuses_an_old_step_and_a_record_that_is_not_json(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(2, {"up": jnp.zeros(1)}, {})
        for step in (1, 2):
            with pytest.raises(ValueError, match=f"step must be greater than the latest .* got {step} and 2"):
                checkpoints.save(step, {"up": jnp.zeros(1)}, {})
        with pytest.raises(TypeError, match=r"record must be made of what JSON can hold: .*ndarray"):
            checkpoints.save(3, {"up": jnp.zeros(1)}, {"rows": np.zeros(2)})
        assert checkpoints.latest() == 2


def test_reader_leaves_alone_what_a_writer_is_writing(tmp_path):
    with Checkpoints(tmp_path, keep_best="loss") as checkpoints:
        checkpoints.save(1, {"up": jnp.ones(2)}, {"examples": 3}, {"loss": 0.5})
    under_way = tmp_path / "2.orbax-checkpoint-tmp"
    under_way.mkdir()
    with Checkpoints(tmp_path, keep_best="loss", read_only=True) as reader:
        assert (reader.latest(), reader.best(), reader.record(1)) == (1, 1, {"examples": 3})
        arrays = reader.restore_part(1, {"up": jax.ShapeDtypeStruct((2,), jnp.float32)})
        with pytest.raises(ValueError, match="read_only must be False to save"):
            reader.save(2, arrays, {})
    assert under_way.is_dir()
    with pytest.raises(ValueError, match=r"folder must be one that holds checkpoints, got .*absent, which does not"):
        Checkpoints(tmp_path / "absent", read_only=True)


def test_bad_options_are_refused(tmp_path):
    with pytest.raises(ValueError, match="keep_last must be 1 or more, got 0"):
        Checkpoints(tmp_path, keep_last=0)
    with pytest.raises(ValueError, match="better must be 'lower' or 'higher', got 'more'"):
        Checkpoints(tmp_path, better="more")


DIES_IN_A_SAVE = """
    import os, signal, sys
    import jax.numpy as jnp
    from jaxkd.runtime.checkpoint import Checkpoints

    def die_at_the_commit(event, args):
        # The rename is what gives a checkpoint its name: everything is written, nothing is valid.
        if event == "os.rename" and os.path.basename(str(args[1])) == "2":
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die_at_the_commit)
    checkpoints = Checkpoints(sys.argv[1])
    checkpoints.save(1, {"up": jnp.full(4, 1.0)}, {"step": 1})
    checkpoints.wait()
    checkpoints.save(2, {"up": jnp.full(4, 2.0)}, {"step": 2})
    checkpoints.wait()
"""


def test_death_in_a_save_leaves_the_checkpoint_before_it(tmp_path):
    died = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DIES_IN_A_SAVE), str(tmp_path)], capture_output=True, timeout=120
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert any(path.name.startswith("2.") for path in tmp_path.iterdir())
    target = {"up": jax.ShapeDtypeStruct((4,), jnp.float32)}
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest() == 1
        arrays, record = checkpoints.restore(1, target)
        np.testing.assert_array_equal(arrays["up"], np.full(4, 1.0))
        assert record == {"step": 1}
        checkpoints.save(3, {"up": jnp.full(4, 3.0)}, {"step": 3})
        assert checkpoints.latest() == 3
        np.testing.assert_array_equal(checkpoints.restore(3, target)[0]["up"], np.full(4, 3.0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3"]


def test_a_full_disk_is_one_error_and_no_traceback_of_orbax(tmp_path, caplog):
    absl = logging.getLogger("absl")
    filters = list(absl.filters)
    arrays = {"up": jax.random.normal(jax.random.key(0), (100, 100))}
    with (
        pytest.raises((OSError, ValueError), match="File too large"),
        no_file_longer_than(10_000),
        Checkpoints(tmp_path) as checkpoints,
    ):
        checkpoints.save(1, arrays, {})
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert absl.filters == filters
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(2, arrays, {})
        assert checkpoints.latest() == 2


def test_tree_bytes_counts_abstract_arrays():
    tree = {"a": jax.ShapeDtypeStruct((3, 4), jnp.bfloat16), "b": jnp.zeros((), jnp.int32), "empty": {}}
    assert checkpoint.tree_bytes(tree) == 3 * 4 * 2 + 4


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two checkpoints, the second of which is worse; compressed, its arrays are not all zeros."""
    folder = tmp_path_factory.mktemp("two")
    with Checkpoints(folder, keep_best="loss") as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, _noise(step), {"step": step}, {"loss": float(step)})
    return folder


def _noise(step):
    return {"up": jnp.asarray(np.random.default_rng(step).normal(size=5000), jnp.float32)}


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _zero_half(path):
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size // 2] + bytes(size - size // 2))


def _arrays_file(step_folder):
    """The file that holds the numbers: the largest."""
    return max((path for path in step_folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


FAULTS = {
    "flipped": _flip,
    "zeroed": _zero_half,
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *(("arrays", fault) for fault in FAULTS),
        ("arrays/_METADATA", "missing"),
        ("record/metadata", "flipped"),
        ("metrics/metrics", "empty"),
        ("metrics/metrics", "missing"),
        ("checksums.json", "zeroed"),
    ],
)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(two, tmp_path, caplog, name, fault):
    folder = shutil.copytree(two, tmp_path / "copy")
    FAULTS[fault](_arrays_file(folder / "2") if name == "arrays" else folder / "2" / name)
    with caplog.at_level(logging.WARNING, logger="jaxkd"), Checkpoints(folder, keep_best="loss") as checkpoints:
        assert checkpoints.latest() == 1
        arrays, record = checkpoints.restore(1, _abstract(_noise(1)))
        _assert_equal(arrays, _noise(1))
        assert record == {"step": 1}
        checkpoints.save(2, _noise(2), {"step": 2}, {"loss": 2.0})
        assert checkpoints.latest() == 2
    (message,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert message.startswith(f"checkpoint {folder / '2'} is damaged ({folder / '2'}/")
    assert "it is renamed to 2.damaged, which can be removed, and the newest is that of step 1" in message
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2", "2.damaged"]


def test_only_damaged_checkpoints_are_refused_and_the_folder_is_named(two, tmp_path):
    folder = shutil.copytree(two, tmp_path / "copy")
    for step in ("1", "2"):
        _flip(_arrays_file(folder / step))
    with pytest.raises(ValueError, match=rf"/2/arrays/.* must be as it was saved, .* remove {folder / '2'} and run"):
        Checkpoints(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]


def test_a_reader_refuses_what_is_damaged_and_changes_nothing(two, tmp_path):
    folder = shutil.copytree(two, tmp_path / "copy")
    _flip(_arrays_file(folder / "2"))
    with Checkpoints(folder, read_only=True) as checkpoints:
        assert checkpoints.record(2) == {"step": 2}, "another item than the damaged one"
        with pytest.raises(
            ValueError, match=r"/2/arrays/.* must be as it was saved, got a file that is missing or differs"
        ):
            checkpoints.restore_part(2, _abstract(_noise(2)))
        _assert_equal(checkpoints.restore_part(1, _abstract(_noise(1))), _noise(1))
    _flip(folder / "1/metrics/metrics")
    with pytest.raises(ValueError, match="/1/metrics/metrics must be as it was saved"):
        Checkpoints(folder, keep_best="loss", read_only=True)
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]


def test_a_checkpoint_of_an_older_version_has_no_checksums_and_is_read(two, tmp_path):
    folder = shutil.copytree(two, tmp_path / "copy")
    (folder / "2/checksums.json").unlink()
    with Checkpoints(folder) as checkpoints:
        _assert_equal(checkpoints.restore(2, _abstract(_noise(2)))[0], _noise(2))
