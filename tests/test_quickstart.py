"""The quickstart in miniature, on the real weights, as a user runs it."""

import json
import os
import subprocess
import sys

import jax
import pytest

from jaxkd import train
from jaxkd.sharding import devices

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("smollm2_folder")]


@pytest.fixture(scope="module")
def environment():
    """A user's environment: one device, XLA's optimizations on."""
    return {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}


def python(*arguments, env):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def study(tmp_path_factory, environment):
    folder = tmp_path_factory.mktemp("quickstart")
    python("-m", "jaxkd.train", "--size", "smoke", "--workdir", str(folder), env=environment)
    return folder


def test_a_few_steps_repair_much_of_the_cut(study):
    scores = json.loads((study / "summary.json").read_text())["bits_per_byte"]
    assert scores["teacher"] < 1.2
    assert scores["student_untouched"] > 10
    for trained in ("student_sft", "student_distilled"):
        assert scores["teacher"] < scores[trained] < scores["student_untouched"] / 2


def test_the_report_shows_the_models_and_what_they_really_were(study):
    page = (study / "report.html").read_text()
    for part in ("student_distilled", "SmolLM2-135M-Instruct.Q4_1.gguf", "dequantised to float32", "layers 0 29"):
        assert part in page


def test_the_programs_take_the_run(study, environment, tmp_path):
    """One after the other, in one process, which spares two starts."""
    run = str(study / "kd/0")
    commands = {
        "evaluate": ["--run", run],
        "generate": ["--run", run, "--prompt", "x", "y", "--max-new-tokens", "4"],
        "export": ["--run", run, "--to", str(tmp_path / "out")],
    }
    calls = "".join(f"import jaxkd.{name}\njaxkd.{name}.main({arguments})\n" for name, arguments in commands.items())
    printed = python("-c", calls, env=environment)
    assert printed.startswith("bits_per_byte  ")
    assert "--- x\n" in printed
    assert "--- y\n" in printed
    assert "read back equal" in printed


def test_a_dry_run_plans_it(capsys):
    with devices.planned(jax.devices()[:1]):
        train.main(["--size", "smoke", "--dry-run"])
    plan = capsys.readouterr().out
    for part in (
        "=== kd",
        "student: 35.4 M parameters",
        "teacher: 28.3 M parameters",
        "tokens int32[2, 320]",
        "GiB a device",
    ):
        assert part in plan
