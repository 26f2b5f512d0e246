"""Programs that try to outlive, outgrow, leave or deceive the sandbox, and the verdict that each must get."""

import dataclasses

from jaxkd.runtime.sandbox import Limits, Verdict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attack:
    """A hostile program."""

    program: str
    """Source; OUTSIDE stands for a folder that is not the program's own, with a file `victim` in it."""
    verdict: Verdict
    limits: Limits = dataclasses.field(default_factory=Limits)


_SHORT = Limits(seconds=0.5)
_SMALL = Limits(memory_mib=128)
_FOUR = Limits(processes=4)

TIME = {
    "endless loop": Attack(program="while True: pass", verdict="out_of_time", limits=_SHORT),
    "loop that catches everything": Attack(
        program="while True:\n  try:\n    while True: pass\n  except BaseException: pass",
        verdict="out_of_time",
        limits=_SHORT,
    ),
    "CPU time, with its signal ignored": Attack(
        program="import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        verdict="out_of_time",
        limits=Limits(seconds=60, cpu_seconds=1),
    ),
    "huge integer": Attack(program="10**10**10", verdict="out_of_time", limits=_SHORT),
    "regular expression": Attack(
        program="import re; re.match('(a*)*b', 'a' * 40)", verdict="out_of_time", limits=_SHORT
    ),
    "sleep": Attack(program="import time; time.sleep(1e6)", verdict="out_of_time", limits=_SHORT),
    "stops itself": Attack(
        program="import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", verdict="out_of_time", limits=_SHORT
    ),
    "waits on a pipe": Attack(program="import os; os.mkfifo('p'); open('p')", verdict="out_of_time", limits=_SHORT),
    "never-ending last exception": Attack(
        program="class E(Exception):\n  def __str__(self):\n    while True: pass\nraise E",
        verdict="out_of_time",
        limits=_SHORT,
    ),
}

MEMORY = {
    "memory, in pieces": Attack(
        program="x = []\nwhile True: x.append(bytearray(1 << 20))", verdict="out_of_memory", limits=_SMALL
    ),
    "memory, at once": Attack(program="bytearray(1 << 40)", verdict="out_of_memory"),
    "memory, errors caught": Attack(
        program="x = []\nwhile True:\n  try: x.append(bytearray(1 << 20))\n  except MemoryError: pass",
        verdict="out_of_time",
        limits=Limits(seconds=0.5, memory_mib=128),
    ),
    "recursion": Attack(program="def f(): f()\nf()", verdict="failed"),
    "recursion in C": Attack(
        program="import sys\nsys.setrecursionlimit(10**9)\nx = []\nfor _ in range(2 * 10**5): x = [x]\nrepr(x)",
        verdict="failed",
    ),
}

OUTPUT = {
    "flood of stdout": Attack(program="while True: print('x' * 10_000)", verdict="too_much_output"),
    "flood of stderr": Attack(program="import os\nwhile True: os.write(2, b'x' * 65536)", verdict="too_much_output"),
    "large file": Attack(program="f = open('f', 'wb')\nwhile True: f.write(bytes(1 << 20))", verdict="too_much_output"),
    "many files": Attack(program="i = 0\nwhile True:\n  open(str(i), 'w').close(); i += 1", verdict="too_much_output"),
    "large files": Attack(
        program="import time\nfor i in range(9): open(str(i), 'wb').write(bytes(1 << 19))\ntime.sleep(60)",
        verdict="too_much_output",
    ),
    "deep folders": Attack(
        program="import os, time\nfor _ in range(300): os.mkdir('d'); os.chdir('d')\ntime.sleep(60)",
        verdict="too_much_output",
    ),
    "closed folder": Attack(
        program="import os\nos.makedirs('a/b'); os.chmod('a/b', 0); os.chmod('a', 0)", verdict="passed"
    ),
}

FILES = {
    "writes outside": Attack(program="open('OUTSIDE/new', 'w').write('x')", verdict="refused"),
    "writes outside, and catches the error": Attack(
        program="try: open('OUTSIDE/victim', 'w')\nexcept OSError: pass", verdict="refused"
    ),
    "appends outside by os.open": Attack(
        program="import os; os.open('OUTSIDE/victim', os.O_WRONLY | os.O_APPEND)", verdict="refused"
    ),
    "reads outside": Attack(program="print(open('OUTSIDE/victim').read())", verdict="refused"),
    "lists outside": Attack(program="import os; print(os.listdir('OUTSIDE'))", verdict="refused"),
    "deletes outside": Attack(program="import os; os.remove('OUTSIDE/victim')", verdict="refused"),
    "deletes a tree outside": Attack(program="import shutil; shutil.rmtree('OUTSIDE')", verdict="refused"),
    "moves from outside": Attack(program="import os; os.rename('OUTSIDE/victim', 'mine')", verdict="refused"),
    "moves to outside": Attack(
        program="import os; open('mine', 'w').close(); os.rename('mine', 'OUTSIDE/victim')", verdict="refused"
    ),
    "makes a folder outside": Attack(program="import os; os.mkdir('OUTSIDE/folder')", verdict="refused"),
    "writes through a symbolic link": Attack(
        program="import os; os.symlink('OUTSIDE', 'link'); open('link/victim', 'w')", verdict="refused"
    ),
    "writes through a link to a link": Attack(
        program="import os; os.symlink('OUTSIDE/victim', 'a'); os.symlink('a', 'b'); open('b', 'w')",
        verdict="refused",
    ),
    "writes through a hard link": Attack(
        program="import os; os.link('OUTSIDE/victim', 'link'); open('link', 'w')", verdict="refused"
    ),
    "writes by way of ..": Attack(program="open('../escaped', 'w')", verdict="refused"),
    "writes under a name that changes": Attack(
        program="class P(str):\n  def startswith(self, *_): return True\nopen(P('OUTSIDE/victim'), 'w')",
        verdict="refused",
    ),
    "writes by SQLite": Attack(
        program="import sqlite3; sqlite3.connect('OUTSIDE/new').execute('create table t (x)')", verdict="refused"
    ),
    "leaves a symbolic link": Attack(program="import os; os.symlink('OUTSIDE', 'link')", verdict="passed"),
}

PROCESSES = {
    "forks": Attack(program="import os; os.fork()", verdict="refused"),
    "starts a shell": Attack(program="import os; os.system('sleep 60 &')", verdict="refused"),
    "becomes a shell": Attack(program="import os; os.execv('/bin/sh', ['sh', '-c', 'exit 0'])", verdict="refused"),
    "threads that go on": Attack(
        program="import threading\ndef f():\n  while True: print(end='.')\nthreading.Thread(target=f).start()",
        verdict="passed",
        limits=Limits(output_bytes=1 << 30),
    ),
    "too many threads": Attack(
        program=(
            "import threading, time\nthreading.stack_size(1 << 16)\n"
            "for _ in range(300): threading.Thread(target=time.sleep, args=(60,)).start()\ntime.sleep(60)"
        ),
        verdict="refused",
    ),
    "signal to its parent": Attack(program="import os; os.kill(os.getppid() or 1, 9)", verdict="refused"),
    "signal to everyone": Attack(program="import os; os.kill(-1, 0)", verdict="refused"),
    "signal to its group": Attack(program="import os; os.killpg(os.getpgid(0), 9)", verdict="refused"),
    "limits of its parent": Attack(
        program="import os, resource; resource.prlimit(os.getppid() or 1, resource.RLIMIT_CPU, (1, 1))",
        verdict="refused",
    ),
    "environment of its parent": Attack(
        program="import os; print(open(f'/proc/{os.getppid() or 1}/environ').read())", verdict="refused"
    ),
    "network socket": Attack(program="import socket; socket.socket()", verdict="refused"),
    "connection": Attack(program="import socket; socket.create_connection(('127.0.0.1', 22))", verdict="refused"),
    "local socket": Attack(program="import socket; socket.socket(socket.AF_UNIX).bind('s')", verdict="refused"),
}

DECEIT = {
    "sys.exit(0)": Attack(program="import sys; sys.exit(0)\nassert False", verdict="failed"),
    "os._exit(0)": Attack(program="import os; os._exit(0)\nassert False", verdict="failed"),
    "raise SystemExit": Attack(program="raise SystemExit\nassert False", verdict="failed"),
    "SystemExit in a thread's join": Attack(
        program="import _thread, time\n_thread.interrupt_main()\ntime.sleep(5)\nassert False", verdict="failed"
    ),
    "passes in atexit": Attack(
        program="import atexit, os\natexit.register(print, 'passed')\nraise ValueError", verdict="failed"
    ),
    "writes to every descriptor": Attack(
        program=(
            "import os\nfor i in range(64):\n  try: os.write(i, b'passed\\n')\n  except OSError: pass\nos._exit(0)"
        ),
        verdict="failed",
    ),
    "reads every descriptor": Attack(
        program=(
            "import os\nfor i in range(3, 64):\n"
            "  try: os.set_blocking(i, False); os.write(3, os.read(i, 99))\n  except OSError: pass\nos._exit(0)"
        ),
        verdict="failed",
    ),
    "sends a file to the supervisor": Attack(
        program=("import _socket, array\n_socket.socket(fileno=5).sendmsg([b' '], [(1, 1, array.array('i', [1]))])"),
        verdict="failed",
    ),
    "searches the frames for the token": Attack(
        program=(
            "import os, sys\nf = sys._getframe()\nwhile f:\n"
            "  for x in [*f.f_locals.values(), *f.f_globals.values(), *f.f_code.co_consts]:\n"
            "    if isinstance(x, bytes): os.write(3, x + b' %d\\n' % os.getpid())\n  f = f.f_back\nos._exit(0)"
        ),
        verdict="failed",
    ),
    "searches the objects for the token": Attack(
        program="import gc, os\nfor x in gc.get_objects(): pass", verdict="refused"
    ),
    "jumps over its tests": Attack(
        program=(
            "import sys\ndef trace(frame, event, arg):\n  frame.f_lineno = 7\n"
            "sys.settrace(trace)\nsys._getframe().f_trace = trace\nassert False\nx = 1"
        ),
        verdict="refused",
    ),
    "replaces os.write": Attack(
        program="import os\nos.write = os._exit = exec = print\nraise ValueError", verdict="failed"
    ),
    "closes its descriptors": Attack(program="import os; os.closerange(0, 256)", verdict="failed"),
    "closes stdout": Attack(program="import os, sys; sys.stdout.close(); os.close(2)", verdict="passed"),
    "memory by ctypes": Attack(program="import ctypes; ctypes.string_at(0)", verdict="refused"),
    "segmentation fault": Attack(program="import faulthandler; faulthandler._sigsegv()", verdict="failed"),
    "abort": Attack(program="import os; os.abort()", verdict="failed"),
    "reads stdin": Attack(program="input()", verdict="failed"),
    "null byte": Attack(program="x = '\0'", verdict="failed"),
    "lone surrogate": Attack(program="x = '\ud800'", verdict="failed"),
}

ATTACKS = TIME | MEMORY | OUTPUT | FILES | PROCESSES | DECEIT
"""All of them, by what they do."""

BY_C_CODE = {
    "pipe outside": Attack(program="import os; os.mkfifo('OUTSIDE/pipe')", verdict="refused"),
    "priority of its parent": Attack(
        program="import os; os.setpriority(os.PRIO_PROCESS, os.getppid() or 1, 19)", verdict="refused"
    ),
    "system call of a socket": Attack(program="import _socket; _socket.socket(_socket.AF_UNIX)", verdict="refused"),
}
"""Attacks that Python's functions do not report, so that the kernel alone denies them."""

WITH_PROCESSES = {
    "sends a file to the supervisor, with children": Attack(
        program=("import _socket, array\n_socket.socket(fileno=5).sendmsg([b' '], [(1, 1, array.array('i', [1]))])"),
        verdict="failed",
        limits=_FOUR,
    ),
    "fork bomb": Attack(program="import os\nwhile True: os.fork()", verdict="refused", limits=_FOUR),
    "fork bomb that leaves its group": Attack(
        program="import os\nwhile True:\n  os.fork()\n  try: os.setsid()\n  except OSError: pass",
        verdict="refused",
        limits=_FOUR,
    ),
    "daemon": Attack(
        program=(
            "import os, time\n"
            "if os.fork() == 0:\n"
            "  os.setsid()\n"
            "  if os.fork() == 0:\n"
            "    os.closerange(0, 64)\n"
            "    time.sleep(60)\n"
            "  os._exit(0)\n"
            "time.sleep(0.1)"
        ),
        verdict="passed",
        limits=_FOUR,
    ),
    "child that passes while its parent fails": Attack(
        program="import os, time\nif os.fork():\n  time.sleep(0.2)\n  raise ValueError", verdict="failed", limits=_FOUR
    ),
}
"""Attacks by programs that may start processes, for which they need seccomp."""
