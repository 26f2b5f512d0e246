"""JAX's coordination service: the loss of a process is noticed by another one that computes nothing."""

import os
import re
import socket
import subprocess
import sys
import textwrap

import pytest
from jax._src import distributed

from jaxkd.runtime.lost_process import coordination
from jaxkd.runtime.program import INTERRUPTED

PROCESS = """
    import functools, sys, time
    import jax
    from jaxkd.runtime.program import run_program
    from jaxkd.sharding.mesh import initialize_processes

    # By default heartbeats may fail to come for 100 seconds.
    jax.distributed.initialize = functools.partial(jax.distributed.initialize, heartbeat_timeout_seconds=10)

    def wait():
        initialize_processes()
        print("ready", flush=True)
        time.sleep(60)

    run_program(wait)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("lost", "level"), [(0, "0"), (0, "2"), (1, "2")])
def test_a_process_that_only_waits_ends_with_a_line_when_another_is_lost(lost, level):
    """Process 0 is missed at once, since the service lives there, and the other when its heartbeats do not come."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROCESS)],
            env=os.environ
            | {
                "JAXKD_COORDINATOR": address,
                "JAXKD_NUM_PROCESSES": "2",
                "JAXKD_PROCESS_ID": str(index),
                "TF_CPP_MIN_LOG_LEVEL": level,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    processes[lost].kill()
    other = processes[1 - lost]
    _, stderr = other.communicate(timeout=60)
    processes[lost].communicate()
    assert other.returncode == INTERRUPTED, stderr
    line = f"lost process {lost} of 2, counted from 0. Run the same command to go on."
    assert stderr.splitlines()[-1] == line
    # All that the service prints is wanted by a user who sets the level so.
    assert bool(re.search("coordination", stderr)) == (level == "0")
    assert (stderr == f"{line}\n") == (level != "0")


def test_jax_has_its_own_client_again_after_the_block():
    before = coordination._jax.get_distributed_runtime_client
    with coordination.calling(lambda: None):
        assert coordination._jax.get_distributed_runtime_client is not before
    assert coordination._jax.get_distributed_runtime_client is before


def test_a_client_that_takes_no_callback_is_left_alone(monkeypatch):
    def client(address, node_id):
        """A client of another version."""

    monkeypatch.setattr(coordination._jax, "get_distributed_runtime_client", client)
    with coordination.calling(lambda: None):
        assert coordination._jax.get_distributed_runtime_client is client


def test_one_process_is_the_first_of_one():
    assert coordination.processes() == coordination.Processes(index=0, count=1)


def test_process_0_answers_while_it_listens(monkeypatch):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setattr(distributed.global_state, "coordinator_address", address)
        assert not coordination.answers()
        listening.listen()
        assert coordination.answers()
