"""Two real processes train as one: the same batches, the same losses, one set of files."""

import dataclasses
import os
import re
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxkd.on_policy import Replay
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.runtime import configs, metric_writer
from jaxkd.runtime.program import INTERRUPTED
from jaxkd.sampling import GREEDY
from jaxkd.sharding import MeshShape
from jaxkd.study import Study
from jaxkd.training import Optimizer
from jaxkd.training.stage_folder import read_evaluations
from tests.test_train import write_config
from tests.tiny_runs import ROWS


def environment(**changes):
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", "device_count=1")
    return os.environ | {"XLA_FLAGS": flags} | {name: str(value) for name, value in changes.items()}


def start_two(path, workdir, stderr=subprocess.STDOUT):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "jaxkd.train", "--config", str(path), "--workdir", str(workdir)]
    return [
        subprocess.Popen(
            command,
            env=environment(JAXKD_COORDINATOR=coordinator, JAXKD_NUM_PROCESSES=2, JAXKD_PROCESS_ID=index),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        for index in range(2)
    ]


def finish(processes):
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output


def assert_logs_close(one, other):
    for first, second in zip(*(metric_writer.read(folder) for folder in (one, other)), strict=True):
        assert first.keys() == second.keys()
        for name in metric_writer.without_wall_clock(first):
            np.testing.assert_allclose(first[name], second[name], rtol=1e-5, atol=1e-6, err_msg=name)


def assert_logs_equal(one, other):
    first, second = (
        [metric_writer.without_wall_clock(row) for row in metric_writer.read(folder)] for folder in (one, other)
    )
    assert first == second


def on_policy(recipe):
    return OnPolicy(recipe=recipe, max_new_tokens=4, sampling=GREEDY, replay=Replay(start=1.0, steps=2, capacity=ROWS))


def write_study(train, folder):
    folder.mkdir()
    return write_config(Study(name="tiny", title="", description="", stages=(train,)), folder)


def assert_evaluations_close(one, other):
    scores = [read_evaluations(folder)["bits_per_byte"].metrics["bits_per_byte"] for folder in (one, other)]
    np.testing.assert_allclose(*scores, rtol=1e-5)


@pytest.mark.slow
def test_two_processes_that_split_parameters_and_answer_themselves_equal_one(tiny, tmp_path):
    # The tokenizer of the other vocabulary has no chat template.
    validation, test = (
        (dataclasses.replace(tiny.bits_per_byte(split), template="plain"),) for split in ("validation", "test")
    )
    train = tiny.train(
        on_policy(tiny.cross(DSKDv2ETA)),
        steps=3,
        evaluate_every=2,
        save_every=2,
        mesh=MeshShape(data=1, fsdp=-1),
        validation=validation,
        evaluators=test,
    )
    finish(start_two(write_study(train, tmp_path / "study"), tmp_path / "two"))
    dataclasses.replace(train, mesh=MeshShape(data=1)).run(tmp_path / "one/kd/0", seed=0, stages={})
    assert_logs_close(tmp_path / "one/kd/0", tmp_path / "two/kd/0")
    assert_evaluations_close(tmp_path / "one/kd/0", tmp_path / "two/kd/0")
    assert configs.load(tmp_path / "two/kd/0/config.json") == train


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_at_one_step_and_one_goes_on_where_two_stopped(tiny, tmp_path):
    # Rates that do not depend on the length of the run, as those of a schedule would.
    optimizer = Optimizer(learning_rate=1e-2, warmup_steps=1, schedule="constant")
    train = tiny.train(tiny.logit_kd(), steps=100_000, evaluate_every=2, mesh=MeshShape(data=-1), optimizer=optimizer)
    processes = start_two(write_study(train, tmp_path / "study"), tmp_path / "run")
    folder = tmp_path / "run/kd/0"
    log = folder / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while not (log.exists() and log.read_text().count("\n") >= 3):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    processes[1].terminate()
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [75, 75], outputs
    assert "stopped by a request after step" in outputs[0]
    assert "stopped by SIGTERM after step" in outputs[1]
    (saved,) = (folder / "checkpoints").glob("[0-9]*")
    assert f"after step {saved.name};" in outputs[0]
    assert f"after step {saved.name};" in outputs[1]
    assert metric_writer.read(folder)[-1]["step"] == int(saved.name) > 1
    whole = dataclasses.replace(train, steps=int(saved.name) + 2, mesh=MeshShape(data=1))
    for run in (folder, tmp_path / "one/kd/0"):
        whole.run(run, seed=0, stages={})
    assert_logs_close(tmp_path / "one/kd/0", folder)
    assert_evaluations_close(tmp_path / "one/kd/0", folder)


@pytest.mark.slow
def test_a_process_whose_run_lost_another_one_says_so_in_a_line_and_the_run_goes_on(tiny, tmp_path):
    train = tiny.train(tiny.sft(), steps=60, save_every=10, mesh=MeshShape(data=-1), validation=(), evaluators=())
    path = write_study(train, tmp_path / "study")
    log, saves = (tmp_path / "run/kd/0" / name for name in ("metrics.jsonl", "checkpoints"))
    for victim, steps in ((1, 14), (0, 34)):
        processes = start_two(path, tmp_path / "run", stderr=subprocess.PIPE)
        deadline = time.monotonic() + 240
        while not (log.exists() and log.read_text().count("\n") >= steps):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        processes[victim].kill()
        # At once from a step; from a save, when the heartbeats have failed to come for 100 seconds.
        _, stderr = processes[1 - victim].communicate(timeout=200)
        processes[victim].communicate()
        assert processes[1 - victim].returncode == INTERRUPTED, stderr
        newest = max(int(found.name) for found in saves.glob("[0-9]*") if found.name.isdigit())
        line = f"lost process {victim} of 2, counted from 0; saved up to step {newest}. Run the same command to go on."
        assert stderr.splitlines()[-1] == line
        assert not re.search(r"Traceback|coordination|absl|terminate|^[EF]\d{4} ", stderr, flags=re.MULTILINE), stderr
    finish(start_two(path, tmp_path / "run"))
    dataclasses.replace(train, mesh=MeshShape(data=2)).run(tmp_path / "whole/kd/0", seed=0, stages={})
    assert_logs_equal(tmp_path / "run/kd/0", tmp_path / "whole/kd/0")
