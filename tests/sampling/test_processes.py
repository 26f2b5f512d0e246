"""Two real processes write what one writes."""

import json
import os
import socket
import subprocess
import sys

import pytest

ONE_DEVICE = os.environ["XLA_FLAGS"].replace("device_count=8", "device_count=1")


def start(**variables):
    environment = os.environ | {"XLA_FLAGS": ONE_DEVICE} | {name: str(value) for name, value in variables.items()}
    command = [sys.executable, "-m", "tests.sampling.two_processes"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_equal_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    shared = {"JAXKD_COORDINATOR": coordinator, "JAXKD_NUM_PROCESSES": 2}
    processes = [start(), *(start(**shared, JAXKD_PROCESS_ID=index) for index in range(2))]
    written = []
    for process in processes:
        output, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        written.append(json.loads(output.splitlines()[-1]))
    assert written[1] == written[2] == written[0]
