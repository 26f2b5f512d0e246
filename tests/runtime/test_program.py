"""Programs end with one message for a mistake, a traceback for a bug, and a status that says whether to go on."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from jaxkd.runtime.interrupt import Interrupted
from jaxkd.runtime.program import INTERRUPTED, run_program


def fail(error):
    def body():
        raise error

    return body


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x must be 1, got 2."),
        ImportError("wandb=True needs wandb"),
        ModuleNotFoundError("No module named 'diffrax'", name="diffrax"),
    ],
)
def test_a_mistake_is_one_line(error, capsys):
    with pytest.raises(SystemExit) as done:
        run_program(fail(error))
    assert done.value.code == 1
    assert capsys.readouterr().err == f"error: {error}\n"


@pytest.mark.parametrize(
    "error", [KeyError("x"), ImportError("cannot import name 'x'", name="jaxkd.losses"), RuntimeError("x")]
)
def test_a_bug_keeps_its_traceback(error):
    with pytest.raises(type(error)) as raised:
        run_program(fail(error))
    assert raised.value is error


def test_a_stopped_run_is_not_a_success(capsys):
    with pytest.raises(SystemExit) as done:
        run_program(fail(Interrupted(signal.SIGINT, " after step 3; saved")))
    assert done.value.code == INTERRUPTED == os.EX_TEMPFAIL == 75
    assert capsys.readouterr().err == "stopped by SIGINT after step 3; saved. Run the same command to go on.\n"


def test_sigterm_outside_of_a_training_loop_asks_for_another_start(capsys):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as done:
        run_program(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert done.value.code == INTERRUPTED
    assert capsys.readouterr().err == "stopped by SIGTERM. Run the same command to go on.\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_outside_of_a_training_loop_keeps_its_status(capsys):
    with pytest.raises(SystemExit) as done:
        run_program(lambda: os.kill(os.getpid(), signal.SIGINT))
    assert done.value.code == 130
    assert capsys.readouterr().err == "interrupted. Run the same command to go on.\n"


def test_a_program_runs_outside_of_the_main_thread():
    seen = []
    thread = threading.Thread(target=lambda: run_program(lambda: seen.append(1)))
    thread.start()
    thread.join()
    assert seen == [1]


def test_an_extra_that_is_missing_is_named_before_the_options_are_known():
    """`discover` needs the extra for its options already."""
    program = (
        "import importlib.util, runpy, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'diffrax' else find(name, *rest)\n"
        "sys.argv = ['discover', '--help']\n"
        "runpy.run_module('jaxkd.discover', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "error: jaxkd.dynamics needs diffrax. Install the extra: pip install 'jaxkd-distill[dynamics]'.\n"
    )
