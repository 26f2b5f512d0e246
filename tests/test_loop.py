"""Whole training runs in miniature: exact resume, refusals, interrupts, caches, failures."""

import dataclasses
import json
import os
import shutil
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxkd import mesh as meshes
from jaxkd import metric_writer, runs
from jaxkd.checkpoint import Checkpoints
from jaxkd.loop import Interrupted
from jaxkd.losses import ForwardKL
from jaxkd.mesh import MeshShape
from jaxkd.optim import Optimizer
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.minillm import MiniLLM
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.replay import Replay
from jaxkd.rollouts import Rollouts
from jaxkd.stage import read_evaluations
from jaxkd.step_log import StepLog


def rows(folder):
    return [
        {name: value for name, value in row.items() if name not in metric_writer.WALL_CLOCK}
        for row in metric_writer.read(folder)
    ]


def saved_state(train, folder):
    with jax.set_mesh(meshes.make(train.mesh)):
        abstract = train.compiled_step().abstract_state()
        with Checkpoints(folder / "checkpoints", read_only=True) as checkpoints:
            return jax.device_get(checkpoints.restore(checkpoints.latest(), abstract))


def assert_bitwise(train, one, other):
    (state, record), (other_state, other_record) = saved_state(train, one), saved_state(train, other)
    jax.tree.map(np.testing.assert_array_equal, state, other_state)
    assert record == other_record
    assert rows(one) == rows(other)


def stop_at(monkeypatch, step, number=signal.SIGTERM):
    """Deliver a real signal while step `step` runs."""
    push = StepLog.push

    def push_and_kill(self, now, *args):
        push(self, now, *args)
        if now == step:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(StepLog, "push", push_and_kill)


@pytest.fixture
def everything(tiny):
    """Every part of the state in use: cosine schedule, average, dropout, accumulation, validation."""
    return tiny.train(
        tiny.logit_kd(dropout=0.1),
        steps=6,
        ema_decay=0.9,
        accumulation=2,
        evaluate_every=2,
        mesh=MeshShape(data=4, fsdp=2),
    )


@pytest.fixture
def everything_on_one(everything):
    return dataclasses.replace(everything, mesh=MeshShape(data=1, fsdp=2, tensor=4))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_was_stopped_continues_bitwise(everything_on_one, tmp_path, monkeypatch, number):
    train = everything_on_one
    train.run(tmp_path / "whole", seed=3, stages={})
    with monkeypatch.context() as patched:
        stop_at(patched, 3, number)
        with pytest.raises(Interrupted, match=rf"stopped by {number.name} after step 3; saved. Run the same command"):
            train.run(tmp_path / "parts", seed=3, stages={})
    assert read_evaluations(tmp_path / "parts") is None
    train.run(tmp_path / "parts", seed=3, stages={})
    assert_bitwise(train, tmp_path / "whole", tmp_path / "parts")
    assert read_evaluations(tmp_path / "whole") == read_evaluations(tmp_path / "parts")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["one vocabulary", "two vocabularies", "a mixture", "kept answers", "rounds"])
def test_an_on_policy_run_that_was_stopped_in_a_rollout_continues_bitwise(tiny, tmp_path, monkeypatch, method):
    if method == "a mixture":
        on_policy = MiniLLM(student=tiny.student, teacher=tiny.teacher, data=tiny.text, dropout=0.1, max_new_tokens=5)
    else:
        recipe = tiny.cross(DSKDv2ETA) if method == "two vocabularies" else tiny.logit_kd(dropout=0.1)
        on_policy = OnPolicy(recipe=recipe, max_new_tokens=5, fraction=0.8, every=4 if method == "rounds" else 1)
    if method == "kept answers":
        schedule = Replay(start=0.9, steps=40, capacity=16, tolerance=-100.0)
        on_policy = dataclasses.replace(on_policy, fraction=1.0, replay=schedule)
    validation = (tiny.bits_per_byte("validation"),) if method == "kept answers" else ()
    train = tiny.train(
        on_policy, steps=4, mesh=MeshShape(data=2), evaluate_every=1, validation=validation, evaluators=()
    )
    train.run(tmp_path / "whole", seed=3, stages={})
    steps, assembled = [], Rollouts.assembled

    def assemble_and_stop(self, *args, **options):
        steps.append(args)
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return assembled(self, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Rollouts, "assembled", assemble_and_stop)
        with pytest.raises(Interrupted, match="stopped by SIGTERM after step 3"):
            train.run(tmp_path / "parts", seed=3, stages={})
    train.run(tmp_path / "parts", seed=3, stages={})
    assert_bitwise(train, tmp_path / "whole", tmp_path / "parts")
    last = next(row for row in reversed(rows(tmp_path / "whole")) if "train/loss" in row)
    assert 0 < last["train/rollout/length"] <= 5
    assert last["count/given"] > 0
    if method == "rounds":
        assert [row["train/rollout/age"] for row in rows(tmp_path / "whole") if "train/loss" in row] == [0, 1, 2, 3]
    if method == "kept answers":
        assert last["train/rollout/phi"] == pytest.approx(1.0), "one validation was worse than the one before"


def test_a_run_that_was_killed_continues_bitwise_from_its_last_save(tiny, tmp_path):
    train = tiny.train(steps=5, save_every=2, keep_last=2)
    train.run(tmp_path / "whole", seed=0, stages={})
    # What a SIGKILL in step 5 leaves behind: the checkpoint of step 4, a row and half a row too many.
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    (tmp_path / "parts/evaluation.json").unlink()
    shutil.rmtree(tmp_path / "parts/checkpoints/5")
    with (tmp_path / "parts/metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "train/lo')
    train.run(tmp_path / "parts", seed=0, stages={})
    assert_bitwise(train, tmp_path / "whole", tmp_path / "parts")


def test_a_finished_run_does_nothing_and_can_be_prolonged(tiny, tmp_path):
    train = tiny.train(optimizer=Optimizer(learning_rate=1e-2, schedule="constant"))
    train.run(tmp_path / "run", seed=0, stages={})
    before = (tmp_path / "run/metrics.jsonl").read_bytes()
    train.run(tmp_path / "run", seed=0, stages={})
    assert (tmp_path / "run/metrics.jsonl").read_bytes() == before
    scored = dataclasses.replace(train.evaluators[0], limit=5)
    dataclasses.replace(train, steps=6, evaluators=(scored,)).run(tmp_path / "run", seed=0, stages={})
    assert max(row["step"] for row in rows(tmp_path / "run")) == 6
    assert len(read_evaluations(tmp_path / "run")["bits_per_byte"].keys) == 5


def test_a_finished_run_needs_no_checkpoints_but_to_be_prolonged(tiny, tmp_path):
    train = tiny.train()
    train.run(tmp_path, seed=0, stages={})
    shutil.rmtree(tmp_path / "checkpoints")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    train.run(tmp_path, seed=0, stages={})
    assert {path.name for path in tmp_path.iterdir()} == before.keys()
    assert all((tmp_path / name).read_bytes() == before[name] for name in ("metrics.jsonl", "evaluation.json"))
    longer = dataclasses.replace(train, steps=train.steps + 1)
    with pytest.raises(ValueError, match=rf"steps must be {train.steps} where the checkpoints of .* were removed, got"):
        longer.run(tmp_path, seed=0, stages={})
    assert (tmp_path / "config.json").read_bytes() == before["config.json"]


def test_a_changed_config_is_refused_and_named(tiny, tmp_path):
    tiny.train().run(tmp_path, seed=0, stages={})
    changed = tiny.train(tiny.logit_kd(divergence=ForwardKL(temperature=3.0)), accumulation=2, log_every=2)
    message = r"Changed: recipe.divergence.temperature: 2.0 -> 3.0; accumulation: 1 -> 2. Undo the change, or name"
    with pytest.raises(ValueError, match=message):
        changed.run(tmp_path, seed=0, stages={})


def test_a_cached_teacher_trains_as_a_live_one(tiny, tmp_path):
    tiny.cache().run(tmp_path / "cache", seed=0, stages={})
    cached = tiny.train(tiny.logit_kd(teacher_cache="stage:teacher_cache"))
    cached.run(tmp_path / "cached", seed=0, stages={"teacher_cache": tmp_path / "cache"})
    tiny.train().run(tmp_path / "live", seed=0, stages={})
    for one, other in zip(rows(tmp_path / "cached"), rows(tmp_path / "live"), strict=True):
        for name, value in one.items():
            np.testing.assert_allclose(value, other[name], rtol=2e-5, atol=1e-6, err_msg=name)


def test_a_cache_of_other_text_is_refused(tiny, tmp_path):
    tiny.cache(data=dataclasses.replace(tiny.text, limit=5)).run(tmp_path / "cache", seed=0, stages={})
    train = tiny.train(tiny.logit_kd(teacher_cache="stage:teacher_cache"))
    with pytest.raises(ValueError, match="differs in data"):
        train.run(tmp_path / "run", seed=0, stages={"teacher_cache": tmp_path / "cache"})


def test_a_run_can_start_from_another(tiny, tmp_path):
    sft = tiny.train(tiny.sft(), name="sft")
    sft.run(tmp_path / "sft", seed=0, stages={})
    kd = tiny.train(steps=1, start_from="stage:sft", optimizer=Optimizer(learning_rate=0.0))
    kd.run(tmp_path / "kd", seed=0, stages={"sft": tmp_path / "sft"})
    with jax.set_mesh(meshes.make(MeshShape())):
        trained = jax.device_get([runs.language_model(tmp_path / name).params for name in ("sft", "kd")])
    jax.tree.map(np.testing.assert_array_equal, *trained)


def test_the_best_checkpoint_is_kept_and_evaluated(tiny, tmp_path):
    train = tiny.train(
        steps=4,
        evaluate_every=1,
        save_every=1,
        keep_best="bits_per_byte",
        optimizer=Optimizer(learning_rate=0.5, schedule="constant"),
    )
    train.run(tmp_path, seed=0, stages={})
    scores = {
        row["step"]: row["validation/bits_per_byte"] for row in rows(tmp_path) if "validation/bits_per_byte" in row
    }
    best = min(scores, key=scores.__getitem__)
    assert best != 4
    with Checkpoints(tmp_path / "checkpoints", keep_best="bits_per_byte", read_only=True) as checkpoints:
        assert checkpoints.best() == best
    evaluated = read_evaluations(tmp_path)["bits_per_byte"].metrics["bits_per_byte"]
    np.testing.assert_allclose(evaluated, scores[best], rtol=1e-6)


def test_a_loss_that_is_not_finite_stops_the_run(tiny, tmp_path):
    train = tiny.train(steps=20, optimizer=Optimizer(learning_rate=1e30, schedule="constant", clip_norm=None))
    with pytest.raises(FloatingPointError, match=r"(loss|grad_norm|\w+) must be finite, got \w+ at step \d+"):
        train.run(tmp_path, seed=0, stages={})
    assert not list((tmp_path / "checkpoints").glob("[0-9]*"))


def test_a_row_says_what_a_person_wants_to_know(tiny, tmp_path):
    tiny.train(log_every=2).run(tmp_path, seed=0, stages={})
    written = metric_writer.read(tmp_path)
    assert [row["step"] for row in written if "train/loss" in row] == [2, 4]
    first = written[0]
    for name in ("train/loss", "train/cross_entropy", "train/divergence", "train/accuracy", "train/grad_norm"):
        assert np.isfinite(first[name])
    assert first["count/targets"] > 0
    assert first["tokens_per_second"] > 0
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["versions"]["jax"] == jax.__version__


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be >= 1, got 0"),
        ({"accumulation": 3}, "accumulation must divide the 8 rows of a batch, got 3"),
        ({"keep_best": "bits_per_byte", "validation": ()}, "keep_best='bits_per_byte' needs validation evaluators"),
        ({"save_every": 0}, "save_every must be >= 1, got 0"),
        (
            {"mesh": MeshShape(data=8), "accumulation": 2},
            "the rows of a batch or micro-batch must be a multiple of data x fsdp, got 4 and 8",
        ),
    ],
)
def test_a_run_that_cannot_work_is_refused_before_it_starts(tiny, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny.train(**changes).validate()


def test_a_folder_that_cannot_be_written_is_refused_before_training(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        tiny.train().run(Path(tmp_path / "file" / "run"), seed=0, stages={})


def test_a_folder_without_a_run_lists_those_below(tiny, tmp_path):
    tiny.train(steps=2).run(tmp_path / "study/kd/0", seed=0, stages={})
    with pytest.raises(ValueError, match=r"run must be the folder of a training run.*Runs below it: .*study/kd/0"):
        runs.read_train(tmp_path / "study")


def test_a_dry_run_plans_and_starts_nothing(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = tiny.train(mesh=MeshShape(data=2, fsdp=2, tensor=2)).plan()
    for part in ('"temperature": 2.0', "mesh data 2 x fsdp 2 x tensor 2", "tokens int32[8, 96]", "trainable", "frozen"):
        assert part in plan
    assert "GiB a device" in plan
    assert not list(tmp_path.iterdir())
