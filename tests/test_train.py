"""The command line: parsing, suggestions, studies end to end, real kills."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxkd import train
from jaxkd.losses import ForwardKL
from jaxkd.recipes.logit_kd import LogitKD
from jaxkd.runtime.program import INTERRUPTED
from jaxkd.sharding import MeshShape
from jaxkd.study import Study, run_study
from jaxkd.study.results.summary import write_summary
from tests.training.test_loop import assert_bitwise, one_step_for_equal_runs, stop_at

__all__ = ["one_step_for_equal_runs"]

OPTIONS = {
    "train": (
        "--config",
        "--size",
        "--only",
        "--seeds",
        "--dry-run",
        "--kd.recipe.divergence.temperature",
        "--NAME.steps",
        "--help-all",
    ),
    "distill": ("--teacher", "--student", "--data", "--method", "--lora", "--bf16", "--template", "--write-config"),
    "segment": ("--data", "--network", "--teacher", "--size", "--steps", "--write-config"),
    "evaluate": ("--run", "--model", "--data", "--images"),
    "generate": ("--run", "--prompt", "--temperature"),
    "export": ("--run", "--to"),
    "cut": ("--model", "--to", "--layers", "--width", "--tokenizer"),
    "quantize": ("--model", "--quantizations", "--data"),
    "show_alignment": ("--text", "--a", "--b", "--output"),
    "discover": ("FILE...", "--inputs", "--trajectory", "--known", "--signs", "--output"),
}

# One process answers for all commands: most of what a program takes to say its options is the start of Python.
IN_TURN = """
import contextlib, io, json, runpy, sys
for command in json.loads(sys.argv[1]):
    sys.argv = list(command)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = runpy.run_module(f"jaxkd.{command[0]}", run_name="__main__", alter_sys=True) and 0
        except SystemExit as done:
            code = done.code
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""

TINY_CONFIG = '''
"""The tiny study."""
from pathlib import Path
from jaxkd.runtime import configs

def get_config(size="full"):
    return configs.load(Path(__file__).with_suffix(".json"))
'''


@pytest.fixture
def study(tiny) -> Study:
    return Study(
        name="tiny",
        title="Tiny",
        description="A study in miniature.",
        stages=(
            tiny.cache(),
            tiny.evaluate(),
            tiny.evaluate(name="untouched", label="student_untouched", model=tiny.student),
            tiny.train(tiny.sft(), name="sft", label="student_sft", mesh=MeshShape(data=2)),
            tiny.train(tiny.logit_kd(teacher_cache="stage:teacher_cache"), mesh=MeshShape(data=2)),
        ),
        comparisons=(("student_distilled", "student_sft"),),
    )


def write_config(study, folder) -> Path:
    from jaxkd.runtime import configs

    configs.save(folder / "tiny.json", study)
    (folder / "tiny.py").write_text(TINY_CONFIG)
    return folder / "tiny.py"


def run_and_summarise(study, folder, **options):
    run_study(study, folder)
    return write_summary(study, folder, **options)


def run(*arguments, **options):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Status, stdout and stderr of each program that is asked for help, and of one that gets a wrong argument."""
    missing = str(tmp_path_factory.mktemp("configs") / "missing.py")
    commands = {program: [program, "--help"] for program in OPTIONS} | {"mistake": ["train", "--config", missing]}
    done = run("-c", IN_TURN, json.dumps(list(commands.values())))
    assert done.returncode == 0, done.stderr
    return dict(zip(commands, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("program", OPTIONS)
def test_help_names_every_option(answers, program):
    status, stdout, stderr = answers[program]
    assert status == 0, stderr
    for option in OPTIONS[program]:
        assert option in stdout


def test_overrides_reach_the_stage_they_name():
    command, study = train.parse(
        [
            "--size",
            "smoke",
            "--kd.recipe.divergence.temperature",
            "1.5",
            "--sft.optimizer.learning-rate",
            "0.1",
            "--seeds",
            "4",
            "5",
        ]
    )
    stages = {stage.name: stage for stage in study.stages}
    assert stages["kd"].recipe.divergence.temperature == 1.5
    assert stages["sft"].optimizer.learning_rate == 0.1
    assert stages["kd"].optimizer.learning_rate != 0.1
    assert study.seeds == (4, 5)
    assert command.size == "smoke"
    (shipped,) = (
        stage.recipe for stage in train.load_study(train.DEFAULT_CONFIG)("smoke").stages if stage.name == "kd"
    )
    assert stages["kd"].recipe == dataclasses.replace(shipped, divergence=ForwardKL(temperature=1.5))


def test_one_training_stage_needs_no_name(tiny, tmp_path):
    alone = Study(name="one", title="", description="", stages=(tiny.train(),))
    path = write_config(alone, tmp_path)
    _, parsed = train.parse(["--config", str(path), "--recipe.divergence.temperature", "3", "--steps", "7"])
    assert isinstance(parsed.stages[0].recipe, LogitKD)
    assert (parsed.stages[0].recipe.divergence.temperature, parsed.stages[0].steps) == (3.0, 7)


def test_a_mistyped_override_gets_a_suggestion(capsys):
    with pytest.raises(SystemExit) as done:
        train.parse(["--size", "smoke", "--recipe.temprature", "1.5", "--kd.recipe.dropuot=0.1"])
    assert done.value.code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == (
        "error: there is no option --recipe.temprature. Did you mean --kd.recipe.divergence.temperature? "
        "--help lists the main options, --help-all all."
    )
    assert "there is no option --kd.recipe.dropuot. Did you mean --kd.recipe.dropout?" in second


def test_an_argument_that_belongs_to_no_option_is_named(capsys):
    with pytest.raises(SystemExit) as done:
        train.parse(["--size", "smoke", "smok"])
    assert done.value.code == 2
    assert "error: there is no option smok. --help" in capsys.readouterr().err


def test_help_fits_a_screen_and_states_the_exit_status(answers):
    status, stdout, _ = answers["train"]
    assert status == 0
    assert len(stdout.splitlines()) <= 60
    assert f"{INTERRUPTED} if the run was stopped by SIGTERM or Ctrl-C" in " ".join(stdout.split())


def test_a_mistyped_config_gets_a_suggestion_and_the_list():
    with pytest.raises(
        ValueError, match=r"config must be a Python file, got configs/quikstart.py.*Did you mean configs/quickstart.py"
    ):
        train.parse(["--config", "configs/quikstart.py"])


def test_a_file_without_get_config_is_refused(tmp_path):
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(ValueError, match=r"empty\.py must define get_config\(size\) -> Study, it does not"):
        train.load_study(tmp_path / "empty.py")


def test_a_file_that_needs_what_is_not_installed_is_refused(tmp_path):
    (tmp_path / "needy.py").write_text("import no_such_package")
    with pytest.raises(ValueError, match="needy.py needs what is not installed: No module named 'no_such_package'"):
        train.load_study(tmp_path / "needy.py")


def test_a_file_that_imports_what_does_not_exist_is_refused(tmp_path):
    (tmp_path / "wrong.py").write_text("from jaxkd.losses import ForwardKLL")
    with pytest.raises(ValueError, match="wrong.py must import what exists, it does not: cannot import name 'ForwardK"):
        train.load_study(tmp_path / "wrong.py")


def test_a_file_that_is_not_python_is_refused(tmp_path):
    (tmp_path / "notes.py").write_text("steps = 3\nsteps: = 4\n")
    with pytest.raises(ValueError, match="notes.py, line 2: a config must be Python, got invalid syntax"):
        train.load_study(tmp_path / "notes.py")


def test_a_report_of_nothing_is_refused(study, tmp_path):
    arguments = ["--config", str(write_config(study, tmp_path)), "--workdir", str(tmp_path / "none"), "--report"]
    with pytest.raises(ValueError, match="workdir must be the folder of a study that has run, got .*none"):
        train._main(arguments)


@pytest.mark.slow
def test_a_study_runs_reports_and_resumes(study, tmp_path, capsys):
    summary = run_and_summarise(study, tmp_path, command="python -m jaxkd.train")
    assert set(summary["bits_per_byte"]) == {"teacher", "student_untouched", "student_sft", "student_distilled"}
    assert summary["seed"] == 0
    assert set(summary["other_metrics_by_seed"]["samples/new_tokens"]["student_sft"]) == {0}
    assert summary["seconds"] > 0
    assert summary["peak_memory_gb"] > 0
    assert json.loads((tmp_path / "summary.json").read_text()) == json.loads(json.dumps(summary))
    page = (tmp_path / "report.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    printed = capsys.readouterr().out
    assert "report.html" in printed
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("**/evaluation.json")}
    assert len(before) == 4
    # The tables need what was measured, not the checkpoints.
    for checkpoints in tmp_path.glob("*/*/checkpoints"):
        shutil.move(checkpoints, checkpoints.with_name("elsewhere"))
    train.main(["--config", str(write_config(study, tmp_path)), "--workdir", str(tmp_path), "--report"])
    assert "student_distilled" in capsys.readouterr().out
    assert not list(tmp_path.glob("*/*/checkpoints"))
    for checkpoints in tmp_path.glob("*/*/elsewhere"):
        shutil.move(checkpoints, checkpoints.with_name("checkpoints"))
    again = run_and_summarise(study, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("**/evaluation.json")} == before
    assert again["bits_per_byte"] == summary["bits_per_byte"]


def test_seeds_have_folders_and_a_mean(study, tmp_path):
    pair = ("student_sft", "teacher")
    stages = study.stages[1], dataclasses.replace(study.stages[3], evaluators=study.stages[1].evaluators)
    two = dataclasses.replace(study, seeds=(1, 2), stages=stages, comparisons=(pair,))
    summary = run_and_summarise(two, tmp_path)
    assert sorted(path.name for path in (tmp_path / "sft").iterdir()) == ["1", "2"]
    by_seed = summary["bits_per_byte_by_seed"]["student_sft"]
    assert summary["bits_per_byte"]["student_sft"] == pytest.approx(sum(by_seed.values()) / 2)
    assert by_seed[1] != by_seed[2]
    assert summary["seed"] == [1, 2]
    teacher = summary["bits_per_byte"]["teacher"]
    for seed, (comparison,) in summary["comparisons_by_seed"].items():
        assert comparison["estimate"] == pytest.approx(by_seed[seed] - teacher)
    assert summary["comparisons"][0]["estimate"] == pytest.approx(summary["bits_per_byte"]["student_sft"] - teacher)


def test_one_stage_alone(study, tmp_path):
    run_study(study, tmp_path, only="teacher")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["teacher"]
    with pytest.raises(
        ValueError, match="only must name a stage of the study, got 'tutor'. Stages: teacher_cache, teacher"
    ):
        run_study(study, tmp_path, only="tutor")


def test_a_stage_that_cannot_work_stops_the_study_before_the_first(study, tmp_path, tiny):
    broken = dataclasses.replace(study, stages=(*study.stages[:4], tiny.train(tiny.logit_kd(kd_rate=2.0))))
    with pytest.raises(ValueError, match="kd_rate"):
        run_study(broken, tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_a_full_disk_is_said_before_the_first_stage(study, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(OSError, match="the disk must have .* GB free for the checkpoints and caches, got 1e-06 GB"):
        run_study(study, tmp_path / "study")
    assert not list((tmp_path / "study").iterdir())


def test_an_unknown_stage_reference_is_refused_when_the_study_is_made(study, tiny):
    stages = (study.stages[0], tiny.train(start_from="stage:stf"))
    with pytest.raises(
        ValueError, match=r"'stage:stf' must name an earlier stage of the study\. Earlier stages: teacher_cache"
    ):
        Study(name="", title="", description="", stages=stages)


def test_a_study_refuses_names_that_clash_and_labels_that_do_not_exist(study):
    with pytest.raises(ValueError, match="stages must have different names"):
        Study(name="", title="", description="", stages=(study.stages[0], study.stages[0]))
    with pytest.raises(ValueError, match="letters, digits and underscores, .* got 'dpo_0.1'. A name is the prefix of"):
        Study(name="", title="", description="", stages=(dataclasses.replace(study.stages[0], name="dpo_0.1"),))
    with pytest.raises(ValueError, match="comparisons must name labels of stages, got 'nobody'"):
        Study(name="", title="", description="", stages=study.stages, comparisons=(("nobody", "teacher"),))


@pytest.mark.slow
def test_a_killed_command_continues_bitwise(study, tmp_path):
    """SIGKILL at whatever moment it lands, then the same command again, against a run without a kill."""
    sft = dataclasses.replace(study.stages[3], steps=12, save_every=3, keep_last=2, evaluators=())
    path = write_config(Study(name="tiny", title="", description="", stages=(sft,)), tmp_path)
    command = ["-m", "jaxkd.train", "--config", str(path), "--workdir"]
    process = subprocess.Popen([sys.executable, *command, str(tmp_path / "parts")], stderr=subprocess.DEVNULL)
    log = tmp_path / "parts/sft/0/metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") >= 5):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = run(*command, str(tmp_path / "parts"))
    assert done.returncode == 0, done.stderr
    sft.run(tmp_path / "whole/sft/0", seed=0, stages={})
    assert_bitwise(sft, tmp_path / "whole/sft/0", tmp_path / "parts/sft/0")


def test_a_polite_stop_says_how_to_go_on_and_is_no_success(study, tmp_path, monkeypatch, capsys):
    path = write_config(Study(name="tiny", title="", description="", stages=(study.stages[3],)), tmp_path)
    with monkeypatch.context() as patched, pytest.raises(SystemExit) as done:
        stop_at(patched, 2)
        train.main(["--config", str(path), "--workdir", str(tmp_path / "run")])
    assert done.value.code == INTERRUPTED
    stderr = capsys.readouterr().err
    assert "stopped by SIGTERM after step 2" in stderr
    assert "Run the same command to go on" in stderr
    assert [path.name for path in (tmp_path / "run/sft/0/checkpoints").glob("[0-9]*")] == ["2"]


def test_a_stop_in_the_last_step_comes_before_the_evaluation(study, tmp_path, monkeypatch, capsys):
    sft = dataclasses.replace(study.stages[3], steps=2)
    path = write_config(Study(name="tiny", title="", description="", stages=(sft,)), tmp_path)
    command = ["--config", str(path), "--workdir", str(tmp_path / "run")]
    with monkeypatch.context() as patched, pytest.raises(SystemExit) as done:
        stop_at(patched, 2)
        train.main(command)
    assert done.value.code == INTERRUPTED
    assert "stopped by SIGTERM after step 2" in capsys.readouterr().err
    assert not (tmp_path / "run/sft/0/evaluation.json").exists()
    train.main(command)
    assert (tmp_path / "run/sft/0/evaluation.json").exists()


@pytest.mark.slow
def test_a_polite_stop_of_a_process_says_how_to_go_on_and_is_no_success(study, tmp_path):
    sft = dataclasses.replace(study.stages[3], steps=100_000)
    path = write_config(Study(name="tiny", title="", description="", stages=(sft,)), tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "jaxkd.train", "--config", str(path), "--workdir", str(tmp_path / "run")],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    log = tmp_path / "run/sft/0/metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.terminate()
    _, stderr = process.communicate()
    assert process.returncode == INTERRUPTED
    assert "stopped by SIGTERM after step" in stderr
    assert "Run the same command to go on" in stderr
    assert list((tmp_path / "run/sft/0/checkpoints").glob("[0-9]*"))


def test_a_mistake_is_one_line_not_a_traceback(answers):
    status, _, stderr = answers["mistake"]
    assert status == 1
    assert stderr.startswith("error: config must be a Python file")
    assert "Traceback" not in stderr
