"""The filter of system calls, without the audit hook."""

import pytest

from jaxkd.runtime.sandbox import Limits, layers, programs, run

CALLS = {
    "socket": "libc.socket(2, 1, 0)",
    "kill": "libc.kill(os.getppid() or 1, 0)",
    "ptrace": "libc.ptrace(16, os.getppid() or 1, 0, 0)",
    "mount": "libc.mount(b'none', b'/', b'tmpfs', 0, None)",
    "unshare": "libc.unshare(0x10000000)",
    "bpf": "libc.syscall(ctypes.c_long(321 if x86 else 280), 0, None, 0)",
    "io_uring": "libc.syscall(ctypes.c_long(425), 1, None)",
    "keyctl": "libc.syscall(ctypes.c_long(250 if x86 else 219), 0, 0, 0, 0, 0)",
    "setuid": "libc.setuid(0)",
    "fork": "libc.fork()",
    "execve": "libc.execve(b'/bin/true', None, None)",
    "chown": "libc.chown(b'.', 0, 0)",
    "shmget": "libc.shmget(0, 4096, 0o1600)",
}


@pytest.fixture
def alone(monkeypatch):
    if "seccomp" not in layers():
        pytest.skip("needs a kernel with seccomp")
    monkeypatch.setattr(programs, "_LAYERS", ("seccomp",))


def test_calls_are_denied(alone):
    lines = [f"check({name!r}, {call})" for name, call in CALLS.items()]
    program = """
import ctypes, os, platform
libc, x86 = ctypes.CDLL(None, use_errno=True), platform.machine() == "x86_64"
def check(name, result):
    assert (result, ctypes.get_errno()) == (-1, 1), (name, result, ctypes.get_errno())
"""
    outcome = run(program + "\n".join(lines))
    assert outcome.verdict == "passed", outcome.output


def test_calls_on_itself_and_threads_go_on(alone):
    program = """
import os, resource, signal, threading
os.kill(os.getpid(), 0)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
assert os.sched_getaffinity(0)
os.sched_setaffinity(0, os.sched_getaffinity(0))
thread = threading.Thread(target=print, args=("thread",)); thread.start(); thread.join()
signal.signal(signal.SIGTERM, lambda *_: print("signal"))
signal.raise_signal(signal.SIGTERM)
open("f", "w").close(); os.chmod("f", 0o755)
"""
    outcome = run(program)
    assert (outcome.verdict, outcome.output) == ("passed", "thread\nsignal\n")


def test_the_number_of_processes_is_never_above_the_limit(alone):
    program = """
import os, time
if os.fork() == 0: time.sleep(5); os._exit(0)
open("two", "w").close()
try: os.fork()
finally: open("three", "w").close()
"""
    outcome = run(program, limits=Limits(processes=2))
    assert (outcome.verdict, outcome.reason) == ("refused", "more than 2 processes")
