"""Whole training runs in miniature: exact resume, refusals, interrupts, caches, failures."""

import contextlib
import dataclasses
import functools
import json
import logging
import os
import shutil
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxkd.data import Jsonl
from jaxkd.losses import ForwardKL
from jaxkd.on_policy import Replay
from jaxkd.on_policy.rollouts import Rollouts
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.minillm import MiniLLM
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.runtime import configs, metric_writer
from jaxkd.runtime.checkpoint import Checkpoints
from jaxkd.runtime.interrupt import Interrupted
from jaxkd.runtime.storage.folder_lock import locked
from jaxkd.sharding import MeshShape
from jaxkd.sharding import mesh as meshes
from jaxkd.study import runs
from jaxkd.training import Optimizer, train_config
from jaxkd.training.compiled_step import CompiledStep
from jaxkd.training.evaluator import Evaluator
from jaxkd.training.stage_folder import read_evaluations
from jaxkd.training.step_log import StepLog


def rows(folder):
    return [metric_writer.without_wall_clock(row) for row in metric_writer.read(folder)]


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


@pytest.fixture(scope="module", autouse=True)
def one_step_for_equal_runs():
    """Runs whose steps compute the same share one compiled step."""
    with pytest.MonkeyPatch.context() as patched:
        jitted = functools.cache(lambda step, mesh, jit=CompiledStep.jit: jit(step))
        patched.setattr(train_config, "build", functools.cache(train_config.build))
        patched.setattr(CompiledStep, "jit", lambda step: jitted(step, jax.sharding.get_mesh()))
        yield


@pytest.fixture(scope="module")
def everything(tiny):
    """Every part of the state in use: cosine schedule, average, dropout, accumulation, validation."""
    return tiny.train(
        tiny.logit_kd(dropout=0.1),
        steps=5,
        ema_decay=0.9,
        accumulation=2,
        evaluate_every=2,
        save_every=3,
        keep_last=2,
        mesh=MeshShape(data=1, fsdp=2, tensor=2),
    )


@pytest.fixture(scope="module")
def whole(everything, tmp_path_factory):
    """The folder of a run of `everything` that nothing stopped: to be read, or copied."""
    folder = tmp_path_factory.mktemp("study") / "kd/3"
    everything.run(folder, seed=3, stages={})
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


@pytest.fixture(scope="module")
def best(tiny, tmp_path_factory):
    """A run that gets worse, and its folder: the best checkpoint is not the last."""
    train = tiny.train(
        tiny.sft(),
        name="sft",
        evaluate_every=1,
        save_every=1,
        keep_best="bits_per_byte",
        optimizer=Optimizer(learning_rate=0.5, schedule="constant"),
        mesh=MeshShape(data=1),
    )
    folder = tmp_path_factory.mktemp("best")
    train.run(folder, seed=0, stages={})
    return train, folder


def test_a_run_that_was_stopped_continues_bitwise(everything, whole, tmp_path, monkeypatch):
    for step, number in ((1, signal.SIGINT), (4, signal.SIGTERM)):
        with monkeypatch.context() as patched:
            stop_at(patched, step, number)
            message = rf"stopped by {number.name} after step {step}; saved. Run the same command"
            with pytest.raises(Interrupted, match=message):
                everything.run(tmp_path, seed=3, stages={})
        assert read_evaluations(tmp_path) is None
    everything.run(tmp_path, seed=3, stages={})
    assert_bitwise(everything, whole, tmp_path)
    assert read_evaluations(whole) == read_evaluations(tmp_path)


def test_a_run_that_is_stopped_after_its_last_save_stops(best, tmp_path, monkeypatch):
    train, folder = best
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run/evaluation.json").unlink()
    restore = Checkpoints.restore

    def stop_and_restore(self, step, *args):
        if step == self.best():
            os.kill(os.getpid(), signal.SIGTERM)
        return restore(self, step, *args)

    monkeypatch.setattr(Checkpoints, "restore", stop_and_restore)
    with pytest.raises(Interrupted, match=f"stopped by SIGTERM after step {train.steps}; saved"):
        train.run(tmp_path / "run", seed=0, stages={})
    assert read_evaluations(tmp_path / "run") is None


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
    assert last["count/off_policy"] > 0
    if method == "rounds":
        assert [row["train/rollout/age"] for row in rows(tmp_path / "whole") if "train/loss" in row] == [0, 1, 2, 3]
    if method == "kept answers":
        assert last["train/rollout/phi"] == pytest.approx(1.0), "one validation was worse than the one before"


def test_a_run_that_was_killed_continues_bitwise_from_its_last_save(everything, whole, copy):
    # What a SIGKILL in step 5 leaves behind: the checkpoint of step 3, a row and half a row too many.
    (copy / "evaluation.json").unlink()
    shutil.rmtree(copy / "checkpoints/5")
    with (copy / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "train/lo')
    everything.run(copy, seed=3, stages={})
    assert_bitwise(everything, whole, copy)


def damage(checkpoint):
    """Flip a bit of the arrays of a checkpoint."""
    path = max((path for path in checkpoint.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(everything, whole, copy, caplog):
    (copy / "evaluation.json").unlink()
    damage(copy / "checkpoints/5")
    with caplog.at_level(logging.INFO, logger="jaxkd"):
        everything.run(copy, seed=3, stages={})
    assert_bitwise(everything, whole, copy)
    assert f"{copy / 'checkpoints/5'} is damaged" in caplog.text
    assert f"resuming at step 3 of {copy}" in caplog.text
    (copy / "evaluation.json").unlink()
    for step in (3, 5):
        damage(copy / "checkpoints" / str(step))
    with pytest.raises(
        ValueError, match=rf"The checkpoint is damaged: remove {copy / 'checkpoints/5'} and run the same"
    ):
        everything.run(copy, seed=3, stages={})


def test_a_run_whose_folder_is_in_use_is_refused_and_changes_nothing(everything, copy):
    (copy / "evaluation.json").unlink()
    with locked(copy):
        before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
        with pytest.raises(BlockingIOError, match=rf"{copy} is in use by process {os.getpid()} on"):
            everything.run(copy, seed=3, stages={})
        assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_a_try_that_failed_before_its_first_step_binds_no_later_one(best, tmp_path):
    options = {"evaluate_every": None, "save_every": None, "keep_best": None, "validation": (), "evaluators": ()}
    corrected = dataclasses.replace(best[0], **options)
    source = Jsonl(train=str(tmp_path / "mistyped.jsonl"))
    data = dataclasses.replace(corrected.recipe.data, source=source)
    mistyped = dataclasses.replace(corrected, recipe=dataclasses.replace(corrected.recipe, data=data))
    with pytest.raises(FileNotFoundError, match=r"mistyped\.jsonl"):
        mistyped.run(tmp_path / "run", seed=0, stages={})
    corrected.run(tmp_path / "run", seed=0, stages={})
    assert configs.load(tmp_path / "run/config.json") == corrected
    with pytest.raises(ValueError, match="belongs to a run with another config"):
        mistyped.run(tmp_path / "run", seed=0, stages={})


def test_a_finished_run_does_nothing_and_can_be_prolonged(best, tmp_path):
    train, folder = best
    copied = shutil.copytree(folder, tmp_path / "copy")
    before = (copied / "metrics.jsonl").read_bytes()
    train.run(copied, seed=0, stages={})
    assert (copied / "metrics.jsonl").read_bytes() == before
    scored = dataclasses.replace(train.evaluators[0], limit=5)
    dataclasses.replace(train, steps=8, log_every=2, evaluators=(scored,)).run(copied, seed=0, stages={})
    assert [row["step"] for row in rows(copied) if "train/loss" in row] == [1, 2, 3, 4, 6, 8]
    assert len(read_evaluations(copied)["bits_per_byte"].keys) == 5


def test_a_run_that_no_longer_improves_ends_and_can_be_continued(best, tmp_path, monkeypatch):
    train, folder = best
    patient = dataclasses.replace(train, patience=1)
    with monkeypatch.context() as patched:
        stop_at(patched, 2, signal.SIGTERM)
        with pytest.raises(Interrupted, match="after step 2"):
            patient.run(tmp_path, seed=0, stages={})
    patient.run(tmp_path, seed=0, stages={})
    assert [row["step"] for row in rows(tmp_path) if "train/loss" in row] == [1, 2, 3]
    assert read_evaluations(tmp_path) == read_evaluations(folder)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    dataclasses.replace(patient, steps=20).run(tmp_path, seed=0, stages={})
    assert (tmp_path / "metrics.jsonl").read_bytes() == before
    train.run(tmp_path, seed=0, stages={})
    assert_bitwise(train, folder, tmp_path)


@pytest.mark.slow
def test_a_run_goes_on_on_another_mesh(everything, copy, tmp_path):
    """As on fewer or more devices than before: the sums are added up in another order, which Adam may magnify."""
    moved = shutil.copytree(copy, tmp_path / "moved")
    longer = dataclasses.replace(everything, steps=6, evaluators=())
    longer.run(copy, seed=3, stages={})
    other = dataclasses.replace(longer, mesh=MeshShape(data=2, fsdp=4))
    other.run(moved, seed=3, stages={})
    (state, record), (other_state, other_record) = saved_state(longer, copy), saved_state(other, moved)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), state, other_state)
    assert record["stream"] == other_record["stream"]
    assert configs.load(moved / "config.json") == other


def test_a_finished_run_needs_no_checkpoints_but_to_be_prolonged(everything, copy):
    shutil.rmtree(copy / "checkpoints")
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    everything.run(copy, seed=3, stages={})
    assert {path.name for path in copy.iterdir()} == before.keys()
    assert all((copy / name).read_bytes() == before[name] for name in ("metrics.jsonl", "evaluation.json"))
    longer = dataclasses.replace(everything, steps=everything.steps + 1)
    with pytest.raises(ValueError, match=r"steps must stay 5 for a run without checkpoints, such as .*, got 6"):
        longer.run(copy, seed=3, stages={})
    assert (copy / "config.json").read_bytes() == before["config.json"]


def test_a_changed_config_is_refused_and_named(everything, copy):
    recipe = dataclasses.replace(everything.recipe, divergence=ForwardKL(temperature=3.0))
    changed = dataclasses.replace(everything, recipe=recipe, accumulation=4, log_every=2)
    message = r"Changed: recipe.divergence.temperature: 2.0 -> 3.0; accumulation: 2 -> 4. Undo the change, or name"
    with pytest.raises(ValueError, match=message):
        changed.run(copy, seed=3, stages={})


def test_a_cached_teacher_trains_as_a_live_one(everything, whole, tiny, tmp_path):
    tiny.cache().run(tmp_path / "cache", seed=0, stages={})
    recipe = dataclasses.replace(everything.recipe, teacher_cache="stage:teacher_cache")
    cached = dataclasses.replace(everything, recipe=recipe)
    cached.run(tmp_path / "cached", seed=3, stages={"teacher_cache": tmp_path / "cache"})
    for one, other in zip(rows(tmp_path / "cached"), rows(whole), strict=True):
        for name, value in one.items():
            np.testing.assert_allclose(value, other[name], rtol=2e-5, atol=1e-6, err_msg=name)


def test_a_cache_of_other_text_is_refused(tiny, tmp_path):
    tiny.cache(data=dataclasses.replace(tiny.text, limit=5)).run(tmp_path / "cache", seed=0, stages={})
    train = tiny.train(tiny.logit_kd(teacher_cache="stage:teacher_cache"))
    with pytest.raises(ValueError, match="differs in data"):
        train.run(tmp_path / "run", seed=0, stages={"teacher_cache": tmp_path / "cache"})


def test_a_run_can_start_from_another(best, tmp_path):
    train, folder = best
    still = dataclasses.replace(
        train, name="kd", steps=1, start_from="stage:sft", keep_best=None, optimizer=Optimizer(learning_rate=0.0)
    )
    still.run(tmp_path, seed=0, stages={"sft": folder})
    with jax.set_mesh(meshes.make(MeshShape())):
        trained = jax.device_get([runs.language_model(name).params for name in (folder, tmp_path)])
    jax.tree.map(np.testing.assert_array_equal, *trained)


def test_the_best_checkpoint_is_kept_and_evaluated(best):
    _, folder = best
    scores = {row["step"]: row["validation/bits_per_byte"] for row in rows(folder) if "validation/bits_per_byte" in row}
    step = min(scores, key=scores.__getitem__)
    assert step != 4
    with Checkpoints(folder / "checkpoints", keep_best="bits_per_byte", read_only=True) as checkpoints:
        assert checkpoints.best() == step
    evaluated = read_evaluations(folder)["bits_per_byte"].metrics["bits_per_byte"]
    np.testing.assert_allclose(evaluated, scores[step], rtol=1e-6)


def test_a_loss_that_is_not_finite_stops_the_run(best, tmp_path):
    train, _ = best
    exploding = dataclasses.replace(
        train,
        steps=20,
        save_every=None,
        keep_best=None,
        optimizer=Optimizer(learning_rate=1e30, schedule="constant", clip_norm=None),
    )
    with pytest.raises(FloatingPointError, match=r"\w+ must be finite, got \w+ at step \d+\. Lower .* start_from"):
        exploding.run(tmp_path, seed=0, stages={})
    assert not list((tmp_path / "checkpoints").glob("[0-9]*"))


def test_parameters_that_the_last_step_broke_stop_the_run_too(best, tmp_path):
    """The loss of the last step is that of the parameters before it."""
    train, _ = best
    broken = Optimizer(learning_rate=1e38, schedule="constant", weight_decay=1e6, clip_norm=None)
    last = dataclasses.replace(train, steps=1, evaluate_every=None, save_every=None, keep_best=None, optimizer=broken)
    message = (
        r"student\..* must be finite, got nan or inf in it after step 1\. Lower learning_rate, .* another --workdir"
    )
    with pytest.raises(FloatingPointError, match=message):
        last.run(tmp_path, seed=0, stages={})
    assert not (tmp_path / "evaluation.json").exists()
    assert not list((tmp_path / "checkpoints").glob("[0-9]*"))


@contextlib.contextmanager
def other_contents(path):
    """Flip a bit in the middle of a file, for the duration of a block."""
    content, stat = path.read_bytes(), path.stat()
    middle = len(content) // 2
    try:
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        yield
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_changed_inputs_are_refused_and_named(everything, tiny, copy):
    (copy / "evaluation.json").unlink()
    rows, weights = Path(tiny.text.source.train), tiny.folder / "model.safetensors"
    for path, name in (
        (rows, rf"recipe\.data\.source\.train '{rows}', validation\.0\.source\.validation '{rows}'.*"),
        (weights, rf"recipe\.teacher\.path '{tiny.folder}'.*"),
    ):
        message = rf"{name} must have the contents with which the run in {copy} began, got others\. Restore them, or"
        with other_contents(path), pytest.raises(ValueError, match=message):
            everything.run(copy, seed=3, stages={})
    everything.run(copy, seed=3, stages={})


def test_a_row_says_what_a_person_wants_to_know(whole):
    first = metric_writer.read(whole)[0]
    for name in ("train/loss", "train/cross_entropy", "train/divergence", "train/accuracy", "train/grad_norm"):
        assert np.isfinite(first[name])
    assert first["count/targets"] > 0
    assert first["tokens_per_second"] > 0
    environment = json.loads((whole / "environment.json").read_text())
    assert environment["versions"]["jax"] == jax.__version__


class Named(Evaluator):
    name = "named"

    def __call__(self, model):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be >= 1, got 0"),
        ({"accumulation": 3}, "accumulation must divide the 8 rows of a batch, got 3"),
        (
            {"keep_best": "bits_per_byte", "validation": ()},
            "keep_best='bits_per_byte' needs validation evaluators, got none",
        ),
        (
            {"patience": 1, "keep_best": None},
            "patience=1 needs keep_best, the metric that must improve, and evaluate_every, got None and None",
        ),
        (
            {"patience": 1, "keep_best": "bits_per_byte", "evaluate_every": 2, "save_every": 3},
            "save_every must divide evaluate_every=2, so that the best step is saved, got 3.",
        ),
        (
            {"patience": 2, "keep_best": "bits_per_byte", "evaluate_every": 2, "save_every": 1},
            "patience must be at least 1 and end within 4 steps, got 2 validations, one in 2 steps.",
        ),
        ({"validation": (Named(), Named())}, "must have different names, got named, named"),
        ({"evaluators": (Named(), Named())}, "must have different names, got named, named"),
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


def test_a_folder_without_a_run_lists_those_below(whole):
    with pytest.raises(ValueError, match=r"run must be the folder of a training run.*Runs below it: .*study\d*/kd/3"):
        runs.read_train(whole.parents[1])


def test_a_dry_run_plans_and_starts_nothing(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = tiny.train(mesh=MeshShape(data=1, fsdp=2, tensor=2)).plan().description
    assert plan.startswith("Train, LogitKD\n")
    for part in (
        "student: ",
        "teacher: ",
        "mesh data 1 x fsdp 2 x tensor 2",
        "tokens int32[8, 96]",
        "trainable",
        "frozen",
    ):
        assert part in plan
    assert "GiB a device" in plan
    assert not list(tmp_path.iterdir())
