import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.suites import attacks, hostile_programs
from benchmarks.suites.hostile_programs import open_files, processes_of, temporary_folders_in
from jaxkd.runtime.confinement.channels import bootstrap
from jaxkd.runtime.sandbox import Limits, Outcome, programs, run, run_all

ATTACKS = hostile_programs.attacks()
FAST = (
    "loop that catches everything",
    "CPU time, with its signal ignored",
    "never-ending last exception",
    "memory, in pieces",
    "recursion in C",
    "flood of stdout",
    "large file",
    "many files",
    "closed folder",
    "writes outside, and catches the error",
    "deletes a tree outside",
    "writes through a symbolic link",
    "writes through a hard link",
    "leaves a symbolic link",
    "starts a shell",
    "fork bomb that leaves its group",
    "daemon",
    "child that passes while its parent fails",
    "threads that go on",
    "too many threads",
    "signal to its parent",
    "environment of its parent",
    "connection",
    "os._exit(0)",
    "raise SystemExit",
    "writes to every descriptor",
    "sends a file to the supervisor",
    "sends a file to the supervisor, with children",
    "searches the frames for the token",
    "jumps over its tests",
    "closes its descriptors",
    "closes stdout",
    "abort",
    "reads stdin",
    "lone surrogate",
    "priority of its parent",
)
"""Attacks that run in each level of the tests, one of a kind."""
FOREVER = "while True: pass"
LONG = Limits(seconds=60, cpu_seconds=60)


@pytest.fixture
def temporary(tmp_path):
    """The folder of the temporary folders."""
    with temporary_folders_in(str(tmp_path)) as folder:
        yield folder


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """Outcome of each attack, and what all of them left."""
    folder = tmp_path_factory.mktemp("attacks")
    outside = folder / "outside"
    outside.mkdir()
    (outside / "victim").write_text("unharmed")
    before = open_files()

    def attack(name):
        return run(ATTACKS[name].program.replace("OUTSIDE", str(outside)), limits=ATTACKS[name].limits)

    with temporary_folders_in(str(folder)) as temporary, ThreadPoolExecutor(2) as pool:
        outcomes = dict(zip(FAST, pool.map(attack, FAST), strict=True))
        left = (processes_of(str(folder)), os.listdir(temporary), os.listdir(outside))
    return outcomes, left, open_files() - before, (outside / "victim").read_text()


@pytest.mark.parametrize("name", FAST)
def test_an_attack_gets_its_verdict(attacked, name):
    outcome = attacked[0][name]
    assert outcome.verdict == ATTACKS[name].verdict, outcome.output
    assert (outcome.reason == "") == outcome.passed


def test_attacks_leave_nothing_and_harm_nothing(attacked):
    _, left, descriptors, victim = attacked
    assert left == (0, [], ["victim"])
    assert (descriptors, victim) == (0, "unharmed")


def test_an_honest_program_has_what_it_needs():
    program = """
import asyncio, dataclasses, json, os, pathlib, pickle, random, shutil, sqlite3, subprocess, sys, tempfile, threading
import numpy
@dataclasses.dataclass
class Point:
    x: int
async def answer():
    return 42
assert asyncio.run(answer()) == 42
assert pickle.loads(pickle.dumps(Point(3))) == Point(3)
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "a", "b")
    path.parent.mkdir()
    path.write_text("é")
    assert pathlib.Path(shutil.copy(path, path.with_name("c"))).read_text() == "é"
    os.symlink(path, "link")
    assert open("link").read() == "é"
sqlite3.connect(":memory:").execute("select 1")
sqlite3.connect("own.db").execute("create table t (x)")
thread = threading.Thread(target=print, args=("in a thread",))
thread.start(); thread.join()
assert numpy.ones(3) @ numpy.ones(3) == 3
assert __name__ == "__main__" and sys.stdin.read() == "" and os.listdir() and random.random() < 1
"""
    outcome = run(program)
    assert (outcome.verdict, outcome.output) == ("passed", "in a thread\n")


def test_the_environment_is_not_the_callers_and_sets_have_one_order(monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    program = "import os; print('SECRET' in os.environ, [*{'a', 'b', 'c', 'd', 'e'}])"
    first, second = run_all([program] * 2)
    assert first.output == second.output
    assert first.output.startswith("False")


def test_the_end_of_the_output_is_kept():
    outcome = run("print('x' * 9999)\nprint('é\\udcff'.encode(errors='replace').decode())\nassert False")
    assert outcome.output.endswith("AssertionError\n")
    assert len(outcome.output) <= 4096
    assert "assert False" in outcome.output  # the traceback has the program's lines, and none of the sandbox's
    assert "harness" not in outcome.output


def test_children_may_run_where_they_are_allowed():
    program = "import subprocess, sys\nassert subprocess.run([sys.executable, '-c', 'print(1)']).returncode == 0"
    assert run(program, limits=Limits(processes=2)).output == "1\n"
    assert run(program).verdict == "refused"


def test_children_need_a_kernel_that_asks(monkeypatch):
    monkeypatch.setattr(programs, "_LAYERS", ("audit",))
    with pytest.raises(ValueError, match="processes must be 1 where the kernel cannot ask before one starts, got 2"):
        run("", limits=Limits(processes=2))


def test_outcomes_come_in_order():
    counts = itertools.count()
    made = (f"import time; time.sleep({0.2 if i == 0 else 0}); print({i})" for i in counts)
    outcomes = run_all(itertools.islice(made, 5), workers=2)
    assert [outcome.output for outcome in outcomes] == [f"{i}\n" for i in range(5)]


def test_programs_are_not_taken_long_before_they_run():
    taken = []
    outcomes = run_all((taken.append(i) or "pass" for i in range(100)), workers=1)
    assert next(outcomes).passed
    outcomes.close()
    assert len(taken) <= 4


def test_workers_are_positive():
    with pytest.raises(ValueError, match="workers must be 1 or more, got 0. Leave it out"):
        run_all([], workers=0)


def test_an_iterator_that_is_closed_ends_its_programs(temporary, tmp_path):
    outcomes = run_all(["pass", FOREVER, FOREVER], limits=LONG, workers=2)
    assert next(outcomes).passed
    outcomes.close()
    assert processes_of(str(tmp_path)) == 0
    assert os.listdir(temporary) == []


def wait_for(condition):
    while not condition():
        time.sleep(0.01)


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_caller_that_ends_leaves_no_process(number, tmp_path):
    code = f"import tempfile; tempfile.tempdir = {str(tmp_path)!r}\n"
    code += f"from jaxkd.runtime.sandbox import Limits, run; run({FOREVER!r}, limits={LONG!r})"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as caller:
        wait_for(lambda: processes_of(str(tmp_path)))
        subprocess.run(["kill", f"-{number}", str(caller.pid)], check=True)
    wait_for(lambda: not processes_of(str(tmp_path)) and os.listdir(tmp_path) == [])


def test_a_supervisor_that_is_killed_is_an_outcome(temporary, tmp_path):
    found: list[Outcome] = []
    thread = threading.Thread(target=lambda: found.append(run(FOREVER, limits=LONG)))
    thread.start()
    wait_for(lambda: processes_of(str(tmp_path)))
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, check=True).stdout
    supervisor = next(
        int(pid) for pid in children.split() if b"supervisor" in Path(f"/proc/{int(pid)}/cmdline").read_bytes()
    )
    os.kill(supervisor, signal.SIGKILL)
    thread.join()
    assert (found[0].verdict, found[0].reason) == ("refused", "ended its supervisor by signal 9")
    wait_for(lambda: not processes_of(str(tmp_path)))
    assert os.listdir(temporary) == []


def test_python_that_does_not_start_is_not_the_programs_fault(monkeypatch):
    monkeypatch.setattr(programs, "bootstrap", lambda module: "raise SystemExit('broken')")
    with pytest.raises(RuntimeError, match="Python must start in the sandbox, and did not: broken"):
        run("pass")


def test_a_program_that_reports_and_ends_between_two_looks_has_passed(monkeypatch):
    start, call = bootstrap("supervisor").rsplit("; ", 1)
    late = "import time; from jaxkd.runtime.confinement import supervisor as s; wait = s._wait"
    late += "; s._wait = lambda child: time.sleep(1) or wait(child)"
    monkeypatch.setattr(programs, "bootstrap", lambda _: f"{start}; {late}; {call}")
    assert run("pass").passed


def test_the_sandbox_loads_nothing_heavy():
    code = "import sys, jaxkd.runtime.sandbox; print([name for name in ('jax', 'numpy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_temporary_folders_are_where_the_caller_has_them(temporary):
    assert run("import os; print(os.getcwd())").output.startswith(os.path.realpath(tempfile.gettempdir()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gets_its_verdict_and_leaves_nothing(name):
    attacked = hostile_programs.attack(ATTACKS[name])
    assert attacked.outcome.verdict == ATTACKS[name].verdict, attacked.outcome
    assert (attacked.processes, attacked.files, attacked.descriptors, attacked.honest) == (0, 0, 0, True)


@pytest.mark.slow
@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_the_audit_hook_alone_gives_the_same_verdict(name, monkeypatch):
    monkeypatch.setattr(programs, "_LAYERS", ("audit",))
    test_an_attack_gets_its_verdict_and_leaves_nothing(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_the_kernel_alone_lets_nothing_out(name, monkeypatch):
    """Verdicts may differ: the kernel's errors are the program's to catch."""
    monkeypatch.setattr(programs, "_LAYERS", ("landlock", "seccomp"))
    attacked = hostile_programs.attack(ATTACKS[name])
    assert (attacked.processes, attacked.files, attacked.descriptors, attacked.honest) == (0, 0, 0, True)


@pytest.mark.slow
def test_many_programs_leave_nothing(temporary, tmp_path):
    before = open_files()
    four = ["pass", "assert False", "import os; os._exit(0)", "import socket; socket.socket()"]
    verdicts = [outcome.verdict for outcome in run_all(four * 50)]
    assert verdicts == ["passed", "failed", "failed", "refused"] * 50
    assert (processes_of(str(tmp_path)), os.listdir(temporary), open_files() - before) == (0, [], 0)
