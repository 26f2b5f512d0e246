"""The lock of a folder, held by real processes."""

import errno
import logging
import os
import signal
import socket
import subprocess
import sys

import pytest

from jaxkd.runtime.storage import folder_lock
from jaxkd.runtime.storage.folder_lock import locked

HOLDS = """
import sys, pathlib
from jaxkd.runtime.storage.folder_lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path):
    folder = tmp_path / "kd/0"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        owner = f"process {first.pid} on {socket.gethostname()}"
        with (
            pytest.raises(
                BlockingIOError, match=rf"kd/0 is in use by {owner}\. Wait for it, or name another --workdir"
            ),
            locked(folder),
        ):
            pytest.fail("two processes in one folder")
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    for _ in range(2):  # and a folder is free after its block
        with locked(folder):
            assert (folder / folder_lock.FILE).read_text() == f"process {os.getpid()} on {socket.gethostname()}\n"


def test_a_file_system_without_locks_is_warned_of(tmp_path, monkeypatch, caplog):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(folder_lock.fcntl, "flock", unsupported)
    with caplog.at_level(logging.WARNING), locked(tmp_path):
        pass
    assert f"{tmp_path} cannot be locked (No locks available): run nothing else in it" in caplog.text
