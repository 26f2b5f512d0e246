"""Two real processes train as one: the same batches, the same losses, one set of files."""

import dataclasses
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from jaxkd import config, metric_writer
from jaxkd.mesh import MeshShape
from jaxkd.stage import read_evaluations
from jaxkd.study import Study
from tests.test_train import write_config


def environment(**changes):
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", "device_count=1")
    return os.environ | {"XLA_FLAGS": flags} | {name: str(value) for name, value in changes.items()}


def start(path, workdir, **changes):
    command = [sys.executable, "-m", "jaxkd.train", "--config", str(path), "--workdir", str(workdir)]
    return subprocess.Popen(
        command, env=environment(**changes), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.parametrize("sizes", [MeshShape(data=-1), MeshShape(data=1, fsdp=-1)], ids=["data", "fsdp"])
def test_two_processes_equal_one(tiny, tmp_path, sizes):
    train = dataclasses.replace(tiny.train(steps=3, evaluate_every=2, save_every=2), mesh=sizes)
    train = dataclasses.replace(train, evaluators=train.evaluators[:1])
    path = write_config(Study(name="tiny", title="", description="", stages=(train,)), tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [start(path, tmp_path / "one")] + [
        start(
            path,
            tmp_path / "two",
            JAXKD_COORDINATOR=f"127.0.0.1:{port}",
            JAXKD_NUM_PROCESSES=2,
            JAXKD_PROCESS_ID=index,
        )
        for index in range(2)
    ]
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
    one, two = (metric_writer.read(tmp_path / name / "kd/0") for name in ("one", "two"))
    for first, second in zip(one, two, strict=True):
        assert first.keys() == second.keys()
        for name in first.keys() - metric_writer.WALL_CLOCK:
            np.testing.assert_allclose(first[name], second[name], rtol=1e-5, atol=1e-6, err_msg=name)
    scores = [
        read_evaluations(tmp_path / name / "kd/0")["bits_per_byte"].metrics["bits_per_byte"] for name in ("one", "two")
    ]
    np.testing.assert_allclose(*scores, rtol=1e-5)
    assert config.load(tmp_path / "two/kd/0/config.json") == train
