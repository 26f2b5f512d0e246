"""Namespaces, without the audit hook."""

import os

import pytest

from jaxkd.runtime.sandbox import layers, programs, run


@pytest.fixture
def alone(monkeypatch):
    if "namespaces" not in layers():
        pytest.skip("needs a system that permits namespaces")
    monkeypatch.setattr(programs, "_LAYERS", ("namespaces",))


def test_no_other_process_and_no_network_is_there(alone):
    program = f"""
import os, socket
assert os.getpid() == 2 and os.getuid() == {os.getuid()}
try: os.kill({os.getpid()}, 0)
except ProcessLookupError: pass
else: raise AssertionError
assert [name for _, name in socket.if_nameindex()] == ["lo"]
try: socket.create_connection(("127.0.0.1", 22))
except OSError as error: assert error.errno == 101, error  # network is unreachable
else: raise AssertionError
"""
    outcome = run(program)
    assert outcome.verdict == "passed", outcome.output


def test_a_signal_ends_the_program_as_elsewhere(alone):
    outcome = run("import os; os.kill(os.getpid(), 15)")
    assert (outcome.verdict, outcome.reason) == ("failed", "ended by SIGTERM")
