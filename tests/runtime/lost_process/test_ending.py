"""A lost process ends the others with a line and status 75, and no error of another kind does."""

import os
import threading

import jax
import pytest

from jaxkd.runtime import lost_process
from jaxkd.runtime.lost_process import coordination, ending

GLOO = jax.errors.JaxRuntimeError(
    "INTERNAL: Gloo all-reduce failed: [gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4711"
)
GATHERED = ValueError(
    "UNKNOWN: Gloo AllGather failed: [gloo/tcp/pair.cc:538] Read error [127.0.0.1]:47: Connection reset by peer"
)
NCCL = jax.errors.JaxRuntimeError(
    "INTERNAL: NCCL operation ncclGroupEnd() failed: remote process exited or there was a network error."
)


@pytest.fixture
def statuses(monkeypatch):
    """Statuses with which this process would have ended."""
    found = []

    def leave(status):
        found.append(status)
        raise SystemExit(status)

    monkeypatch.setattr(ending, "_ending", threading.Lock())
    monkeypatch.setattr(os, "_exit", leave)
    return found


def fails(monkeypatch, error, *, index=0, count=2, answers=True, folder=None):
    monkeypatch.setattr(coordination, "answers", lambda: answers)
    monkeypatch.setattr(coordination, "processes", lambda: coordination.Processes(index=index, count=count))
    with lost_process.ends():
        if folder is None:
            raise error
        with lost_process.saved_in(folder):
            raise error


@pytest.mark.parametrize("error", [GLOO, GATHERED, NCCL], ids=["step", "gather", "NCCL"])
@pytest.mark.parametrize(
    ("place", "lost"),
    [
        ({"index": 0, "count": 2}, "process 1 of 2, counted from 0"),
        ({"index": 1, "count": 2}, "process 0 of 2, counted from 0"),
        ({"index": 1, "count": 3, "answers": False}, "process 0 of 3, counted from 0"),
        ({"index": 1, "count": 3}, "one of 3 processes"),
        ({"index": 0, "count": 3}, "one of 3 processes"),
    ],
)
def test_a_lost_process_is_named_if_it_is_known(monkeypatch, statuses, capsys, error, place, lost):
    with pytest.raises(SystemExit):
        fails(monkeypatch, error, **place)
    assert capsys.readouterr().err == f"lost {lost}. Run the same command to go on.\n"
    assert statuses == [os.EX_TEMPFAIL]


@pytest.mark.parametrize(
    ("names", "saved"),
    [((), "nothing was saved yet"), (("4", "12", "13.orbax-checkpoint-tmp"), "saved up to step 12")],
)
def test_the_newest_whole_checkpoint_is_named(monkeypatch, statuses, capsys, tmp_path, names, saved):
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(SystemExit):
        fails(monkeypatch, GLOO, folder=tmp_path)
    line = f"lost process 1 of 2, counted from 0; {saved}. Run the same command to go on.\n"
    assert capsys.readouterr().err == line
    assert statuses == [os.EX_TEMPFAIL]


@pytest.mark.parametrize(("error", "count"), [(jax.errors.JaxRuntimeError("INTERNAL: a bug"), 2), (GLOO, 1)])
def test_another_error_keeps_its_traceback(monkeypatch, statuses, tmp_path, error, count):
    with pytest.raises(jax.errors.JaxRuntimeError) as raised:
        fails(monkeypatch, error, count=count, folder=tmp_path)
    assert raised.value is error
    assert statuses == []
