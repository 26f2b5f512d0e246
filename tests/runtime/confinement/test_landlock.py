"""Landlock, without the audit hook."""

import os

import pytest

from jaxkd.runtime.sandbox import layers, programs, run


@pytest.fixture
def alone(monkeypatch):
    if "landlock" not in layers():
        pytest.skip("needs a kernel with Landlock")
    monkeypatch.setattr(programs, "_LAYERS", ("landlock",))


def test_files_outside_are_closed(alone, tmp_path):
    (tmp_path / "victim").write_text("unharmed")
    program = f"""
import os, shutil
os.chdir({str(tmp_path)!r})
def denied(f, *args):
    try: f(*args)
    except OSError as error: assert error.errno in (1, 13, 18), error  # 18: to another place by a link
    else: raise AssertionError(f, args)
for call in (
    (open, "victim"), (open, "victim", "w"), (open, "new", "w"), (os.remove, "victim"), (os.listdir, "."),
    (os.mkdir, "folder"), (os.rename, "victim", "x"), (os.symlink, "victim", "x"), (os.mkfifo, "pipe"),
    (os.truncate, "victim", 0), (os.link, "victim", os.environ["HOME"] + "/x"), (shutil.rmtree, "."),
    (open, f"/proc/{{os.getppid() or 1}}/environ"), (os.execv, "/bin/true", ["true"]),
):
    denied(*call)
os.chdir(os.environ["HOME"])
os.symlink({str(tmp_path)!r}, "link")
denied(open, "link/victim", "w")
"""
    outcome = run(program)
    assert outcome.verdict == "passed", outcome.output
    assert os.listdir(tmp_path) == ["victim"]
    assert (tmp_path / "victim").read_text() == "unharmed"


def test_files_of_the_program_and_of_python_are_open(alone):
    program = """
import os, json, sqlite3, this
os.makedirs("a/b"); open("a/b/f", "w").write("x"); os.rename("a/b/f", "g"); os.link("g", "h"); os.remove("g")
open("/dev/null", "w").write("x"); open("/dev/urandom", "rb").read(1); open(os.__file__).read()
os.mkfifo("pipe"); os.truncate("h", 0)
"""
    assert run(program).verdict == "passed"
