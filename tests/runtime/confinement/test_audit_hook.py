"""The audit hook without the layers of the kernel."""

import pytest

from benchmarks.suites import attacks
from jaxkd.runtime.sandbox import programs, run, run_all

HELD = (
    attacks.FILES["writes outside"],
    attacks.FILES["reads outside"],
    attacks.FILES["deletes a tree outside"],
    attacks.FILES["moves to outside"],
    attacks.FILES["writes through a link to a link"],
    attacks.FILES["writes through a hard link"],
    attacks.FILES["writes by way of .."],
    attacks.FILES["writes under a name that changes"],
    attacks.FILES["writes by SQLite"],
    attacks.PROCESSES["forks"],
    attacks.PROCESSES["becomes a shell"],
    attacks.PROCESSES["signal to everyone"],
    attacks.PROCESSES["limits of its parent"],
    attacks.PROCESSES["environment of its parent"],
    attacks.PROCESSES["connection"],
    attacks.DECEIT["memory by ctypes"],
)


@pytest.fixture
def alone(monkeypatch):
    monkeypatch.setattr(programs, "_LAYERS", ("audit",))


def test_attacks_through_pythons_functions_are_refused(alone, tmp_path):
    (tmp_path / "victim").write_text("unharmed")
    outcomes = list(run_all([attack.program.replace("OUTSIDE", str(tmp_path)) for attack in HELD]))
    assert [outcome.verdict for outcome in outcomes] == ["refused"] * len(HELD)
    assert outcomes[0].reason == f"open '{tmp_path}/new'"
    assert f"not permitted in the sandbox: open '{tmp_path}/new'" in outcomes[0].output
    assert [path.read_text() for path in tmp_path.iterdir()] == ["unharmed"]


def test_a_program_that_replaces_what_the_hook_uses_changes_nothing(alone, tmp_path):
    program = f"""
import builtins, os, posix, sys
for name in ("readlink", "getcwd", "fspath"):
    setattr(os, name, lambda *_: os.devnull); setattr(posix, name, lambda *_: os.devnull)
builtins.isinstance = builtins.any = lambda *_: False
builtins.PermissionError = ValueError
sys.addaudithook(print)
open({str(tmp_path / "new")!r}, "w")
"""
    assert run(program).verdict == "refused"
    assert list(tmp_path.iterdir()) == []


def test_the_layers_that_hold_are_named(alone):
    assert programs.layers() == ("audit",)
