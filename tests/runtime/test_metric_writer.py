"""Rows are exact, survive a torn end, and are cut where a run resumes."""

import json
import math
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxkd.runtime import metric_writer
from jaxkd.runtime.metric_writer import MetricWriter, read


def test_rows_come_back_exactly(tmp_path):
    with MetricWriter(tmp_path / "run", tensorboard=False) as writer:
        writer.write(1, {"loss": np.float32(0.1), "tokens": 1 << 40, "seconds": 0.5})
        assert read(tmp_path / "run")[0]["loss"] == float(np.float32(0.1))  # flushed: no row is lost by a kill
        writer.write(jnp.int32(2), {"loss": jnp.bfloat16(1.5), "count": jnp.int32(3)})
    rows = read(tmp_path / "run")
    assert rows[1] == {"step": 2, "loss": 1.5, "count": 3}
    assert rows[0]["tokens"] == 1 << 40
    assert isinstance(rows[1]["count"], int)


def test_what_reads_the_clock_is_left_out_whatever_is_counted():
    same = {"step": 3, "train/loss": 0.5, "count/images": 8, "train/rollout/share": 1.0}
    clock = {"seconds": 2.0, "tokens_per_second": 9.0, "images_per_second": 4.0, "train/rollout/seconds": 1.0}
    assert metric_writer.without_wall_clock(clock | same) == same


def test_not_finite_values_are_json_and_come_back(tmp_path):
    with MetricWriter(tmp_path, tensorboard=False) as writer:
        writer.write(1, {"a": math.nan, "b": math.inf, "c": jnp.float32(-math.inf)})

    def refuse(word):
        raise AssertionError(word)

    json.loads((tmp_path / metric_writer.FILE).read_text(), parse_constant=refuse)
    (row,) = read(tmp_path)
    assert math.isnan(row["a"])
    assert (row["b"], row["c"]) == (math.inf, -math.inf)


def test_nothing_written_is_no_rows(tmp_path):
    assert read(tmp_path) == []


def test_truncate_after_cuts_later_rows(tmp_path):
    with MetricWriter(tmp_path, tensorboard=False) as writer:
        for step in (1, 2, 3, 4):
            writer.write(step, {"loss": float(step)})
            writer.write(step, {"validation": float(step)})
        before = (tmp_path / metric_writer.FILE).read_bytes()
        writer.truncate_after(2)
        assert [row["step"] for row in read(tmp_path)] == [1, 1, 2, 2]
        for step in (3, 4):
            writer.write(step, {"loss": float(step)})
            writer.write(step, {"validation": float(step)})
    assert (tmp_path / metric_writer.FILE).read_bytes() == before


def test_truncate_after_zero_starts_over(tmp_path):
    with MetricWriter(tmp_path, tensorboard=False) as writer:
        writer.write(1, {"loss": 1.0})
        writer.truncate_after(0)
        assert read(tmp_path) == []


@pytest.mark.parametrize("lost", ["all", "the second half", "none"])
def test_rows_that_a_damaged_file_has_lost_are_reported(tmp_path, caplog, lost):
    path = tmp_path / metric_writer.FILE
    with MetricWriter(tmp_path, tensorboard=False) as writer:
        for step in (2, 4, 6, 8):
            writer.write(step, {"loss": float(step)})
    content = path.read_bytes()
    match lost:
        case "all":
            path.unlink()
        case "the second half":
            path.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    with MetricWriter(tmp_path, tensorboard=False) as writer:
        writer.truncate_after(9, every=2)
    last = {"all": 0, "the second half": 4, "none": 8}[lost]
    message = f"{path} must have rows up to step 9, got them up to step {last}: it is damaged, and curves lack the rest"
    assert (message in caplog.text) == (lost != "none")
    assert [row["step"] for row in read(tmp_path)] == list(range(2, last + 1, 2))


def test_torn_last_line_is_not_a_row_and_is_cut(tmp_path):
    path = tmp_path / metric_writer.FILE
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert [row["step"] for row in read(tmp_path)] == [1]
    with MetricWriter(tmp_path, tensorboard=False) as writer:
        writer.write(2, {"loss": 3.0})
    assert read(tmp_path) == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 3.0}]


@pytest.mark.parametrize("line", ['{"step": 2, "lo', "[1]", '{"step": 1, "loss": "high"}'])
def test_broken_line_is_named(tmp_path, line):
    (tmp_path / metric_writer.FILE).write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2, must be a JSON object of numbers, got"):
        read(tmp_path)


def test_values_that_are_not_one_number_are_refused(tmp_path):
    with MetricWriter(tmp_path, tensorboard=False) as writer:
        with pytest.raises(TypeError, match=r"loss must be one number, got float32 of shape \(2,\)"):
            writer.write(1, {"loss": jnp.zeros(2)})
        with pytest.raises(TypeError, match="loss must be one number"):
            writer.write(1, {"loss": "low"})
        with pytest.raises(ValueError, match='must not hold a metric named "step"'):
            writer.write(1, {"step": 3})
    assert read(tmp_path) == []


def test_only_process_0_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    with MetricWriter(tmp_path / "run") as writer:
        writer.write(1, {"loss": 1.0})
        writer.truncate_after(0)
    assert not (tmp_path / "run").exists()


class _Summaries:
    """Stands for tensorboardX: keeps what it is told."""

    made = []  # noqa: RUF012

    def __init__(self, folder, purge_step):
        self.purge_step, self.scalars, self.closed = purge_step, [], False
        self.made.append(self)

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def flush(self):
        pass

    def close(self):
        self.closed = True


def test_tensorboard_purges_what_a_resumed_run_writes_again(tmp_path, monkeypatch):
    monkeypatch.setattr(_Summaries, "made", [])
    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=_Summaries))
    with MetricWriter(tmp_path, tensorboard=True) as writer:
        writer.write(1, {"loss": 1.0})
        writer.write(2, {"loss": 2.0})
        writer.truncate_after(1)
        writer.write(2, {"loss": 2.5})
    first, second = _Summaries.made
    assert (first.purge_step, first.scalars, first.closed) == (None, [("loss", 1.0, 1), ("loss", 2.0, 2)], True)
    assert (second.purge_step, second.scalars, second.closed) == (2, [("loss", 2.5, 2)], True)


def test_tensorboard_is_written_where_it_is_installed(tmp_path):
    pytest.importorskip("tensorboardX")
    with MetricWriter(tmp_path) as writer:
        writer.write(1, {"loss": 1.0})
    (events,) = tmp_path.glob("events.out.tfevents.*")
    assert b"loss" in events.read_bytes()


def test_missing_packages_say_how_to_install_them(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r'tensorboard=True needs tensorboardX: pip install "jaxkd-distill\[tensorb'):
        MetricWriter(tmp_path, tensorboard=True)
    with pytest.raises(ImportError, match=r'wandb=True needs wandb: pip install "jaxkd-distill\[wandb\]"'):
        MetricWriter(tmp_path, wandb=True)
    with MetricWriter(tmp_path) as writer:
        writer.write(1, {"loss": 1.0})
    assert len(read(tmp_path)) == 1


def test_wandb_gets_the_same_run_for_the_same_folder(tmp_path, monkeypatch):
    started, logged, finished = [], [], []
    run = types.SimpleNamespace(
        log=lambda values, step: logged.append((values, step)), finish=lambda: finished.append(1)
    )
    monkeypatch.setitem(
        sys.modules, "wandb", types.SimpleNamespace(init=lambda **kwargs: started.append(kwargs) or run)
    )
    for folder in ("a", "a", "b"):
        with MetricWriter(tmp_path / folder, tensorboard=False, wandb=True) as writer:
            writer.write(1, {"loss": 1.0})
    assert started[0] == started[1]
    assert started[0]["id"] != started[2]["id"]
    assert logged == [({"loss": 1.0}, 1)] * 3
    assert len(finished) == 3
